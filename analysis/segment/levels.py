"""Level names for vertebral bodies, counted upwards from the sacrum, and the confidence in them.

A lumbar body does not show its level, but S1 does: it is the lowest in the row, wedge-shaped and tilted, and
the network has a class for it. If the sacrum is out of view, or the count meets a gap, the names are
uncertain and reported as such, because a wrong name would assign every value to the wrong vertebra.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analysis.domain.reason import Reason
from analysis.domain.segmentation import Level
from analysis.segment.instances import FoundBody

__all__ = ["CERTAIN_FROM", "Naming", "name_levels"]

CERTAIN_FROM = 0.6
"""Confidence from which the names are reported."""

_UPWARDS = (Level.S1, Level.L5, Level.L4, Level.L3, Level.L2, Level.L1, Level.T12, Level.T11)
_NEAREST_MM, _FARTHEST_MM = 20.0, 55.0
_FRAGMENT = 0.4


@dataclass(frozen=True, slots=True)
class Naming:
    """The levels of the bodies.

    Attributes
    ----------
    levels : dict of int to Level
        Level by `FoundBody.number`.
    confidence : float
        0 to 1, confidence that the levels are right.
    concerns : tuple of Reason
        Why the confidence is lower than 1.
    """

    levels: dict[int, Level]
    confidence: float
    concerns: tuple[Reason, ...]

    @property
    def certain(self) -> bool:
        """Whether the names may be reported."""
        return self.confidence >= CERTAIN_FROM


def name_levels(bodies: list[FoundBody]) -> Naming:
    """Assign levels from the sacrum upwards.

    Parameters
    ----------
    bodies : list of FoundBody
        The bodies from head to foot.
    """
    if not bodies:
        return Naming({}, 0.0, (Reason("no_body"),))
    sacral = [body for body in bodies if body.sacrum > 0.5]
    if not sacral:
        chain = _chain(bodies[-1], bodies)
        levels = {body.number: level for body, level in zip(chain, _without_sacrum(chain), strict=False)}
        return Naming(levels, 0.1, (Reason("sacrum_not_found"),))
    # S2 often looks like S1, so S1 is the uppermost of them that is not just a fragment.
    largest = max(body.volume_mm3 for body in sacral)
    start = next(body for body in sacral if body.volume_mm3 > _FRAGMENT * largest)
    chain = _chain(start, bodies)
    levels = {body.number: level for body, level in zip(chain, _UPWARDS, strict=False)}
    confidence, concerns = _judge(chain, bodies)
    return Naming(levels, confidence, concerns)


def _without_sacrum(chain: list[FoundBody]) -> tuple[Level, ...]:
    # Best guess without a visible sacrum: a lumbar protocol is centred on L3.
    if len(chain) > 6:
        return _UPWARDS[1:]
    missing = max(0, (6 - len(chain)) // 2)
    return _UPWARDS[1 + missing :]


def _chain(start: FoundBody, bodies: list[FoundBody]) -> list[FoundBody]:
    """List the bodies from `start` upwards, each the nearest one at a plausible distance above the last."""
    chain = [start]
    while True:
        above = [
            (distance, body)
            for body in bodies
            if body.centre_mm[1] < chain[-1].centre_mm[1] - 0.4 * _NEAREST_MM
            and _NEAREST_MM * 0.7 < (distance := _apart(chain[-1], body)) < _FARTHEST_MM
        ]
        if not above:
            return chain
        chain.append(min(above, key=lambda pair: pair[0])[1])


def _apart(one: FoundBody, other: FoundBody) -> float:
    """Return the distance between the centres, in mm."""
    return float(np.linalg.norm(one.centre_mm - other.centre_mm))


def _judge(chain: list[FoundBody], bodies: list[FoundBody]) -> tuple[float, tuple[Reason, ...]]:
    concerns = []
    confidence = float(np.clip((chain[0].sacrum - 0.5) / 0.3, 0.0, 1.0)) * chain[0].certainty
    if confidence < CERTAIN_FROM:
        concerns.append(Reason("sacrum_uncertain"))
    if len(chain) < 4:
        confidence *= 0.3 * len(chain) / 4
        concerns.append(Reason("few_above_sacrum", count=len(chain) - 1))
    steps = [_apart(below, above) for below, above in pairwise(chain)]
    if len(steps) > 2:
        usual = float(np.median(steps))
        worst = max(abs(np.log(step / usual)) for step in steps[:6])
        if worst > 0.45:
            confidence *= 0.4
            concerns.append(Reason("uneven_distances"))
    below = [body for body in bodies if body.centre_mm[1] > chain[0].centre_mm[1] + 12 and body.sacrum < 0.5]
    if below:
        confidence *= 0.4
        concerns.append(Reason("body_below_sacrum"))
    doubtful = [body for body in chain[1:2] if body.sacrum > 0.2]
    if doubtful:
        confidence *= 0.5
        concerns.append(Reason("lowest_like_sacrum"))
    return confidence, tuple(concerns)
