"""Studies that this node is to get from an archive, and what became of each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import IntEnum, StrEnum

from node.domain.study import StudyState

__all__ = [
    "OPEN_WISH_STATES",
    "RENEWABLE_STATES",
    "Batch",
    "BatchFigures",
    "Eligible",
    "NewWish",
    "Outcome",
    "Priority",
    "Taken",
    "WantedSeries",
    "Wish",
    "WishEnd",
    "WishLease",
    "WishState",
    "brought_by",
    "came_as_backlog",
    "clock_batch",
    "not_configured",
    "outcome_of",
]


class WishState(StrEnum):
    """State of a wish; it is stored, so that a restart continues from it."""

    WAITING = "waiting"
    JUDGING = "judging"
    """The archive is being asked for its series."""
    FETCHING = "fetching"
    """Its series are known, and some of them are still to come."""
    FETCHED = "fetched"
    HERE = "here"
    """This node had it already."""
    NOT_FOR_US = "not_for_us"
    NOT_FOUND = "not_found"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN_WISH_STATES = frozenset({WishState.WAITING, WishState.JUDGING, WishState.FETCHING})
"""States in which something is still to be done."""
RENEWABLE_STATES = frozenset(
    {WishState.NOT_FOUND, WishState.NOT_FOR_US, WishState.FAILED, WishState.CANCELLED}
)
"""States from which a wish begins anew when a person asks for the study again."""


class Priority(IntEnum):
    """What goes first; a study that was sent to this node counts as `LIVE`."""

    LIVE = 0
    BACKLOG = 1


class Eligible(StrEnum):
    """Which wishes may be worked on at a moment."""

    ALL = "all"
    LIVE_OR_BEGUN = "live or begun"
    BEGUN = "begun"
    LIVE = "live"

    def holds(self, priority: Priority, state: WishState) -> bool:
        """Tell whether a wish of this priority and state may be worked on.

        Examples
        --------
        >>> Eligible.BEGUN.holds(Priority.BACKLOG, WishState.FETCHING)
        True
        >>> Eligible.LIVE.holds(Priority.BACKLOG, WishState.FETCHING)
        False
        """
        is_live, is_begun = priority is Priority.LIVE, state is WishState.FETCHING
        return {
            Eligible.ALL: True,
            Eligible.LIVE_OR_BEGUN: is_live or is_begun,
            Eligible.BEGUN: is_begun,
            Eligible.LIVE: is_live,
        }[self]


@dataclass(frozen=True, slots=True)
class WantedSeries:
    """A series that is to be fetched.

    Attributes
    ----------
    series_uid : str
        Series Instance UID.
    images : int or None
        How many images the archive says that it has.
    completed : int or None
        How many of them came; None until it was fetched.
    """

    series_uid: str
    images: int | None = None
    completed: int | None = None

    def after(self, completed: int, *, is_all: bool = False) -> "WantedSeries":
        """Return it with so many images that came, which with `is_all` are all that will be kept."""
        return replace(self, completed=completed, images=completed if is_all else self.images)


@dataclass(frozen=True, slots=True)
class NewWish:
    """A study that is wished for, with its date and how many images it has, if the archive tells so."""

    study_uid: str
    study_date: date | None = None
    images: int | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """One study of one archive that is wished for.

    Attributes
    ----------
    archive, study_uid : str
        Name of the archive in the configuration, and Study Instance UID.
    batch : str
        Name of the batch that it belongs to.
    priority : Priority
        Whether it goes before the backlog.
    state : WishState
        How far it is.
    reason : str
        Why it is in this state, in words; empty if that is plain.
    queued_at, changed_at, not_before : datetime
        When it was put, when its state changed, and when it is worked on at the earliest.
    attempts : int
        Failed attempts so far; those in which the archive could not be reached do not count.
    study_date : date or None
        StudyDate.
    series : tuple of WantedSeries
        The series to fetch; empty until it was judged.
    was_here : bool
        Whether images of it had come without this wish before it was judged.
    sends_old : bool
        As its batch says.
    told : int or None
        How many images the archive said that the study has.
    came_before : int
        How many images had come before it was judged the last time.
    """

    archive: str
    study_uid: str
    batch: str
    priority: Priority
    state: WishState
    reason: str
    queued_at: datetime
    changed_at: datetime
    not_before: datetime
    attempts: int = 0
    study_date: date | None = None
    series: tuple[WantedSeries, ...] = ()
    was_here: bool = False
    sends_old: bool = False
    told: int | None = None
    came_before: int = 0

    def has_grown(self, images: int | None) -> bool:
        """Tell whether the archive has more images by now than it told before."""
        return self.told is not None and images is not None and images > self.told

    @property
    def is_whole(self) -> bool:
        """Whether every series to fetch came in full, as far as the archive tells its size."""
        return bool(self.series) and not self.missing

    @property
    def missing(self) -> tuple[WantedSeries, ...]:
        """The series that are still to be fetched."""
        return tuple(one for one in self.series if one.completed is None or one.completed < (one.images or 0))

    @property
    def images(self) -> int:
        """How many images came."""
        return sum(one.completed or 0 for one in self.series)

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done."""
        return self.state in OPEN_WISH_STATES


