"""The sweep that gets the studies that are wished for from one archive."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from threading import Event, Lock
from uuid import uuid4

from node.config import FetchLimits, LookFor
from node.domain.archive import ArchiveQuery, FoundSeries, FoundStudy
from node.domain.backoff import Backoff, Breaker
from node.domain.records import AssociationRecord, Instance
from node.domain.rules import Rule
from node.domain.wish import Priority, WantedSeries, Wish, WishLease, WishState, clock_batch
from node.errors import BusyError, LeaseLostError, PermanentError, TransientError
from node.fetch.judge import asks_of_study, judge
from node.fetch.pace import Load, Permission, permission
from node.log import Log
from node.ports import Archive, Clock, WishQueue

__all__ = ["Fetcher", "FetcherState", "local_time"]

_LEASE = timedelta(hours=1)
"""Longer than one series takes; a node that starts frees the leases of the one before."""
_HOUR = timedelta(hours=1)
_LIVE_FOR = timedelta(seconds=10)
"""So long after the last image that was sent, more are expected."""
_STAND_BACK = timedelta(seconds=5)
_FAILED_IN_ROW = 3
"""If so many studies fail and none succeeds, the archive is to blame: it is asked less and less often."""
_LONG_AGO = "this node had it before, and its images are not kept any more"
_HERE = "all of its series that matter are here"


@dataclass(frozen=True, slots=True)
class FetcherState:
    """What an archive's fetcher tells of itself: its breaker, and why it does not take everything now."""

    breaker: Breaker = field(default_factory=Breaker)
    rests: str = ""


