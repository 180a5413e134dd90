"""How the node is at a moment, as values; `node.domain.health` judges them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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
    "OutboxFigures",
    "Queue",
    "SetAside",
    "Station",
    "StoreFigures",
    "SweepRun",
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
class OutboxFigures:
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
class SetAside:
    """Studies that the node gave up and that wait for a person: how many, and at least one of the latest."""

    count: int = 0
    latest: Sequence[Study] = ()


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """What the store knows of the whole node, read at one moment.

    Attributes
    ----------
    studies : mapping of StudyState to int
        How many are in each state.
    oldest : mapping of StudyState to datetime
        Since when the first study is in each of the unfinished states.
    outboxes : mapping of str to OutboxFigures
        By name of the destination.
    instances : int
        Objects that are kept now.
    quarantined : mapping of str to int
        Objects ever put aside, by reason.
    latest : sequence of Study
        Those that changed last, the latest first.
    put_aside : sequence of QuarantineEntry
        What was put aside last, the latest first.
    set_aside : SetAside
        What waits for a person.
    """

    studies: Mapping[StudyState, int] = field(default_factory=dict)
    oldest: Mapping[StudyState, datetime] = field(default_factory=dict)
    outboxes: Mapping[str, OutboxFigures] = field(default_factory=dict)
    instances: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    latest: Sequence[Study] = ()
    put_aside: Sequence[QuarantineEntry] = ()
    set_aside: SetAside = field(default_factory=SetAside)


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
    outbox: OutboxFigures
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