@dataclass(frozen=True, slots=True)
class WishLease:
    """The right of one fetcher to a wish, for a limited time; `token` identifies it."""

    wish: Wish
    token: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Wishes that were put together.

    Attributes
    ----------
    name : str
        Identifies it.
    archive : str
        Which archive is asked.
    words : str
        What was asked for, without patient data.
    asked_at : datetime
        When it was put.
    priority : Priority
        Of its wishes.
    sends_old : bool
        Whether results of old studies are sent, too; see `[[archives]] results_not_older_than_days`.
    paused : bool
        Whether its wishes rest.
    missing : tuple of str
        What the archive did not find, as places in the list that was given, such as "line 3".
    before : int
        How many of its studies a person had asked for before; they belong to an earlier batch.
    """

    name: str
    archive: str
    words: str
    asked_at: datetime
    priority: Priority = Priority.BACKLOG
    sends_old: bool = False
    paused: bool = False
    missing: tuple[str, ...] = ()
    before: int = 0


@dataclass(frozen=True, slots=True)
class BatchFigures:
    """A batch, and how many of its wishes are in each state."""

    batch: Batch
    counts: Mapping[WishState, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many wishes it has."""
        return sum(self.counts.values())

    @property
    def still_open(self) -> int:
        """How many of them are not at their end."""
        return sum(self.counts.get(state, 0) for state in OPEN_WISH_STATES)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of studies that were put: new wishes, wishes begun anew, and those asked for before."""

    new: int = 0
    renewed: int = 0
    before: int = 0


@dataclass(frozen=True, slots=True)
class WishEnd:
    """A wish with what became of its study in this node.

    Attributes
    ----------
    study_uid : str
        Study Instance UID.
    state, reason : WishState, str
        Of the wish.
    study_state, study_reason : StudyState or None, str
        Of the study; None if nothing of it is known here.
    """

    study_uid: str
    state: WishState
    reason: str
    study_state: StudyState | None = None
    study_reason: str = ""


class Outcome(StrEnum):
    """What became of a study that was asked for, as a person wants to know it."""

    UNDER_WAY = "under way"
    ANALYSED = "analysed"
    REFUSED = "refused"
    NOT_FOR_US = "not for us"
    NOT_FOUND = "not found"
    FAILED = "failed"
    CANCELLED = "cancelled"


_BY_STUDY = {
    StudyState.REPORTED: Outcome.ANALYSED,
    StudyState.DELIVERING: Outcome.ANALYSED,
    StudyState.DELIVERED: Outcome.ANALYSED,
    StudyState.REFUSED: Outcome.REFUSED,
    StudyState.NOT_FOR_US: Outcome.NOT_FOR_US,
    StudyState.FAILED: Outcome.FAILED,
}
_BY_WISH = {
    WishState.NOT_FOR_US: Outcome.NOT_FOR_US,
    WishState.NOT_FOUND: Outcome.NOT_FOUND,
    WishState.FAILED: Outcome.FAILED,
    WishState.CANCELLED: Outcome.CANCELLED,
}


def outcome_of(end: WishEnd) -> tuple[Outcome, str]:
    """Return what became of a study, and the reason where it has no result.

    Examples
    --------
    >>> outcome_of(WishEnd("1.2", WishState.FETCHED, "", StudyState.REFUSED, "a slice is missing"))
    (<Outcome.REFUSED: 'refused'>, 'a slice is missing')
    >>> outcome_of(WishEnd("1.2", WishState.NOT_FOUND, "the archive does not have it"))
    (<Outcome.NOT_FOUND: 'not found'>, 'the archive does not have it')
    >>> outcome_of(WishEnd("1.2", WishState.FETCHING, "", StudyState.RECEIVING))
    (<Outcome.UNDER_WAY: 'under way'>, '')
    """
    if end.state in OPEN_WISH_STATES:
        return Outcome.UNDER_WAY, end.reason
    if end.state in _BY_WISH:
        return _BY_WISH[end.state], end.reason
    found = _BY_STUDY.get(end.study_state, Outcome.UNDER_WAY) if end.study_state else Outcome.UNDER_WAY
    return found, "" if found is Outcome.ANALYSED else end.study_reason


def clock_batch(archive: str) -> str:
    """Return the name of the batch of what is asked by the clock.

    Examples
    --------
    >>> clock_batch("pacs")
    'clock-pacs'
    """
    return f"clock-{archive}"


def not_configured(archive: str) -> str:
    """Return why a wish for an archive rests that the configuration does not name any more.

    Examples
    --------
    >>> not_configured("pacs")
    'the archive pacs is not configured; name it in [[archives]] again, or cancel the order'
    """
    return f"the archive {archive} is not configured; name it in [[archives]] again, or cancel the order"


def brought_by(wishes: Iterable[Wish]) -> Wish | None:
    """Return the wish by which a study came; None if it was sent to this node without being asked for."""
    # Also while it is judged again because it has grown: its results go where they went before.
    brought = (one for one in wishes if (one.images or one.came_before) and not one.was_here)
    return next(brought, None)


def came_as_backlog(wishes: Iterable[Wish]) -> bool:
    """Tell whether a study with these wishes came only because it was fetched as backlog."""
    wish = brought_by(wishes)
    return wish is not None and wish.priority is Priority.BACKLOG
