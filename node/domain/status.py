"""How the node is at a moment, as values, and how each part of it is judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum

from node.domain.delivery import OPEN_DELIVERY_STATES, Breaker, DeliveryState
from node.domain.records import QuarantineEntry, Study
from node.domain.study import StudyState

__all__ = [
    "UNFINISHED_STATES",
    "Condition",
    "DestinationStatus",
    "Disk",
    "NodeStatus",
    "Outbox",
    "Queue",
    "Station",
    "StoreFigures",
    "SweepRun",
    "abandoned",
    "ago",
    "judge_database",
    "judge_destination",
    "judge_disk",
    "judge_listener",
    "judge_timers",
    "judge_workers",
]

UNFINISHED_STATES = (
    StudyState.RECEIVING,
    StudyState.SETTLED,
    StudyState.WAITING_FOR_PAIR,
    StudyState.READY,
    StudyState.ANALYSING,
    StudyState.REPORTED,
    StudyState.DELIVERING,
)
"""States that a study passes through, in their order."""

_LATE = timedelta(minutes=1)
_LONG_WAIT = timedelta(hours=1)
_WATERMARKS_LEFT = 2


class Condition(IntEnum):
    """How a part of the node is; the largest of all is how the node is."""

    WELL = 0
    CONCERN = 1
    FAULT = 2

    @property
    def words(self) -> str:
        """As a person reads it."""
        return ("well", "needs a look", "out of order")[self]


@dataclass(frozen=True, slots=True)
class Station:
    """One part of the node.

    Attributes
    ----------
    name : str
        What it is.
    condition : Condition
        How it is.
    words : str
        In a sentence, without patient data.
    turns_away : bool
        Whether no image can be received while it is like this.
    """

    name: str
    condition: Condition
    words: str
    turns_away: bool = False


@dataclass(frozen=True, slots=True)
class Queue:
    """The studies in one state: how many, and since when the first of them is (None where nobody asks)."""

    state: StudyState
    count: int
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outbox:
    """What one destination got and is to get.

    Attributes
    ----------
    counts : mapping of DeliveryState to int
        Objects in each state.
    oldest : datetime or None
        Since when the first study waits that still has something to be sent; None if none has.
    """

    counts: Mapping[DeliveryState, int] = field(default_factory=dict)
    oldest: datetime | None = None

    @property
    def waiting(self) -> int:
        """How many objects are still to be sent or confirmed."""
        return sum(self.counts.get(state, 0) for state in OPEN_DELIVERY_STATES)


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """What the store knows of the whole node, read at one moment.

    Attributes
    ----------
    studies : mapping of StudyState to int
        How many are in each state.
    oldest : mapping of StudyState to datetime
        Since when the first study is in each of the unfinished states.
    outboxes : mapping of str to Outbox
        By name of the destination.
    instances : int
        Objects that are kept now.
    quarantined : mapping of str to int
        Objects ever put aside, by reason.
    latest : sequence of Study
        Those that changed last, the latest first.
    put_aside : sequence of QuarantineEntry
        What was put aside last, the latest first.
    """

    studies: Mapping[StudyState, int] = field(default_factory=dict)
    oldest: Mapping[StudyState, datetime] = field(default_factory=dict)
    outboxes: Mapping[str, Outbox] = field(default_factory=dict)
    instances: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    latest: Sequence[Study] = ()
    put_aside: Sequence[QuarantineEntry] = ()


@dataclass(frozen=True, slots=True)
class Disk:
    """Room on the disk of the storage, in bytes: what is free, and how much must stay so."""

    free_bytes: int
    watermark_bytes: int


@dataclass(frozen=True, slots=True)
class SweepRun:
    """The latest run of a sweep; `ended_at` is None while it runs."""

    name: str
    interval_s: float
    began_at: datetime
    ended_at: datetime | None = None
    broke: bool = False


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """One destination: where it is, how it is, what waits for it, and when it is tried again."""

    name: str
    address: str
    condition: Condition
    words: str
    outbox: Outbox
    breaker: Breaker


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """All that the status page and the metrics tell.

    Attributes
    ----------
    at, started_at : datetime
        When it was looked at, and since when the node runs.
    ae_title, address : str
        By which senders reach it.
    stations : tuple of Station
        Its parts.
    destinations : tuple of DestinationStatus
        As configured, and those that are not any more but still have something waiting.
    figures : StoreFigures
        From the store; empty if it does not answer.
    disk : Disk
        Its room.
    sweeps : tuple of SweepRun
        The timers.
    associations : int
        Open ones.
    workers, busy : int
        Worker processes, and how many of them analyse.
    """

    at: datetime
    started_at: datetime
    ae_title: str
    address: str
    stations: tuple[Station, ...]
    destinations: tuple[DestinationStatus, ...]
    figures: StoreFigures
    disk: Disk
    sweeps: tuple[SweepRun, ...] = ()
    associations: int = 0
    workers: int = 0
    busy: int = 0

    @property
    def condition(self) -> Condition:
        """That of the part which is worst."""
        stations = [part.condition for part in self.stations]
        return max(stations + [there.condition for there in self.destinations])

    @property
    def unready(self) -> tuple[str, ...]:
        """Why no image can be received now; empty if it can."""
        return tuple(f"{part.name}: {part.words}" for part in self.stations if part.turns_away)

    @property
    def queue(self) -> tuple[Queue, ...]:
        """The studies in every state, in the order of their life."""
        order = (*UNFINISHED_STATES, *(state for state in StudyState if state not in UNFINISHED_STATES))
        figures = self.figures
        return tuple(
            Queue(state, figures.studies.get(state, 0), figures.oldest.get(state)) for state in order
        )


def judge_listener(*, listening: bool, associations: int, most: int) -> Station:
    """Judge whether senders are heard."""
    if not listening:
        return Station("Listener", Condition.FAULT, "It does not listen.", turns_away=True)
    count = "1 association is" if associations == 1 else f"{associations or 'No'} associations are"
    if associations >= most:
        return Station("Listener", Condition.CONCERN, f"{count} open, and no more are allowed.")
    return Station("Listener", Condition.WELL, f"It listens. {count} open.")


def judge_disk(disk: Disk) -> Station:
    """Judge whether there is room for images.

    Examples
    --------
    >>> judge_disk(Disk(free_bytes=100, watermark_bytes=200)).turns_away
    True
    """
    left, watermark = _size(disk.free_bytes), _size(disk.watermark_bytes)
    if disk.free_bytes < disk.watermark_bytes:
        words = f"{left} are free, less than the watermark of {watermark}: senders are told to come later."
        return Station("Disk", Condition.FAULT, words, turns_away=True)
    if disk.free_bytes < _WATERMARKS_LEFT * disk.watermark_bytes:
        return Station("Disk", Condition.CONCERN, f"{left} are free, near the watermark of {watermark}.")
    return Station("Disk", Condition.WELL, f"{left} are free; the watermark is {watermark}.")


def judge_workers(workers: int, since: Sequence[datetime], waits: datetime | None, now: datetime) -> Station:
    """Judge whether the workers keep up.

    Parameters
    ----------
    workers : int
        How many there are.
    since : sequence of datetime
        Since when each of the busy ones works on its study.
    waits : datetime or None
        Since when the first study waits for a worker.
    now : datetime
        The moment.
    """
    busy = f"{len(since)} of {workers} {'analyses' if len(since) == 1 else 'analyse'}"
    if since:
        busy += f", the longest for {ago(now - min(since))}"
    if waits is not None and now - waits > _LONG_WAIT:
        words = f"{busy}. A study has waited {ago(now - waits)} for its turn."
        return Station("Workers", Condition.CONCERN, words)
    return Station("Workers", Condition.WELL, f"{busy}.")


def judge_timers(runs: Sequence[SweepRun], now: datetime) -> Station:
    """Judge whether every sweep still comes round, and how its last run ended."""
    late = [
        run
        for run in runs
        if run.ended_at is not None and now - run.ended_at > timedelta(seconds=3 * run.interval_s) + _LATE
    ]
    if late or not runs:
        names = ", ".join(f"{run.name} for {ago(now - (run.ended_at or now))}" for run in late) or "nothing"
        return Station("Timers", Condition.FAULT, f"What should run and does not: {names}.")
    broken = [run.name for run in runs if run.broke]
    if broken:
        words = f"Met a fault, which the log tells: {', '.join(broken)}."
        return Station("Timers", Condition.CONCERN, words)
    latest = max(run.ended_at or run.began_at for run in runs)
    return Station(
        "Timers", Condition.WELL, f"All {len(runs)} sweeps come round, the last {ago(now - latest)} ago."
    )


def judge_database(fault: str) -> Station:
    """Judge whether the store answers; `fault` says why not, and is empty if it does."""
    if fault:
        return Station("Database", Condition.FAULT, f"{fault[0].upper()}{fault[1:]}.", turns_away=True)
    return Station("Database", Condition.WELL, "It answers.")


def judge_destination(outbox: Outbox, breaker: Breaker, now: datetime) -> tuple[Condition, str]:
    """Judge a destination by whether it was reached, and by how long something waits for it."""
    waiting = _objects(outbox.waiting)
    if outbox.oldest is not None:
        waiting += f", the oldest for {ago(now - outbox.oldest)}"
    if breaker.failures:
        tries = "try" if breaker.failures == 1 else f"{breaker.failures} tries"
        words = f"The last {tries} failed. {waiting}; nothing is lost."
        if breaker.open_until is not None and breaker.open_until > now:
            words += f" Tried again in {ago(breaker.open_until - now)}."
        return Condition.CONCERN, words
    if outbox.oldest is not None and now - outbox.oldest > _LONG_WAIT:
        return Condition.CONCERN, f"{waiting}."
    return Condition.WELL, f"{waiting}." if outbox.waiting else "Nothing waits for it."


def abandoned(name: str, outbox: Outbox) -> DestinationStatus:
    """Tell of a destination that is configured no more, though something waits for it."""
    words = f"{_objects(outbox.waiting)}, and no destination has this name any more."
    return DestinationStatus(name, "not configured", Condition.CONCERN, words, outbox, Breaker())


def ago(length: timedelta) -> str:
    """Tell a length of time in its two largest units.

    Examples
    --------
    >>> ago(timedelta(seconds=0.4)), ago(timedelta(seconds=200)), ago(timedelta(hours=50))
    ('0 s', '3 min 20 s', '2 d 2 h')
    """
    seconds = max(0, int(length.total_seconds()))
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 ")) or "0 s"


def _objects(count: int) -> str:
    return "1 object waits" if count == 1 else f"{count} objects wait"


def _size(count: int) -> str:
    megabytes = count / 1024**2
    return f"{megabytes / 1024:.1f} GB" if megabytes >= 1024 else f"{megabytes:.0f} MB"
