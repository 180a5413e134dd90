"""Whether the images of a scanner have left the range of what a model was trained on; docs/decisions/0035.

One study that lies too far from the training is refused an answer by the model itself. What that cannot see
is a scanner whose studies have all moved: each may still lie within the limit, and more of them lie far from
the training than chance allows. So the far ones among the latest studies of a scanner are counted, and
compared with a binomial distribution.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from math import comb
from statistics import median

from analysis.domain.remoteness import Departure, TrainingDistance

__all__ = [
    "EXPECTED_SHARE",
    "LEAST",
    "WINDOW",
    "MonthFigures",
    "Observation",
    "ScannerRange",
    "ScannerState",
    "Subject",
    "by_month",
    "follow",
    "is_no_chance",
    "tail",
]

EXPECTED_SHARE = 0.1
"""Of the studies of a scanner like those of the training, this share is far (`TrainingDistance.is_far`)."""
WINDOW = 30
"""The latest studies of a scanner that are counted."""
LEAST = 10
"""With fewer studies nothing is said of a scanner."""
_ALARM = 3e-5
"""Chance of so many far studies, below which a scanner has left the range: 12 of 30."""
_WARNING = 0.01
"""Chance of so many far studies, below which a scanner is leaving the range: 8 of 30."""
_RETURN = 0.1
"""Chance of so many far studies, from which a scanner that had left is inside again: 5 of 30."""


class ScannerState(StrEnum):
    """Where the images of a scanner lie, compared with the training of a model."""

    UNKNOWN = "unknown"
    """There are too few studies to tell."""
    INSIDE = "inside"
    LEAVING = "leaving"
    """More studies are far than is usual; the model still answers."""
    LEFT = "left"
    """More studies are far than chance allows."""


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """What is judged: the images of one scanner, as one model reads them.

    Attributes
    ----------
    scanner : str
        Key of the scanner (`node.domain.scanner`).
    bundle : str
        SHA-256 (hex) of the model bundle.
    basis : str
        "T1", "T2" or "T1+T2".
    """

    scanner: str
    bundle: str
    basis: str


@dataclass(frozen=True, slots=True)
class Observation:
    """A study of a scanner.

    Attributes
    ----------
    study_uid : str
        Study Instance UID.
    subject : Subject
        Whose images it holds.
    at : datetime
        When it was analysed first by this model.
    found : TrainingDistance
        How far it lies from the training.
    """

    study_uid: str
    subject: Subject
    at: datetime
    found: TrainingDistance


@dataclass(frozen=True, slots=True)
class ScannerRange:
    """The state of a scanner.

    Attributes
    ----------
    state : ScannerState
        The state.
    since : datetime or None
        Since when; None for a scanner that was never judged.
    far, studies : int
        How many of its latest studies are far. Of a scanner that has left, this is how it was when it left,
        so that all studies until it comes back are told the same.
    accepted_at : datetime or None
        When an operator last accepted the scanner; earlier studies are not counted.
    """

    state: ScannerState = ScannerState.UNKNOWN
    since: datetime | None = None
    far: int = 0
    studies: int = 0
    accepted_at: datetime | None = None

    def departure(self, basis: str) -> Departure | None:
        """Return what an analysis is told of a scanner that has left; None of any other."""
        left = self.state is ScannerState.LEFT
        return Departure(basis, self.far, self.studies) if left else None

    def accepted(self, now: datetime) -> "ScannerRange":
        """Return the range after an operator accepted the scanner: counting begins anew."""
        return ScannerRange(since=now, accepted_at=now)


def follow(before: ScannerRange, latest: Sequence[bool], now: datetime) -> ScannerRange:
    """Judge a scanner after one more study.

    A scanner has left if `is_no_chance` holds for its latest studies. It is inside again if so few of them
    are far that one in ten collections of studies like those of the training has as many: what it takes to
    come back is more than what it takes not to leave, so that the state does not change to and fro.

    Parameters
    ----------
    before : ScannerRange
        As it was.
    latest : sequence of bool
        Whether each of the latest studies since the last acceptance is far, `WINDOW` at most, in any order.
    now : datetime
        When the study was recorded.

    Examples
    --------
    >>> noon = datetime(2030, 1, 1, 12)
    >>> left = follow(ScannerRange(), [True] * 7 + [False] * 3, noon)
    >>> left.state.value, follow(left, [True] * 6 + [False] * 24, noon).state.value
    ('left', 'left')
    >>> follow(left, [True] * 5 + [False] * 25, noon).state.value
    'inside'
    """
    far, studies = sum(latest), len(latest)
    was_left = before.state is ScannerState.LEFT
    if was_left and (studies < LEAST or tail(far, studies) < _RETURN):
        return before
    if studies < LEAST:
        state = ScannerState.UNKNOWN
    elif is_no_chance(far, studies):
        state = ScannerState.LEFT
    else:
        state = ScannerState.LEAVING if tail(far, studies) < _WARNING else ScannerState.INSIDE
    since = before.since if state is before.state and before.since is not None else now
    return ScannerRange(state, since, far, studies, before.accepted_at)


def is_no_chance(far: int, studies: int) -> bool:
    """Tell whether so many far studies cannot be chance.

    Examples
    --------
    >>> [next(far for far in range(studies) if is_no_chance(far, studies)) for studies in (10, 20, 30)]
    [7, 10, 12]
    """
    return tail(far, studies) < _ALARM


@cache
def tail(far: int, studies: int) -> float:
    """Return the chance that as many studies of a scanner like those of the training, or more, are far."""
    return sum(
        comb(studies, count) * EXPECTED_SHARE**count * (1 - EXPECTED_SHARE) ** (studies - count)
        for count in range(far, studies + 1)
    )


@dataclass(frozen=True, slots=True)
class MonthFigures:
    """The studies of a scanner that were analysed in one month.

    Attributes
    ----------
    month : str
        "2026-03".
    studies, far, outside : int
        How many; of these, how many are far, and from how many the model abstains by their distance or
        protocol alone.
    distance : float
        Median of the distances, each divided by its limit.
    """

    month: str
    studies: int
    far: int
    outside: int
    distance: float


def by_month(observations: Iterable[Observation]) -> tuple[MonthFigures, ...]:
    """Count the studies of one subject by month (UTC), the oldest first."""
    months: dict[str, list[TrainingDistance]] = {}
    for one in observations:
        months.setdefault(f"{one.at:%Y-%m}", []).append(one.found)
    return tuple(
        MonthFigures(
            month,
            len(distances),
            sum(one.is_far for one in distances),
            sum(one.is_outside for one in distances),
            median(one.distance / one.limit for one in distances),
        )
        for month, distances in sorted(months.items())
    )
