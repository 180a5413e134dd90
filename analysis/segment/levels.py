"""Level names for vertebral bodies, counted upwards from the sacrum, and the confidence in them.

A lumbar body does not show its level, but S1 does: it is the lowest in the row, wedge-shaped and tilted, and
the network has a class for it. If the sacrum is out of view, or the count meets a gap, the names are
uncertain and reported as such, because a wrong name would assign every value to the wrong vertebra.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analysis.domain.reason import Reason
from analysis.domain.segmentation import Level
from analysis.segment.instances import FoundBody

__all__ = ["CERTAIN_FROM", "Naming", "doubted", "name_levels"]

CERTAIN_FROM = 0.6
"""Confidence from which the names are reported."""

_UPWARDS = (Level.S1, Level.L5, Level.L4, Level.L3, Level.L2, Level.L1, Level.T12, Level.T11)
_NEAREST_MM, _FARTHEST_MM = 20.0, 55.0
_FRAGMENT = 0.4
_DOUBTED = 0.5


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


def doubted(naming: Naming, reason: Reason) -> Naming:
    """Return names that are no longer certain, for a reason that the bodies alone do not show."""
    return Naming(naming.levels, _DOUBTED * naming.confidence, (*naming.concerns, reason))


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


@dataclass(frozen=True, slots=True)
class _Range:
    """The values that a measure takes in a spine that is named rightly.

    Attributes
    ----------
    least, most : float
        The range that was measured on real patients, about 99 of 100 of them.
    margin : float
        Distance from the range at which the names are no longer believed.
    """

    least: float
    most: float
    margin: float

    def support(self, value: float) -> float:
        """Return 1 inside the range, falling to 0 at its margin."""
        outside = max(self.least - value, value - self.most)
        return float(np.clip(1 - outside / self.margin, 0.0, 1.0))


# Measured by `python -m tests.benchmarks.bench_levels` on the patients named in NOTICE.
_SACRUM = _Range(0.95, 1.0, 0.2)
"""Probability of S1 relative to that of body or S1; below 0.9 in most bodies wrongly taken for S1."""
_BELOW_MM = _Range(14.0, np.inf, 9.0)
"""Height of the image below S1: at least 15 mm where S1 is whole. A body that the edge cuts looks like S1."""
_SACRAL_TILT_DEG = _Range(13.0, 43.0, 6.0)
"""Angle between the steps from L5 to S1 and from L4 to L5; measured: 11 to 42."""
_LORDOSIS_DEG = _Range(-8.0, 40.0, 8.0)
"""Angle between the steps from L4 to L5 and from L3 to L4; measured: 0 to 30."""
_UPPER_LORDOSIS_DEG = _Range(-12.0, 30.0, 10.0)
"""Angle between the steps from L3 to L4 and from L2 to L3; measured: -3 to 14."""
_SACRAL_STEP = _Range(0.78, 1.15, 0.1)
"""Distance from S1 to L5 relative to that from L5 to L4; measured: 0.82 to 1.04."""
_SACRAL_SIZE = _Range(0.45, 1.2, 0.12)
"""Volume of S1 relative to that of L5; measured: 0.53 to 1.07."""
_LARGEST_OF_ROW = _Range(0.0, 1.4, 0.15)
"""Largest volume above S1 relative to the median; measured: up to 1.25, and 1.68 of two taken as one."""


def _judge(chain: list[FoundBody], bodies: list[FoundBody]) -> tuple[float, tuple[Reason, ...]]:
    """Multiply what every single doubt leaves of the confidence."""
    confidence = chain[0].certainty
    concerns = []
    for support, concern in (*_doubts_of_sacrum(chain, bodies), *_doubts_of_row(chain)):
        if support < 1.0:
            confidence *= support
            concerns.append(concern)
    return confidence, tuple(concerns)


def _doubts_of_sacrum(chain: list[FoundBody], bodies: list[FoundBody]) -> Iterator[tuple[float, Reason]]:
    """Yield what speaks against the lowest body of the chain being S1."""
    sacrum = chain[0]
    yield _SACRUM.support(sacrum.sacrum), Reason("sacrum_uncertain")
    yield _BELOW_MM.support(sacrum.below_mm), Reason("sacrum_at_edge")
    if any(body.sacrum > 0.2 for body in chain[1:2]):
        yield 0.5, Reason("lowest_like_sacrum")
    if any(body.sacrum < 0.5 and body.centre_mm[1] > sacrum.centre_mm[1] + 12 for body in bodies):
        yield 0.4, Reason("body_below_sacrum")
    others = [body for body in bodies if body not in chain and body.sacrum > 0.5]
    if any(body.volume_mm3 > _FRAGMENT * sacrum.volume_mm3 for body in others):
        yield 0.4, Reason("lower_like_sacrum")


def _doubts_of_row(chain: list[FoundBody]) -> Iterator[tuple[float, Reason]]:
    """Yield what speaks against the chain being sacrum and lumbar spine without a gap."""
    if len(chain) < 4:
        yield 0.3 * len(chain) / 4, Reason("few_above_sacrum", count=len(chain) - 1)
    steps = [_apart(below, above) for below, above in pairwise(chain)]
    if len(steps) > 2:
        usual = float(np.median(steps))
        if max(abs(np.log(step / usual)) for step in steps[:6]) > 0.45:
            yield 0.4, Reason("uneven_distances")
        volumes = [one.volume_mm3 for one in chain[1:7]]
        yield _LARGEST_OF_ROW.support(max(volumes) / float(np.median(volumes))), Reason("two_as_one")
    if len(steps) > 1:
        tilts = _tilts(chain)
        shape = (
            _SACRAL_TILT_DEG.support(tilts[0]),
            _SACRAL_STEP.support(steps[0] / steps[1]),
            _SACRAL_SIZE.support(chain[0].volume_mm3 / chain[1].volume_mm3),
        )
        yield min(shape), Reason("sacrum_shape")
        ranges = (_LORDOSIS_DEG, _UPPER_LORDOSIS_DEG)
        bends = [one.support(tilt) for one, tilt in zip(ranges, tilts[1:], strict=False)]
        yield min(bends, default=1.0), Reason("spine_bends_wrongly")


def _tilts(chain: list[FoundBody]) -> list[float]:
    """Return by how many degrees each step down the chain is turned to the back against the one above it."""
    steps = [below.centre_mm[1:] - above.centre_mm[1:] for below, above in pairwise(chain)]
    angles = [float(np.degrees(np.arctan2(step[1], step[0]))) for step in steps]
    return [lower - upper for lower, upper in pairwise(angles)]
