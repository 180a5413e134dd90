"""Notices: what contacts are told of, from what happened until they have it."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, delete, func, insert, or_, select, update

from node.domain.conditions import Ongoing
from node.domain.notice import (
    OF_STUDIES,
    Happening,
    Notice,
    NoticeBatch,
    NoticeFigures,
    NoticeKind,
    NoticeState,
)
from node.store import tables as t
from node.store.faults import reporting_faults
from node.store.happenings import happening_of

__all__ = ["SqlNotices"]

_HOUR = timedelta(hours=1)
_OF_STUDIES = [kind.value for kind in OF_STUDIES]
_FIELDS = t.notices.c


class SqlNotices:
    """The `NoticeBox` port.

    Parameters
    ----------
    engine : Engine
        The database, whose tables are there.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def close(self) -> None:
        """See `node.ports.NoticeBox`."""
        self._engine.dispose()

    def happenings(self, most: int) -> tuple[Happening, ...]:
        """See `node.ports.NoticeBox`."""
        oldest = select(t.happenings).order_by(t.happenings.c.id).limit(most)
        with reporting_faults(), t.reading(self._engine) as connection:
            return tuple(happening_of(row) for row in connection.execute(oldest))

    def queue(self, happenings: Collection[Happening], notices: Sequence[Notice], now: datetime) -> None:
        """See `node.ports.NoticeBox`."""
        done = [one.identifier for one in happenings]
        with t.writing(self._engine) as connection:
            gone = connection.execute(delete(t.happenings).where(t.happenings.c.event_id.in_(done))).rowcount
            # Another process that had the same happenings has queued the notices of those that are gone.
            if gone == len(done):
                for notice in notices:
                    _put(connection, self._engine, notice, now)

    def conditions(self, contact: str) -> Mapping[str, Ongoing]:
        """See `node.ports.NoticeBox`."""
        of_contact = select(t.conditions).where(t.conditions.c.contact == contact)
        with reporting_faults(), t.reading(self._engine) as connection:
            return {row.subject: Ongoing(row.began_at, row.told) for row in connection.execute(of_contact)}

    def record_conditions(
        self,
        contact: str,
        put: Mapping[str, Ongoing],
        forgotten: Collection[str],
        notices: Sequence[Notice],
        now: datetime,
    ) -> None:
        """See `node.ports.NoticeBox`."""
        changed = [*put, *forgotten]
        with t.writing(self._engine) as connection:
            connection.execute(
                delete(t.conditions).where(
                    t.conditions.c.contact == contact, t.conditions.c.subject.in_(changed)
                )
            )
            for subject, there in put.items():
                row = {"contact": contact, "subject": subject, "began_at": there.began_at, "told": there.told}
                connection.execute(insert(t.conditions).values(row))
            for notice in notices:
                _put(connection, self._engine, notice, now)

    def lease_batch(
        self, contact: str, now: datetime, until: datetime, *, singly: int, hourly: int, most: int
    ) -> NoticeBatch | None:
        """See `node.ports.NoticeBox`."""
        due = and_(
            _FIELDS.contact == contact, _FIELDS.state == NoticeState.WAITING, _FIELDS.not_before <= now
        )
        with t.writing(self._engine) as connection:
            if _told_lately(connection, contact, now - _HOUR) >= hourly:
                due = and_(due, _FIELDS.kind.not_in(_OF_STUDIES))
            first = connection.execute(select(t.notices).where(due).order_by(_FIELDS.id).limit(1)).first()
            if first is None:
                return None
            batch = first.batch or _new_batch(connection, first, due, singly=singly, most=most)
            of_batch = and_(_FIELDS.contact == contact, _FIELDS.batch == batch)
            connection.execute(update(t.notices).where(of_batch).values(not_before=until))
            rows = connection.execute(select(t.notices).where(of_batch).order_by(_FIELDS.id))
            return NoticeBatch(batch, tuple(_notice_of(row) for row in rows))

    def end_batch(
        self,
        batch: NoticeBatch,
        state: NoticeState,
        now: datetime,
        *,
        reason: str = "",
        not_before: datetime | None = None,
    ) -> None:
        """See `node.ports.NoticeBox`."""
        values = {
            "state": state.value,
            "reason": reason,
            "changed_at": now,
            "attempts": _FIELDS.attempts + int(state is not NoticeState.SENT),
            "not_before": not_before or now,
        }
        of_batch = and_(_FIELDS.contact == batch.notices[0].contact, _FIELDS.batch == batch.identifier)
        with t.writing(self._engine) as connection:
            connection.execute(update(t.notices).where(of_batch).values(values))

    def notices(self, study_uid: str) -> tuple[Notice, ...]:
        """See `node.ports.NoticeBox`."""
        of_study = select(t.notices).where(_FIELDS.study_uid == study_uid).order_by(_FIELDS.id)
        with reporting_faults(), t.reading(self._engine) as connection:
            return tuple(_notice_of(row) for row in connection.execute(of_study))

    def figures(self, since: datetime) -> Mapping[str, NoticeFigures]:
        """See `node.ports.NoticeBox`."""
        with reporting_faults(), t.reading(self._engine) as connection:
            return _figures(connection, since)

    def forget(self, before: datetime, contacts: Collection[str], now: datetime) -> int:
        """See `node.ports.NoticeBox`."""
        waiting = _FIELDS.state == NoticeState.WAITING
        stranded = and_(waiting, _FIELDS.contact.not_in(contacts))
        late = and_(waiting, _FIELDS.at < before)
        failed = {"state": NoticeState.FAILED.value, "changed_at": now}
        with t.writing(self._engine) as connection:
            connection.execute(
                delete(t.notices).where(_FIELDS.state != NoticeState.WAITING, _FIELDS.changed_at < before)
            )
            connection.execute(delete(t.conditions).where(t.conditions.c.contact.not_in(contacts)))
            ended = 0
            for which, why in (
                (stranded, "no block of [[notify]] has this name any more"),
                (late, "it could not be sent in all the time that it was kept"),
            ):
                ended += connection.execute(
                    update(t.notices).where(which).values(failed | {"reason": why})
                ).rowcount
            return ended


