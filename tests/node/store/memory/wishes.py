"""Studies that are fetched, in memory."""

# ruff: noqa: D102 - `node.ports` describes each method
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from node.domain.study import StudyState
from node.domain.wish import (
    RENEWABLE_STATES,
    Batch,
    BatchFigures,
    Eligible,
    NewWish,
    Taken,
    WantedSeries,
    Wish,
    WishEnd,
    WishLease,
    WishState,
    not_configured,
)
from node.errors import LeaseLostError
from tests.node.store.memory.tables import Tables, WishRow

__all__ = ["MemoryWishes"]

_UNFINISHED = {StudyState.RECEIVING, StudyState.SETTLED, StudyState.READY, StudyState.ANALYSING}


class MemoryWishes:
    """The ports `WishQueue` and `WishBook`."""

    _tables: Tables

    def wishes(self, study_uid: str) -> tuple[Wish, ...]:
        with self._tables.lock:
            rows = sorted(self._tables.wishes.items())
        return tuple(row.wish for (_, study), row in rows if study == study_uid)

    def lease_wish(
        self, archive: str, owner: str, now: datetime, until: datetime, *, which: Eligible = Eligible.ALL
    ) -> WishLease | None:
        t = self._tables
        with t.transaction():
            due = [
                row
                for row in t.wishes.values()
                if row.wish.archive == archive and row.wish.is_open and row.wish.not_before <= now
                if row.lease_until is None or row.lease_until <= now
                if not t.batches[row.wish.batch].paused and which.holds(row.wish.priority, row.wish.state)
            ]
            if not due:
                return None
            row = min(due, key=_place)
            token = f"{owner}-{uuid4().hex}"
            wish = replace(row.wish, state=WishState.FETCHING if row.wish.series else WishState.JUDGING)
            t.wishes[archive, wish.study_uid] = WishRow(wish, row.begun_at, token, until)
            return WishLease(wish, token)

    def tell_unconfigured(self, archives: Collection[str], now: datetime) -> Mapping[str, int]:
        told: Counter[str] = Counter()
        with self._tables.transaction():
            for (archive, _), row in list(self._tables.wishes.items()):
                wish, words = row.wish, not_configured(archive)
                if not wish.is_open:
                    continue
                if archive not in archives:
                    rests = replace(wish, state=WishState.WAITING, reason=words, changed_at=now)
                    self._put_wish(WishRow(rests, row.begun_at))
                    told[archive] += 1
                elif wish.reason == words:
                    self._put_wish(replace(row, wish=replace(wish, reason="")))
        return told

    def _held_wish(self, lease: WishLease) -> WishRow:
        row = self._tables.wishes[lease.wish.archive, lease.wish.study_uid]
        if row.token != lease.token:
            raise LeaseLostError("another took it over")
        return row

    def _put_wish(self, row: WishRow) -> None:
        self._tables.wishes[row.wish.archive, row.wish.study_uid] = row

    def record_judged(
        self, lease: WishLease, series: Sequence[WantedSeries], now: datetime, *, was_here: bool
    ) -> WishLease:
        with self._tables.transaction():
            row = self._held_wish(lease)
            wish = replace(
                row.wish,
                state=WishState.FETCHING,
                series=tuple(series),
                was_here=was_here if row.begun_at is None else row.wish.was_here,
                changed_at=now,
                reason="",
            )
            self._put_wish(replace(row, wish=wish, begun_at=now))
            return WishLease(wish, lease.token)

    def record_series(
        self,
        lease: WishLease,
        series_uid: str,
        completed: int,
        now: datetime,
        until: datetime,
        *,
        is_all: bool = False,
    ) -> WishLease:
        with self._tables.transaction():
            row = self._held_wish(lease)
            series = [
                one.after(completed, is_all=is_all) if one.series_uid == series_uid else one
                for one in row.wish.series
            ]
            wish = replace(row.wish, series=tuple(series), changed_at=now)
            self._put_wish(replace(row, wish=wish, lease_until=until))
            return WishLease(wish, lease.token)

    def end_wish(self, lease: WishLease, state: WishState, reason: str, now: datetime) -> None:
        with self._tables.transaction():
            row = self._held_wish(lease)
            self._put_wish(
                WishRow(replace(row.wish, state=state, reason=reason, changed_at=now), row.begun_at)
            )

    def put_off_wish(
        self, lease: WishLease, reason: str, now: datetime, not_before: datetime, *, attempts: int
    ) -> None:
        with self._tables.transaction():
            row = self._held_wish(lease)
            state = WishState.WAITING if row.begun_at is None else WishState.FETCHING
            wish = replace(
                row.wish,
                state=state,
                reason=reason,
                changed_at=now,
                not_before=not_before,
                attempts=attempts,
            )
            self._put_wish(WishRow(wish, row.begun_at))

    def count_begun(self, archive: str, since: datetime) -> int:
        with self._tables.lock:
            rows = [row for row in self._tables.wishes.values() if row.wish.archive == archive]
            return sum(row.begun_at is not None and row.begun_at > since for row in rows)

    def count_unfinished_fetched(self) -> int:
        with self._tables.lock:
            fetched = {row.wish.study_uid for row in self._tables.wishes.values() if _came(row.wish)}
            return sum(
                one.state in _UNFINISHED and one.study_uid in fetched for one in self._tables.all_studies()
            )

    def is_live_arriving(self, since: datetime) -> bool:
        with self._tables.lock:
            begun = {row.wish.study_uid for row in self._tables.wishes.values() if row.begun_at is not None}
            return any(
                one.state is StudyState.RECEIVING and one.last_arrival > since and one.study_uid not in begun
                for one in self._tables.all_studies()
            )

    def put_wishes(self, batch: Batch, studies: Sequence[NewWish], now: datetime, *, renew: bool) -> Taken:
        t = self._tables
        new = renewed = 0
        with t.transaction():
            t.batches.setdefault(batch.name, batch)
            for study in studies:
                there = t.wishes.get((batch.archive, study.study_uid))
                fresh = Wish(
                    batch.archive, study.study_uid, batch.name, batch.priority, WishState.WAITING, "",
                    now, now, now, study_date=study.study_date, sends_old=batch.sends_old,
                    told=study.images,
                )  # fmt: skip
                if there is None:
                    self._put_wish(WishRow(fresh))
                    new += 1
                elif _has_ended(there.wish) and there.wish.has_grown(study.images):
                    again = replace(fresh, queued_at=there.wish.queued_at, study_date=there.wish.study_date)
                    again = replace(again, was_here=there.wish.was_here, came_before=_came(there.wish))
                    self._put_wish(WishRow(again, there.begun_at))
                    renewed += 1
                elif renew and there.wish.state in RENEWABLE_STATES:
                    old = there.wish
                    again = replace(fresh, queued_at=old.queued_at, study_date=old.study_date, told=old.told)
                    series = () if old.state is WishState.NOT_FOR_US else old.series
                    again = replace(again, series=series, was_here=old.was_here, came_before=_came(old))
                    is_new = old.state is WishState.NOT_FOR_US and not _came(old)
                    self._put_wish(WishRow(again, None if is_new else there.begun_at))
                    renewed += 1
                else:
                    priority = min(there.wish.priority, batch.priority)
                    self._put_wish(replace(there, wish=replace(there.wish, priority=priority)))
            before = len(studies) - new - renewed
            entered = t.batches[batch.name]
            if renew:
                t.batches[batch.name] = replace(entered, before=entered.before + before)
        return Taken(new, renewed, before)

    def pause_batches(self, names: Collection[str], *, paused: bool) -> int:
        t = self._tables
        with t.transaction():
            changed = [one for one in t.batches.values() if one.name in names and one.paused != paused]
            t.batches.update({one.name: replace(one, paused=paused) for one in changed})
            return len(changed)

    def cancel_wishes(self, names: Collection[str], now: datetime) -> int:
        t = self._tables
        with t.transaction():
            ended = [row for row in t.wishes.values() if row.wish.batch in names and row.wish.is_open]
            for row in ended:
                wish = replace(
                    row.wish,
                    state=WishState.CANCELLED,
                    reason="an operator cancelled it",
                    changed_at=now,
                )
                self._put_wish(WishRow(wish, row.begun_at))
            return len(ended)

    def batches(self, limit: int) -> tuple[BatchFigures, ...]:
        with self._tables.lock:
            latest = sorted(self._tables.batches.values(), key=lambda one: one.name)
            latest.sort(key=lambda one: one.asked_at, reverse=True)
            counts = {
                one.name: Counter(
                    row.wish.state for row in self._tables.wishes.values() if row.wish.batch == one.name
                )
                for one in latest
            }
        return tuple(BatchFigures(one, counts[one.name]) for one in latest[:limit])

    def ends_of_batch(self, name: str) -> tuple[WishEnd, ...]:
        with self._tables.lock:
            wishes = [row.wish for _, row in sorted(self._tables.wishes.items()) if row.wish.batch == name]
            return tuple(_end(one, self._tables) for one in wishes)


def _end(wish: Wish, tables: Tables) -> WishEnd:
    study = tables.study(wish.study_uid)
    if study is None:
        return WishEnd(wish.study_uid, wish.state, wish.reason)
    return WishEnd(wish.study_uid, wish.state, wish.reason, study.state, study.reason)


def _place(row: WishRow) -> tuple[int, int, datetime, str]:
    order = (WishState.FETCHING, WishState.JUDGING, WishState.WAITING)
    return row.wish.priority, order.index(row.wish.state), row.wish.queued_at, row.wish.study_uid


def _has_ended(wish: Wish) -> bool:
    return not wish.is_open and wish.state is not WishState.CANCELLED


def _came(wish: Wish) -> int:
    return max(wish.images, wish.came_before)
