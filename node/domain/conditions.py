"""Conditions of the node that last, and when somebody is told that one began or ended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from math import isfinite

from node.domain.backoff import Breaker
from node.domain.drift import ScannerRange, ScannerState, Subject
from node.domain.notice import NoticeKind
from node.domain.status import Disk

__all__ = [
    "Changes",
    "News",
    "Observation",
    "Ongoing",
    "changes",
    "of_certificate",
    "of_destination",
    "of_disk",
    "of_scanners",
]

_STEPS_DAYS = (7, 1)
"""Days before the end of a certificate at which its contacts are reminded."""
_FILLS = 2.0
"""Free disk, as a multiple of the watermark, below which somebody is told."""
_ENOUGH = 1.25
"""A condition of the disk has ended once this many times the room is free at which it began."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look at a part of the node found.

    Attributes
    ----------
    subject : str
        Names the condition.
    is_bad : bool or None
        Whether the condition holds; None if this look cannot tell, which changes nothing.
    begun : NoticeKind
        What is told of its beginning.
    facts : mapping of str to object
        What there is to tell.
    ended : NoticeKind or None
        What is told of its end; None if nothing.
    patience : timedelta
        How long it must last until somebody is told.
    """

    subject: str
    is_bad: bool | None
    begun: NoticeKind
    facts: Mapping[str, object] = field(default_factory=dict)
    ended: NoticeKind | None = None
    patience: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Ongoing:
    """A condition that holds: since when, and whether somebody was told."""

    began_at: datetime
    told: bool = False


@dataclass(frozen=True, slots=True)
class News:
    """What is to be told, and when that began or ended."""

    kind: NoticeKind
    at: datetime
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since the last look.

    Attributes
    ----------
    put : mapping of str to Ongoing
        Conditions that began, or of which somebody is told now, by subject.
    forgotten : frozenset of str
        Conditions that have ended, or that are not looked at any more.
    news : tuple of News
        What is to be told.
    """

    put: Mapping[str, Ongoing] = field(default_factory=dict)
    forgotten: frozenset[str] = frozenset()
    news: tuple[News, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether anything changed."""
        return bool(self.put or self.forgotten)


def changes(before: Mapping[str, Ongoing], seen: Sequence[Observation], now: datetime) -> Changes:
    """Compare what is seen with what was known.

    One beginning is told once, however long it lasts and however often it is looked at.

    Parameters
    ----------
    before : mapping of str to Ongoing
        The conditions that held, by subject.
    seen : sequence of Observation
        One for each subject.
    now : datetime
        The present moment.

    Examples
    --------
    >>> noon = datetime(2030, 1, 1, 12)
    >>> down = Observation("pacs", True, NoticeKind.DESTINATION_DOWN, patience=timedelta(minutes=5))
    >>> first = changes({}, [down], noon)
    >>> later = changes(first.put, [down], noon + timedelta(minutes=5))
    >>> len(first.news), len(later.news), len(changes(later.put, [down], noon + timedelta(hours=9)).news)
    (0, 1, 0)
    """
    put: dict[str, Ongoing] = {}
    forgotten = set(before) - {one.subject for one in seen}
    news: list[News] = []
    for one in seen:
        known = before.get(one.subject)
        if one.is_bad:
            there = known or Ongoing(now)
            if not there.told and now - there.began_at >= one.patience:
                there = replace(there, told=True)
                news.append(News(one.begun, there.began_at, one.facts))
            if there != known:
                put[one.subject] = there
        elif one.is_bad is False and known is not None:
            forgotten.add(one.subject)
            if known.told and one.ended is not None:
                news.append(News(one.ended, now, {**one.facts, "since": known.began_at.isoformat()}))
    return Changes(put, frozenset(forgotten), tuple(news))


def of_destination(name: str, breaker: Breaker, *, reached: bool | None, patience: timedelta) -> Observation:
    """Judge whether a destination can be reached.

    Parameters
    ----------
    name : str
        Its name.
    breaker : Breaker
        Of its courier.
    reached : bool or None
        Whether the last attempt reached it; None if there was none since the node started.
    patience : timedelta
        How long it must be down until somebody is told.
    """
    facts = {"destination": name, "reason": breaker.reason} if breaker.reason else {"destination": name}
    return Observation(
        f"destination {name}", None if reached is None else not reached, NoticeKind.DESTINATION_DOWN, facts,
        ended=NoticeKind.DESTINATION_UP, patience=patience,
    )  # fmt: skip


def of_certificate(of: str, end: datetime, days: int, now: datetime) -> Iterator[Observation]:
    """Judge whether a certificate is about to end: at the days that are configured, and again near the end.

    Parameters
    ----------
    of : str
        Key and section that names its file.
    end : datetime
        When it ends.
    days : int
        How many days before that somebody is told first.
    now : datetime
        The present moment.
    """
    steps = [days, *(step for step in _STEPS_DAYS if step < days)]
    left = end - now
    facts = {"certificate": of, "ends": end.isoformat(), "days_left": max(0, left.days)}
    for step, nearer in zip(steps, [*steps[1:], None], strict=True):
        is_near = left < timedelta(days=step)
        is_nearer = nearer is not None and left < timedelta(days=nearer)
        subject = f"{of} {end:%Y-%m-%d} {step} d"
        yield Observation(subject, is_near and not is_nearer, NoticeKind.CERTIFICATE_ENDS, facts)


def of_scanners(ranges: Mapping[Subject, ScannerRange], bundle: str) -> Iterator[Observation]:
    """Judge whether scanners have left the range of what a model was trained on.

    Parameters
    ----------
    ranges : mapping of Subject to ScannerRange
        The states of the scanners.
    bundle : str
        Digest of the model that answers; what others have read is of no interest.
    """
    for subject, one in ranges.items():
        if subject.bundle == bundle:
            # As a digest, because the key of a scanner may be longer than a subject.
            key = sha256(subject.scanner.encode()).hexdigest()[:16]
            facts = {"scanner": subject.scanner, "sequence": subject.basis}
            counts = {"far": one.far, "latest_studies": one.studies}
            yield Observation(
                f"scanner {key} {subject.basis} {bundle[:16]}", one.state is ScannerState.LEFT,
                NoticeKind.SCANNER_LEFT, {**facts, **counts}, ended=NoticeKind.SCANNER_BACK,
            )  # fmt: skip


def of_disk(disk: Disk, days_left: float | None, days_wanted: float) -> Iterator[Observation]:
    """Judge whether the disk fills up, and whether it is so full that images are turned away.

    Parameters
    ----------
    disk : Disk
        Free room and watermark.
    days_left : float or None
        For how long it lasts, infinity if it never fills; None if that is unknown.
    days_wanted : float
        For how long it should last.
    """
    facts: dict[str, object] = {
        "free_bytes": disk.free_bytes,
        "watermark_bytes": disk.watermark_bytes,
        # JSON has no infinity.
        "days_left": round(days_left, 1) if days_left is not None and isfinite(days_left) else None,
    }
    low = _is_below(disk.free_bytes, _FILLS * disk.watermark_bytes)
    short = False if days_left is None else _is_below(days_left, days_wanted)
    fills = True if low or short else (None if None in {low, short} else False)
    yield Observation("disk fills", fills, NoticeKind.DISK_FILLS, facts)
    full = _is_below(disk.free_bytes, disk.watermark_bytes)
    yield Observation("disk full", full, NoticeKind.DISK_FULL, facts)


def _is_below(free: float, limit: float) -> bool | None:
    """Tell whether less is free; None between limit and a little more, so that no news come and go."""
    if free < limit:
        return True
    return None if free < limit * _ENOUGH else False