def _put(connection: Connection, engine: Engine, notice: Notice, now: datetime) -> None:
    connection.execute(
        t.insert_if_new(engine, t.notices).values(
            event_id=notice.identifier,
            contact=notice.contact,
            kind=notice.kind.value,
            study_uid=notice.study_uid,
            at=notice.at,
            facts=json.dumps(dict(notice.facts)),
            state=NoticeState.WAITING.value,
            attempts=0,
            reason="",
            not_before=now,
            changed_at=now,
        )
    )


def _told_lately(connection: Connection, contact: str, since: datetime) -> int:
    """Count the events about studies that a contact was told of since a moment."""
    told = select(func.count(func.distinct(_FIELDS.batch))).where(
        _FIELDS.contact == contact,
        _FIELDS.state == NoticeState.SENT,
        _FIELDS.kind.in_(_OF_STUDIES),
        _FIELDS.changed_at > since,
    )
    return int(connection.execute(told).scalar_one())


def _new_batch(
    connection: Connection, first: Row[Any], due: ColumnElement[bool], *, singly: int, most: int
) -> str:
    """Put the first notice into a batch, with all others of its kind if many are due; return the batch."""
    alike = and_(due, _FIELDS.kind == first.kind, _FIELDS.batch.is_(None))
    ids = connection.execute(select(_FIELDS.id).where(alike).order_by(_FIELDS.id).limit(most)).scalars().all()
    together = len(ids) > singly and first.kind in _OF_STUDIES
    batch = str(uuid4()) if together else first.event_id
    members = ids if together else [first.id]
    connection.execute(update(t.notices).where(_FIELDS.id.in_(members)).values(batch=batch))
    return str(batch)


def _notice_of(row: Row[Any]) -> Notice:
    return Notice(
        row.event_id,
        row.contact,
        NoticeKind(row.kind),
        row.at,
        json.loads(row.facts),
        row.study_uid,
        NoticeState(row.state),
        row.attempts,
        row.reason,
    )


def _figures(connection: Connection, since: datetime) -> Mapping[str, NoticeFigures]:
    counts: dict[str, dict[NoticeState, int]] = defaultdict(dict)
    by_state = select(_FIELDS.contact, _FIELDS.state, func.count()).group_by(_FIELDS.contact, _FIELDS.state)
    for contact, state, count in connection.execute(by_state):
        counts[contact][NoticeState(state)] = count
    waiting = _FIELDS.state == NoticeState.WAITING
    first = func.min(_FIELDS.at, type_=_FIELDS.at.type)
    by_age = select(_FIELDS.contact, first).where(waiting).group_by(_FIELDS.contact)
    oldest = {row.contact: row[1] for row in connection.execute(by_age)}
    lately = and_(_FIELDS.state == NoticeState.FAILED, _FIELDS.changed_at > since)
    by_contact = select(_FIELDS.contact, func.count()).where(lately).group_by(_FIELDS.contact)
    failed = {row.contact: row[1] for row in connection.execute(by_contact)}
    troubled = or_(lately, and_(waiting, _FIELDS.reason != ""))
    by_time = select(_FIELDS.contact, _FIELDS.reason).where(troubled).order_by(_FIELDS.changed_at)
    reasons = {row.contact: row.reason for row in connection.execute(by_time)}
    return {
        name: NoticeFigures(theirs, oldest.get(name), reasons.get(name, ""), failed.get(name, 0))
        for name, theirs in counts.items()
    }
