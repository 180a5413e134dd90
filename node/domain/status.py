"""The status of the node at one moment, as values; `node.domain.health` judges them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from node.domain.backoff import Breaker
from node.domain.delivery import OPEN_DELIVERY_STATES, DeliveryState
from node.domain.nodes import SeenNode
from node.domain.notice import NoticeFigures
from node.domain.records import QuarantineEntry, Study
from node.domain.study import StudyState
from node.domain.wish import WishState

__all__ = [
    "UNFINISHED_STATES",
    "ArchiveStatus",
    "Condition",
    "DestinationStatus",
    "Disk",
    "FailedStudies",
    "NodeStatus",
    "OutboxFigures",
    "Queue",
    "RuleCount",
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
"""The states that a study passes through on its way, in order."""


class Condition(IntEnum):
    """Condition of a part of the node; that of the node is the largest of them."""

    WELL = 0
    CONCERN = 1
    FAULT = 2

    @property
    def words(self) -> str:
        """The condition in words."""
        return ("well", "needs a look", "out of order")[self]


@dataclass(frozen=True, slots=True)
class Station:
    """One part of the node.

    Attributes
    ----------
    name : str
        Name of the part.
    condition : Condition
        Its condition.
    words : str
        The condition in a sentence, without patient data.
    turns_away : bool
        Whether no image can be received in this condition.
    """

    name: str
    condition: Condition
    words: str
    turns_away: bool = False


@dataclass(frozen=True, slots=True)
class Queue:
    """The number of studies in one state, and since when the first is in it; None for a final state."""

    state: StudyState
    count: int
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True)
class OutboxFigures:
    """What was and is to be delivered to one destination.

    Attributes
    ----------
    counts : mapping of DeliveryState to int
        Number of objects in each state.
    oldest : datetime or None
        Since when the first study waits that has something to be delivered; None if none has.
    latest : datetime or None
        When the latest object was taken; None if none was.
    """

    counts: Mapping[DeliveryState, int] = field(default_factory=dict)
    oldest: datetime | None = None
    latest: datetime | None = None

    @property
    def waiting(self) -> int:
        """Number of objects that are still to be sent or confirmed."""
        return sum(self.counts.get(state, 0) for state in OPEN_DELIVERY_STATES)


@dataclass(frozen=True, slots=True)
class FailedStudies:
    """The number of failed studies that wait for an operator, and the latest of them."""

    count: int = 0
    latest: Sequence[Study] = ()


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """Figures of the store, read at one moment.

    Attributes
    ----------
    studies : mapping of StudyState to int
        Number of studies in each state.
    oldest : mapping of StudyState to datetime
        Since when the first study is in each unfinished state.
    outboxes : mapping of str to OutboxFigures
        By name of destination.
    instances : int
        Number of stored instances.
    quarantined : mapping of str to int
        Number of objects ever put into quarantine, by reason.
    latest : sequence of Study
        The studies that changed last, the latest first.
    latest_quarantined : sequence of QuarantineEntry
        The latest entries in quarantine, the latest first.
    failed_studies : FailedStudies
        The failed studies that wait for an operator.
    wishes : mapping of str to mapping of WishState to int
        Number of studies that are fetched in each state, by name of archive.
    """

    studies: Mapping[StudyState, int] = field(default_factory=dict)
    oldest: Mapping[StudyState, datetime] = field(default_factory=dict)
    outboxes: Mapping[str, OutboxFigures] = field(default_factory=dict)
    instances: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    latest: Sequence[Study] = ()
    latest_quarantined: Sequence[QuarantineEntry] = ()
    failed_studies: FailedStudies = field(default_factory=FailedStudies)
    wishes: Mapping[str, Mapping[WishState, int]] = field(default_factory=dict)


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
class RuleCount:
    """A rule, whether it takes, and how many objects it has discarded since the node started."""

    name: str
    take: bool
    discarded: int


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """One destination: address, condition, what waits for it, and when it is tried again."""

    name: str
    address: str
    condition: Condition
    words: str
    outbox: OutboxFigures
    breaker: Breaker


@dataclass(frozen=True, slots=True)
class ArchiveStatus:
    """One archive: address, condition, how many of its studies are in each state, and when it is tried."""

    name: str
    address: str
    condition: Condition
    words: str
    counts: Mapping[WishState, int]
    breaker: Breaker


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Everything that the status page and the metrics show.

    Attributes
    ----------
    at, started_at : datetime
        When this was read, and since when the node runs.
    ae_title, address : str
        AE title and address at which senders reach it.
    stations : tuple of Station
        Its parts.
    destinations : tuple of DestinationStatus
        The configured ones, and those that no longer are but have something waiting.
    figures : StoreFigures
        From the store; empty if it does not answer.
    disk : Disk
        Free disk and watermark.
    sweeps : tuple of SweepRun
        The timers.
    asked : mapping of str to Breaker
        The sources that are asked for their counts, by AE title.
    archives : tuple of ArchiveStatus
        The configured ones.
    rules : tuple of RuleCount
        What is taken of what arrives, in the order of the rules.
    told : mapping of str to Breaker
        The contacts, by name.
    notices : mapping of str to NoticeFigures
        What was and is to be told to each contact, by name.
    nodes : tuple of SeenNode
        All that work with the database; empty where that is a file.
    associations : int
        Open ones.
    workers, busy : int
        Number of worker processes, and how many of them are analysing.
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
    asked: Mapping[str, Breaker] = field(default_factory=dict)
    archives: tuple[ArchiveStatus, ...] = ()
    rules: tuple[RuleCount, ...] = ()
    told: Mapping[str, Breaker] = field(default_factory=dict)
    notices: Mapping[str, NoticeFigures] = field(default_factory=dict)
    nodes: tuple[SeenNode, ...] = ()
    associations: int = 0
    workers: int = 0
    busy: int = 0

    @property
    def condition(self) -> Condition:
        """The worst condition of any part, destination or archive."""
        stations = [part.condition for part in self.stations]
        destinations = [there.condition for there in self.destinations]
        return max(stations + destinations + [there.condition for there in self.archives])

    @property
    def unready(self) -> tuple[str, ...]:
        """Why no image can be received now; empty if it can."""
        return tuple(f"{part.name}: {part.words}" for part in self.stations if part.turns_away)

    @property
    def queue(self) -> tuple[Queue, ...]:
        """The studies in each state, in the order in which a study passes through them."""
        order = (*UNFINISHED_STATES, *(state for state in StudyState if state not in UNFINISHED_STATES))
        figures = self.figures
        return tuple(
            Queue(state, figures.studies.get(state, 0), figures.oldest.get(state)) for state in order
        )
