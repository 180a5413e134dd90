"""Batches of studies that are fetched, as operators and the clock put them."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, and_, case, func, select, update

from node.domain.study import StudyState
from node.domain.wish import (
    OPEN_WISH_STATES,
    RENEWABLE_STATES,
    Batch,
    BatchFigures,
    NewWish,
    Taken,
    WishEnd,
    WishState,
)
from node.store import tables as t
from node.store.wish_rows import batch_of, batch_row

__all__ = ["SqlWishBook"]

_CANCELLED = "an operator cancelled it"


class SqlWishBook:
    """The `WishBook` port.

    Parameters
    ----------
    engine : Engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put_wishes(self, batch: Batch, studies: Sequence[NewWish], now: datetime, *, renew: bool) -> Taken:
        """See `node.ports.WishBook`."""
        new = renewed = 0
        with t.writing(self._engine) as connection:
            connection.execute(t.insert_if_new(self._engine, t.wish_batches).values(batch_row(batch)))
            # PostgreSQL's driver tells the count of inserted rows only where it is asked to.
            insert = t.insert_if_new(self._engine, t.wishes).execution_options(preserve_rowcount=True)
            for study in studies:
                if connection.execute(insert.values(_fresh(batch, study, now))).rowcount:
                    new += 1
                elif _judge_again(connection, batch, study, now) or (
                    renew and _renew(connection, batch, study, now)
                ):
                    renewed += 1
                else:
                    _hasten(connection, batch, study)
            before = len(studies) - new - renewed
            if renew:
                is_batch = t.wish_batches.c.name == batch.name
                count = t.wish_batches.c.before + before
                connection.execute(update(t.wish_batches).where(is_batch).values(before=count))
        return Taken(new, renewed, before)

    def pause_batches(self, names: Collection[str], *, paused: bool) -> int:
        """See `node.ports.WishBook`."""
        row = t.wish_batches.c
        change = update(t.wish_batches).where(row.name.in_(names), row.paused != paused)
        with t.writing(self._engine) as connection:
            return connection.execute(change.values(paused=paused)).rowcount

    def cancel_wishes(self, names: Collection[str], now: datetime) -> int:
        """See `node.ports.WishBook`."""
        row = t.wishes.c
        still_open = update(t.wishes).where(row.batch.in_(names), row.state.in_(list(OPEN_WISH_STATES)))
        ended = {
            "state": WishState.CANCELLED, "reason": _CANCELLED, "changed_at": now,
            "lease_token": None, "lease_until": None,
        }  # fmt: skip
        with t.writing(self._engine) as connection:
            return connection.execute(still_open.values(ended)).rowcount

    def batches(self, limit: int) -> tuple[BatchFigures, ...]:
        """See `node.ports.WishBook`."""
        latest = select(t.wish_batches).order_by(t.wish_batches.c.asked_at.desc(), t.wish_batches.c.name)
        with t.reading(self._engine) as connection:
            batches = [batch_of(row) for row in connection.execute(latest.limit(limit))]
            names = [one.name for one in batches]
            counted = (
                select(t.wishes.c.batch, t.wishes.c.state, func.count())
                .where(t.wishes.c.batch.in_(names))
                .group_by(t.wishes.c.batch, t.wishes.c.state)
            )
            counts: dict[str, dict[WishState, int]] = defaultdict(dict)
            for name, state, count in connection.execute(counted):
                counts[name][WishState(state)] = count
        return tuple(BatchFigures(one, counts[one.name]) for one in batches)

    def ends_of_batch(self, name: str) -> tuple[WishEnd, ...]:
        """See `node.ports.WishBook`."""
        joined = t.wishes.outerjoin(t.studies, t.studies.c.study_uid == t.wishes.c.study_uid)
        ends = (
            select(
                t.wishes.c.study_uid, t.wishes.c.state, t.wishes.c.reason,
                t.studies.c.state.label("study_state"), t.studies.c.reason.label("study_reason"),
            )
            .select_from(joined)
            .where(t.wishes.c.batch == name)
            .order_by(t.wishes.c.study_uid)
        )  # fmt: skip
        with t.reading(self._engine) as connection:
            return tuple(
                WishEnd(
                    row.study_uid,
                    WishState(row.state),
                    row.reason,
                    None if row.study_state is None else StudyState(row.study_state),
                    row.study_reason or "",
                )
                for row in connection.execute(ends)
            )


def _fresh(batch: Batch, study: NewWish, now: datetime) -> dict[str, object]:
    begins = {
        "archive": batch.archive, "study_uid": study.study_uid, "queued_at": now, "begun_at": None,
        "study_date": study.study_date and study.study_date.isoformat(), "told": study.images,
        "series": "[]", "images": 0, "was_here": False,
    }  # fmt: skip
    return begins | _waiting(batch, now)


def _waiting(batch: Batch, now: datetime) -> dict[str, object]:
    return {
        "batch": batch.name, "priority": batch.priority, "sends_old": batch.sends_old,
        "state": WishState.WAITING, "reason": "", "changed_at": now, "not_before": now, "attempts": 0,
        "lease_token": None, "lease_until": None,
    }  # fmt: skip


def _renew(connection: Connection, batch: Batch, study: NewWish, now: datetime) -> bool:
    row = t.wishes.c
    ended = update(t.wishes).where(
        row.archive == batch.archive, row.study_uid == study.study_uid, row.state.in_(list(RENEWABLE_STATES))
    )
    # What was not for us is judged anew: the rules may be others by now.
    anew = row.state == WishState.NOT_FOR_US
    again = _waiting(batch, now) | {
        "series": case((anew, "[]"), else_=row.series),
        # Images that were sent meanwhile did not come by it.
        "begun_at": case((and_(anew, row.images == 0), None), else_=row.begun_at),
    }
    return bool(connection.execute(ended.values(again)).rowcount)


def _judge_again(connection: Connection, batch: Batch, study: NewWish, now: datetime) -> bool:
    """Renew a wish that has ended if the archive has more images of the study by now."""
    if study.images is None:
        return False
    row = t.wishes.c
    grown = update(t.wishes).where(
        row.archive == batch.archive, row.study_uid == study.study_uid, row.told < study.images,
        row.state.not_in([*OPEN_WISH_STATES, WishState.CANCELLED]),
    )  # fmt: skip
    again = _waiting(batch, now) | {"series": "[]", "told": study.images}
    return bool(connection.execute(grown.values(again)).rowcount)


def _hasten(connection: Connection, batch: Batch, study: NewWish) -> None:
    row = t.wishes.c
    later = update(t.wishes).where(
        row.archive == batch.archive, row.study_uid == study.study_uid, row.priority > batch.priority
    )
    connection.execute(later.values(priority=batch.priority))
