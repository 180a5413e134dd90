"""Studies that are fetched, as the station that fetches takes them one after the other."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Engine, Row, Update, case, exists, func, or_, select, update

from node.domain.study import StudyState
from node.domain.wish import (
    OPEN_WISH_STATES,
    Eligible,
    Priority,
    WantedSeries,
    Wish,
    WishLease,
    WishState,
    not_configured,
)
from node.errors import LeaseLostError
from node.store import tables as t
from node.store.steps import for_update
from node.store.wish_rows import series_text, wish_of

__all__ = ["SqlWishQueue"]

_UNFINISHED = (StudyState.RECEIVING, StudyState.SETTLED, StudyState.READY, StudyState.ANALYSING)
_UNLEASED: Mapping[str, object] = {"lease_token": None, "lease_until": None}


class SqlWishQueue:
    """The `WishQueue` port, except for what is read of a study.

    Parameters
    ----------
    engine : Engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def wishes(self, study_uid: str) -> tuple[Wish, ...]:
        """See `node.ports.StudyReader`."""
        of_study = select(t.wishes).where(t.wishes.c.study_uid == study_uid).order_by(t.wishes.c.archive)
        with t.reading(self._engine) as connection:
            return tuple(wish_of(row) for row in connection.execute(of_study))

    def lease_wish(
        self, archive: str, owner: str, now: datetime, until: datetime, *, which: Eligible = Eligible.ALL
    ) -> WishLease | None:
        """See `node.ports.WishQueue`."""
        token = f"{owner}-{uuid4().hex}"[:64]
        with t.writing(self._engine) as connection:
            found = _next(connection, archive, now, which)
            if found is None:
                return None
            wish = wish_of(found)
            state = WishState.FETCHING if wish.series else WishState.JUDGING
            taken = {"state": state, "lease_token": token, "lease_until": until}
            connection.execute(_of(wish).values(taken))
        return WishLease(replace(wish, state=state), token)

    def record_judged(
        self, lease: WishLease, series: Sequence[WantedSeries], now: datetime, *, was_here: bool
    ) -> WishLease:
        """See `node.ports.WishQueue`."""
        first = t.wishes.c.begun_at.is_(None)
        here = sum(one.completed or 0 for one in series)
        self._change(
            lease,
            {
                "state": WishState.FETCHING, "series": series_text(series),
                "was_here": case((first, was_here), else_=t.wishes.c.was_here),
                "images": case((t.wishes.c.images > here, t.wishes.c.images), else_=here),
                "begun_at": now, "changed_at": now, "reason": "",
            },
        )  # fmt: skip
        judged = next(one for one in self.wishes(lease.wish.study_uid) if one.archive == lease.wish.archive)
        return replace(lease, wish=judged)

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
        """See `node.ports.WishQueue`."""
        series = tuple(
            one.after(completed, is_all=is_all) if one.series_uid == series_uid else one
            for one in lease.wish.series
        )
        wish = replace(lease.wish, series=series, changed_at=now)
        came = {
            "series": series_text(series), "images": max(wish.images, wish.came_before),
            "changed_at": now, "lease_until": until,
        }  # fmt: skip
        self._change(lease, came)
        return replace(lease, wish=wish)

    def end_wish(self, lease: WishLease, state: WishState, reason: str, now: datetime) -> None:
        """See `node.ports.WishQueue`."""
        self._change(lease, {"state": state, "reason": reason, "changed_at": now, **_UNLEASED})

    def put_off_wish(
        self, lease: WishLease, reason: str, now: datetime, not_before: datetime, *, attempts: int
    ) -> None:
        """See `node.ports.WishQueue`."""
        state = case((t.wishes.c.begun_at.is_(None), WishState.WAITING), else_=WishState.FETCHING)
        again = {"reason": reason, "changed_at": now, "not_before": not_before, "attempts": attempts}
        self._change(lease, {"state": state, **again, **_UNLEASED})

    def tell_unconfigured(self, archives: Collection[str], now: datetime) -> Mapping[str, int]:
        """See `node.ports.WishQueue`."""
        row = t.wishes.c
        still_open = row.state.in_(list(OPEN_WISH_STATES))
        told: dict[str, int] = {}
        with t.writing(self._engine) as connection:
            named = connection.execute(select(row.archive).where(still_open).distinct()).scalars().all()
            for name in named:
                of_archive, words = (
                    update(t.wishes).where(row.archive == name, still_open),
                    not_configured(name),
                )
                if name in archives:
                    connection.execute(of_archive.where(row.reason == words).values(reason=""))
                    continue
                # Not "fetching": that would keep a study from being judged by what has come of it.
                rests = {"state": WishState.WAITING, "reason": words, "changed_at": now, **_UNLEASED}
                told[name] = connection.execute(of_archive.values(rests)).rowcount
        return told

    def count_begun(self, archive: str, since: datetime) -> int:
        """See `node.ports.WishQueue`."""
        begun = (
            select(func.count())
            .select_from(t.wishes)
            .where(t.wishes.c.archive == archive, t.wishes.c.begun_at > since)
        )
        with t.reading(self._engine) as connection:
            return connection.execute(begun).scalar_one()

    def count_unfinished_fetched(self) -> int:
        """See `node.ports.WishQueue`."""
        fetched = exists().where(t.wishes.c.study_uid == t.studies.c.study_uid, t.wishes.c.images > 0)
        unfinished = (
            select(func.count())
            .select_from(t.studies)
            .where(t.studies.c.state.in_(_UNFINISHED), fetched)
        )  # fmt: skip
        with t.reading(self._engine) as connection:
            return connection.execute(unfinished).scalar_one()

    def is_live_arriving(self, since: datetime) -> bool:
        """See `node.ports.WishQueue`."""
        asked_for = exists().where(
            t.wishes.c.study_uid == t.studies.c.study_uid, t.wishes.c.begun_at.is_not(None)
        )
        live = (
            select(t.studies.c.study_uid)
            .where(
                t.studies.c.state == StudyState.RECEIVING, t.studies.c.last_arrival > since, ~asked_for
            )
            .limit(1)
        )  # fmt: skip
        with t.reading(self._engine) as connection:
            return connection.execute(live).first() is not None

    def _change(self, lease: WishLease, values: Mapping[str, object]) -> None:
        ours = _of(lease.wish).where(t.wishes.c.lease_token == lease.token)
        with t.writing(self._engine) as connection:
            if not connection.execute(ours.values(dict(values))).rowcount:
                raise LeaseLostError("another took this wish over, or it was cancelled")


_ORDER = tuple(
    (priority, state)
    for priority in Priority
    for state in (WishState.FETCHING, WishState.JUDGING, WishState.WAITING)
)
"""What goes first; one look in the index for each, however long the backlog is."""


def _next(connection: Connection, archive: str, now: datetime, which: Eligible) -> Row[Any] | None:
    """Return the row of the wish that is due and goes first; None if none is."""
    row = t.wishes.c
    free = or_(row.lease_until.is_(None), row.lease_until <= now)
    resting = select(t.wish_batches.c.name).where(t.wish_batches.c.paused)
    for priority, state in _ORDER:
        if not which.holds(priority, state):
            continue
        due = (
            select(t.wishes)
            .where(
                row.archive == archive, row.state == state, row.priority == priority,
                row.not_before <= now, free, row.batch.not_in(resting),
            )
            .order_by(row.queued_at, row.study_uid)
            .limit(1)
        )  # fmt: skip
        found = connection.execute(for_update(due)).first()
        if found is not None:
            return found
    return None


def _of(wish: Wish) -> Update:
    return update(t.wishes).where(t.wishes.c.archive == wish.archive, t.wishes.c.study_uid == wish.study_uid)