class Fetcher:
    """Gets studies from one archive. `sweep` may run in several threads, one for each association.

    An archive that cannot be reached costs no study an attempt: its breaker opens, and one study tests it
    later. A study of which the archive sends only a part is asked for again, and given up in the end. If
    several studies fail one after the other, the breaker opens, too: an archive that was configured wrongly
    must not use up the attempts of a whole backlog.

    Parameters
    ----------
    archive : Archive
        The archive.
    limits, look_for : FetchLimits, LookFor
        How much is asked, and of what kind are the studies for which the clock asks.
    queue, clock : WishQueue, Clock
        See `node.ports`.
    backoff : Backoff
        Pauses after failures.
    attempts : int
        Failed attempts after which a study is given up.
    owner : str
        Identifies this node in its leases.
    stopping : Event
        Set when the node stops; nothing is begun after that.
    log : Log
        Logs one line for each end of a study, and each failure.
    rules : callable, optional
        Returns the rules in force: what they would discard is not fetched.
    source : str, optional
        AE title of the archive, for the rules.
    day_time : callable, optional
        Returns the local time of the day at a moment.
    """

    def __init__(
        self,
        archive: Archive,
        limits: FetchLimits,
        look_for: LookFor,
        *,
        queue: WishQueue,
        clock: Clock,
        backoff: Backoff,
        attempts: int,
        owner: str,
        stopping: Event,
        log: Log,
        rules: Callable[[], Sequence[Rule]] = tuple,
        source: str = "",
        day_time: Callable[[datetime], time] | None = None,
    ) -> None:
        self._archive = archive
        self._limits = limits
        self._look_for = look_for
        self._queue = queue
        self._clock = clock
        self._backoff = backoff
        self._attempts = attempts
        self._owner = owner
        self._stopping = stopping
        self._log = log
        self._rules = rules
        self._source = source
        self._day_time = day_time or local_time
        self._lock = Lock()
        self._state = FetcherState()
        self._failed: set[str] = set()
        """Studies that failed since the last that did not."""

    @property
    def name(self) -> str:
        """Name of the archive."""
        return self._archive.name

    @property
    def state(self) -> FetcherState:
        """Whether the archive was reached the last time, and whether it rests."""
        return self._state

    def sweep(self) -> int:
        """Get all studies that are due and may be asked for now; return how many were worked on."""
        count = 0
        while (lease := self._next()) is not None:
            self._fulfil(lease)
            count += 1
        return count

    def _next(self) -> WishLease | None:
        now = self._clock.now()
        if self._stopping.is_set() or not self._state.breaker.allows(now):
            return None
        permitted = self._permission(now)
        self._state = FetcherState(self._state.breaker, permitted.reason)
        return self._queue.lease_wish(self.name, self._owner, now, now + _LEASE, which=permitted.which)

    def _permission(self, now: datetime) -> Permission:
        load = Load(
            self._queue.count_begun(self.name, now - _HOUR) if self._limits.studies_per_hour else 0,
            self._queue.count_unfinished_fetched(),
            self._queue.is_live_arriving(now - _LIVE_FOR),
        )
        return permission(self._limits, load, self._day_time(now))

    def _fulfil(self, lease: WishLease) -> None:
        study = lease.wish.study_uid
        try:
            judged = lease if lease.wish.series else self._judge(lease)
            if judged is not None:
                self._retrieve(judged)
        except LeaseLostError:
            self._log.info("fetch_given_up", study=study, archive=self.name)
        except (TransientError, PermanentError) as error:
            self._note_failure(lease, error)
        else:
            with self._lock:
                self._failed.clear()
                self._state = FetcherState()

    def _judge(self, lease: WishLease) -> WishLease | None:
        """Record which series are to be fetched; None if the wish ends instead."""
        wish = lease.wish
        here = self._queue.instances(wish.study_uid)
        if not here and self._queue.study(wish.study_uid) is not None:
            self._end(lease, WishState.HERE, _LONG_AGO)
            return None
        found = self._archive.find_series(wish.study_uid)
        if not found:
            self._end(lease, WishState.NOT_FOUND, "the archive does not have it")
            return None
        by_clock = wish.batch == clock_batch(self.name)
        look_for = self._look_for if by_clock else None
        rules, source = self._rules(), self._source
        study = self._told_of(wish.study_uid) if asks_of_study(rules) else None
        judgement = judge(found, self._archive.read_facts, look_for, rules=rules, source=source, study=study)
        if not judgement.wanted:
            self._end(lease, WishState.NOT_FOR_US, judgement.reason)
            return None
        series = _to_fetch(judgement.wanted, here)
        judged = self._queue.record_judged(lease, series, self._clock.now(), was_here=bool(here))
        if judged.wish.missing:
            return judged
        self._note_whole(judged.wish)
        self._end(judged, WishState.HERE, _HERE)
        return None

    def _told_of(self, study_uid: str) -> FoundStudy | None:
        """Return what the archive tells of a study; None if it tells nothing: then no rule discards by it."""
        found = self._archive.find_studies(ArchiveQuery(study_uid=study_uid, modality=""), 1)
        return next(iter(found), None)

    def _retrieve(self, lease: WishLease) -> None:
        """Get the series that are missing, and record the end of the wish."""
        wish, told = lease.wish, ""
        rules: set[str] = set()
        for series in wish.missing:
            if self._stopping.is_set():
                return  # the lease is released when the store closes
            if self._must_stand_back(wish):
                now = self._clock.now()
                words = "images that are being sent to this node go first"
                self._queue.put_off_wish(lease, words, now, now + _STAND_BACK, attempts=wish.attempts)
                return
            lease, reason, discarding = self._retrieve_series(lease, series)
            told, rules = told or reason, rules | discarding
        if told:
            raise TransientError(told)
        # Before the wish ends: until then the study waits to be judged.
        self._note_whole(lease.wish)
        if lease.wish.images:
            self._end(lease, WishState.FETCHED, "")
        else:
            named = ": " + ", ".join(sorted(rules)) if rules else ""
            self._end(lease, WishState.NOT_FOR_US, f"the rules discarded all of its images{named}")

    def _must_stand_back(self, wish: Wish) -> bool:
        is_backlog = wish.priority is Priority.BACKLOG
        return is_backlog and self._queue.is_live_arriving(self._clock.now() - _LIVE_FOR)

    def _retrieve_series(
        self, lease: WishLease, series: WantedSeries
    ) -> tuple[WishLease, str, frozenset[str]]:
        """Get one series; return the lease, why images of it are missing, and which rules discard some."""
        got = self._archive.retrieve(lease.wish.study_uid, series.series_uid)
        now = self._clock.now()
        came = got.completed + got.discarded
        expected = max(series.images or 0, came + got.failed, 1)
        is_whole = came >= expected
        lease = self._queue.record_series(
            lease, series.series_uid, got.completed, now, now + _LEASE, is_all=is_whole and got.discarded > 0
        )
        if is_whole:
            return lease, "", got.rules
        told = f"{got.completed} of {expected} images of a series came"
        return lease, (f"{told}: {got.reason}" if got.reason else told), got.rules

    def _note_whole(self, wish: Wish) -> None:
        """Note that series are here in full that a transfer before, which was cut off, left in doubt."""
        ours = {one.series_uid for one in wish.series}
        lost = ours & self._queue.cut_off_series(wish.study_uid)
        if lost:
            now = self._clock.now()
            series = frozenset((wish.study_uid, uid) for uid in lost)
            self._queue.end_association(AssociationRecord(uuid4().hex, now, series), now, orderly=True)

    def _end(self, lease: WishLease, state: WishState, reason: str) -> None:
        self._queue.end_wish(lease, state, reason, self._clock.now())
        self._log.info(
            "fetch_ended", study=lease.wish.study_uid, archive=self.name, state=state.value, reason=reason
        )

    def _note_failure(self, lease: WishLease, error: TransientError | PermanentError) -> None:
        """Tell a fault of the archive from one of the study, and put the study off or give it up."""
        wish, reason = lease.wish, str(error)
        if self._stopping.is_set():
            return  # the node itself broke it off; the lease is released when the store closes
        outage = self._outage(error)
        if outage is not None:
            self._open_breaker(lease, outage, wish.attempts)
            return
        with self._lock:
            self._failed.add(wish.study_uid)
            is_for_all = len(self._failed) >= _FAILED_IN_ROW
        attempts = wish.attempts + 1
        if attempts >= self._attempts or (isinstance(error, PermanentError) and not is_for_all):
            self._give_up(lease, reason)
        elif is_for_all:
            self._open_breaker(lease, error, attempts)
        else:
            again = self._clock.now() + self._backoff.pause(attempts)
            self._put_off(lease, reason, again, attempts)

    def _outage(self, error: TransientError | PermanentError) -> TransientError | PermanentError | None:
        """Return why the archive answers nobody; None if it does, so that the fault is one of the study."""
        if isinstance(error, BusyError):
            return error  # it said itself that it is asked too much, so it is not asked once more
        try:
            self._archive.reach()
        except (TransientError, PermanentError) as outage:
            return outage
        return None

    def _open_breaker(self, lease: WishLease, error: TransientError | PermanentError, attempts: int) -> None:
        now, reason = self._clock.now(), str(error)
        wait_s = error.wait_s if isinstance(error, BusyError) else 0.0
        with self._lock:
            breaker = self._state.breaker.after_failure(now, self._backoff, reason, wait_s)
            self._state = FetcherState(breaker, reason)
        again = breaker.open_until or now
        # Later than the archive itself, so that another study tests it: this one may be the cause.
        self._put_off(lease, reason, again + (again - now) / 2, attempts)
        self._log.warning(
            "archive_unreachable",
            archive=self.name,
            reason=reason,
            retry_in_s=round((again - now).total_seconds(), 1),
        )

    def _put_off(self, lease: WishLease, reason: str, again: datetime, attempts: int) -> None:
        try:
            self._queue.put_off_wish(lease, reason, self._clock.now(), again, attempts=attempts)
        except LeaseLostError:
            return
        self._log.warning("fetch_put_off", study=lease.wish.study_uid, archive=self.name, reason=reason)

    def _give_up(self, lease: WishLease, reason: str) -> None:
        try:
            self._end(lease, WishState.FAILED, reason)
        except LeaseLostError:
            self._log.info("fetch_given_up", study=lease.wish.study_uid, archive=self.name)


def local_time(moment: datetime) -> time:
    """Return the time of the day where this machine is."""
    return moment.astimezone().time()


def _to_fetch(wanted: Sequence[FoundSeries], here: Sequence[Instance]) -> tuple[WantedSeries, ...]:
    """Return the series to fetch; one of which all images are here counts as completed."""
    counts = Counter(one.series_uid for one in here)
    return tuple(
        WantedSeries(
            one.series_uid,
            one.images,
            counts[one.series_uid] if one.images and counts[one.series_uid] >= one.images else None,
        )
        for one in wanted
    )
