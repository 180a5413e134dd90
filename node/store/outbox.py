"""Results, and their deliveries to each destination."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Engine, and_, case, func, insert, or_, select, update

from dicom_templates.options import Predecessor
from dicom_templates.result_kinds import DOCUMENT_KINDS, ResultKind
from node.domain.delivery import (
    OPEN_DELIVERY_STATES,
    ORDERED,
    DeliveryEnd,
    DeliveryState,
    how_deliveries_ended,
)
from node.domain.records import IDENTITY_REPLACED, Delivery, DeliveryBatch, NewResult, Result, Study
from node.domain.results import Lineage
from node.domain.study import StudyEvent, StudyState
from node.errors import LeaseLostError
from node.store import tables as t
from node.store.examinations import compared_of, other_examinations
from node.store.rows import delivery_of, result_of
from node.store.scanner_ranges import departures
from node.store.steps import (
    DELIVERIES,
    apply_event,
    count_open,
    find,
    for_update,
    put_delivery,
    record_order,
    takes_order,
)
from node.store.wish_rows import is_backlog

__all__ = ["SqlOutbox"]

_GONE = "no destination has this name any more"


class SqlOutbox:
    """The `Outbox` port, what is read of results and deliveries, and what operators change in them.

    Parameters
    ----------
    engine : Engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def results(self, study_uid: str) -> tuple[Result, ...]:
        """See `node.ports.StudyReader`."""
        of_study = (
            select(t.results)
            .where(t.results.c.study_uid == study_uid)
            .order_by(t.results.c.revision, t.results.c.kind, t.results.c.sop_uid)
        )
        with t.reading(self._engine) as connection:
            return tuple(result_of(row) for row in connection.execute(of_study))

    def lineage(self, study_uid: str) -> Lineage:
        """See `node.ports.StudyReader`."""
        current = select(t.results).where(t.results.c.study_uid == study_uid, t.results.c.current)
        tried = select(t.deliveries.c.id).where(t.deliveries.c.study_uid == study_uid, t.deliveries.c.tried)
        queued = tried.where(t.deliveries.c.sop_uid == t.results.c.sop_uid).exists()
        with t.reading(self._engine) as connection:
            rows = connection.execute(current.order_by(t.results.c.sop_uid)).all()
            # A server of FHIR holds no documents.
            as_document = current.where(queued, t.results.c.kind != ResultKind.FHIR.value)
            on_its_way = connection.execute(as_document).first() is not None
            sent_as_fhir = _sent_as_fhir(connection, study_uid)
            corrected = _corrected(connection, study_uid)
            priors = other_examinations(connection, study_uid)
            left = departures(connection)
        if not rows:
            return Lineage(priors=priors, departures=left)
        replaced = tuple(Predecessor(**one) for one in json.loads(rows[0].replaced))
        number = 1 + max((one.number for one in replaced), default=0)
        documents = tuple(
            Predecessor(row.sop_class_uid, row.sop_uid, row.series_uid, row.study_uid, number)
            for row in rows
            if ResultKind(row.kind) in DOCUMENT_KINDS
        )
        made = max(row.created_at for row in rows)
        return Lineage(
            rows[0].set_key, replaced, documents if on_its_way else (), corrected, made,
            compared=compared_of(rows[0].compared), priors=priors, sent_as_fhir=sent_as_fhir,
            departures=left,
        )  # fmt: skip

    def deliveries(self, study_uid: str) -> tuple[Delivery, ...]:
        """See `node.ports.StudyReader`."""
        of_study = DELIVERIES.where(t.deliveries.c.study_uid == study_uid).order_by(t.deliveries.c.id)
        with t.reading(self._engine) as connection:
            return tuple(delivery_of(row) for row in connection.execute(of_study))

    def lease_deliveries(
        self,
        destination: str,
        owner: str,
        now: datetime,
        until: datetime,
        *,
        state: DeliveryState = DeliveryState.WAITING,
        only_ordered: bool = False,
    ) -> DeliveryBatch | None:
        """See `node.ports.Outbox`."""
        row = t.deliveries.c
        free = or_(row.lease_until.is_(None), row.lease_until <= now)
        due = and_(row.destination == destination, row.state == state, row.not_before <= now, free)
        if state is DeliveryState.WAITING:
            lost = and_(row.state == DeliveryState.SENDING, row.lease_until <= now)
            due = or_(due, and_(row.destination == destination, lost))
        if only_ordered:
            due = and_(due, row.reason == ORDERED)
        oldest = select(row.study_uid).where(due).order_by(is_backlog(row.study_uid), row.id).limit(1)
        with t.writing(self._engine) as connection:
            study_uid = connection.execute(for_update(oldest)).scalar()
            if study_uid is None:
                return None
            sending = {"state": DeliveryState.SENDING, "tried": True}
            change = sending if state is DeliveryState.WAITING else {}
            return _take(connection, and_(due, row.study_uid == study_uid), owner, until, change)

    def begin_commitment(
        self, batch: DeliveryBatch, deliveries: Sequence[Delivery], transaction_uid: str
    ) -> None:
        """See `node.ports.Outbox`."""
        ours = [delivery.identifier for delivery in deliveries]
        with t.writing(self._engine) as connection:
            connection.execute(
                update(t.deliveries)
                .where(t.deliveries.c.id.in_(ours), t.deliveries.c.lease_token == batch.token)
                .values(transaction_uid=transaction_uid)
            )

    def lease_commitment(self, transaction_uid: str, owner: str, until: datetime) -> DeliveryBatch | None:
        """See `node.ports.Outbox`."""
        asked = and_(
            t.deliveries.c.transaction_uid == transaction_uid,
            t.deliveries.c.state == DeliveryState.UNCONFIRMED,
        )
        with t.writing(self._engine) as connection:
            # The courier that sent the request may still hold a lease; it waits for nothing but this report.
            return _take(connection, asked, owner, until, {})

    def record_delivery(
        self,
        batch: DeliveryBatch,
        delivery: Delivery,
        state: DeliveryState,
        *,
        status: int | None,
        reason: str,
        now: datetime,
        not_before: datetime | None = None,
    ) -> None:
        """See `node.ports.Outbox`."""
        with t.writing(self._engine) as connection:
            changed = connection.execute(
                update(t.deliveries)
                .where(t.deliveries.c.id == delivery.identifier, t.deliveries.c.lease_token == batch.token)
                .values(
                    state=state, status=status, reason=reason, changed_at=now,
                    attempts=_attempts_after(state),
                    not_before=not_before or now, lease_token=None, lease_until=None,
                )
            )  # fmt: skip
            if not changed.rowcount:
                raise LeaseLostError("another took this delivery over")

    def return_deliveries(self, batch: DeliveryBatch, reason: str, not_before: datetime) -> None:
        """See `node.ports.Outbox`."""
        taken = DeliveryState.UNCONFIRMED
        ordered = and_(
            t.deliveries.c.destination == batch.destination,
            t.deliveries.c.state == DeliveryState.WAITING,
            t.deliveries.c.reason == ORDERED,
        )
        with t.writing(self._engine) as connection:
            connection.execute(
                update(t.deliveries)
                .where(t.deliveries.c.lease_token == batch.token)
                .values(
                    # What the destination accepted stays accepted, even if something failed afterwards.
                    state=case((t.deliveries.c.state == taken, taken), else_=DeliveryState.WAITING),
                    reason=reason, not_before=not_before,
                    lease_token=None, lease_until=None,
                )
            )  # fmt: skip
            connection.execute(
                update(t.deliveries).where(ordered).values(reason=reason, not_before=not_before)
            )

    def finish_deliveries(self, study_uid: str, now: datetime) -> StudyState | None:
        """See `node.ports.Outbox`."""
        with t.writing(self._engine) as connection:
            study = find(connection, study_uid)
            if study is None or study.state is not StudyState.DELIVERING or count_open(connection, study_uid):
                return None
            rows = connection.execute(
                select(t.deliveries.c.state, t.deliveries.c.destination, t.deliveries.c.reason)
                .join(t.results, t.results.c.sop_uid == t.deliveries.c.sop_uid)
                .where(
                    t.deliveries.c.study_uid == study_uid,
                    t.deliveries.c.state != DeliveryState.SUPERSEDED,
                    t.results.c.current,
                )
            )
            ends = [DeliveryEnd(DeliveryState(row.state), row.destination, row.reason) for row in rows]
            event, reason = how_deliveries_ended(ends)
            return apply_event(connection, study, event, now, reason=reason).state

    def finish_all_deliveries(self, now: datetime) -> int:
        """See `node.ports.Outbox`."""
        waits = (
            select(t.deliveries.c.id)
            .where(
                t.deliveries.c.study_uid == t.studies.c.study_uid,
                t.deliveries.c.state.in_(list(OPEN_DELIVERY_STATES)),
            )
            .exists()
        )
        delivering = select(t.studies.c.study_uid).where(t.studies.c.state == StudyState.DELIVERING, ~waits)
        with t.reading(self._engine) as connection:
            study_uids = list(connection.execute(delivering).scalars())
        return sum(self.finish_deliveries(study_uid, now) is not None for study_uid in study_uids)

    def resend(self, study: Study, now: datetime) -> bool:
        """See `node.ports.OperatorCommands`."""
        row = t.deliveries.c
        current = select(t.results.c.sop_uid).where(
            t.results.c.study_uid == study.study_uid, t.results.c.current
        )
        ended = update(t.deliveries).where(
            row.sop_uid.in_(current), row.state.in_([DeliveryState.FAILED, DeliveryState.NOT_ACCEPTED])
        )
        waits = update(t.deliveries).where(row.study_uid == study.study_uid)
        with t.writing(self._engine) as connection:
            found = find(connection, study.study_uid)
            if found is None or not takes_order(found):
                return False
            count = connection.execute(ended.values(_queued_by_order(now))).rowcount
            if found.state is StudyState.DELIVERING:
                waiting = waits.where(row.state == DeliveryState.WAITING)
                count += connection.execute(waiting.values(not_before=now, reason=ORDERED)).rowcount
                unconfirmed = waits.where(row.state == DeliveryState.UNCONFIRMED)
                count += connection.execute(unconfirmed.values(not_before=now)).rowcount
            if count:
                record_order(connection, found, now)
            return bool(count)

    def send_again(self, study: Study, results: Sequence[NewResult], now: datetime) -> bool:
        """See `node.ports.OperatorCommands`."""
        with t.writing(self._engine) as connection:
            found = find(connection, study.study_uid)
            if found is None or (found.state, found.revision) != (study.state, study.revision):
                return False
            if not takes_order(found):
                return False
            count = sum(
                _queue_again(connection, result, study.study_uid, destination, now)
                for result in results
                for destination in result.destinations
            )
            if count:
                record_order(connection, found, now)
            return bool(count)

    def set_aside(self, study: Study, reason: str, now: datetime) -> bool:
        """See `node.ports.OperatorCommands`."""
        row = t.deliveries.c
        still_open = update(t.deliveries).where(
            row.study_uid == study.study_uid, row.state.in_(list(OPEN_DELIVERY_STATES))
        )
        given_up = {"state": DeliveryState.FAILED, "reason": reason, "changed_at": now}
        unleased = {"lease_token": None, "lease_until": None}
        with t.writing(self._engine) as connection:
            found = find(connection, study.study_uid)
            if found is None or (found.state, found.revision) != (study.state, study.revision):
                return False
            connection.execute(still_open.values(given_up | unleased))
            apply_event(connection, found, StudyEvent.SET_ASIDE, now, reason=reason)
            return True

    def redirect(
        self, study: Study, results: Sequence[NewResult], known: Collection[str], now: datetime
    ) -> bool:
        """See `node.ports.OperatorCommands`."""
        row = t.deliveries.c
        stranded = (
            update(t.deliveries)
            .where(
                row.study_uid == study.study_uid,
                row.destination.not_in(known),
                row.state.in_([*OPEN_DELIVERY_STATES, DeliveryState.FAILED]),
            )
            .values(state=DeliveryState.SUPERSEDED, reason=_GONE, changed_at=now, lease_token=None)
        )
        with t.writing(self._engine) as connection:
            found = find(connection, study.study_uid)
            if found is None or not connection.execute(stranded).rowcount:
                return False
            for result in results:
                for destination in result.destinations:
                    put_delivery(connection, found, result, destination, now)
            if takes_order(found):
                record_order(connection, found, now)
            return True


def _queued_by_order(now: datetime) -> dict[str, object]:
    """Return the values of a delivery that an operator has queued."""
    return {
        "state": DeliveryState.WAITING,
        "attempts": 0,
        "reason": ORDERED,
        "not_before": now,
        "changed_at": now,
        "transaction_uid": None,
        "lease_token": None,
        "lease_until": None,
    }


def _queue_again(
    connection: Connection, result: NewResult, study_uid: str, destination: str, now: datetime
) -> int:
    """Queue a result for a destination, unless it is being sent there now; return 1 or 0."""
    which = and_(t.deliveries.c.destination == destination, t.deliveries.c.sop_uid == result.sop_uid)
    state = connection.execute(select(t.deliveries.c.state).where(which)).scalar()
    if state is None:
        named = {"destination": destination, "sop_uid": result.sop_uid, "study_uid": study_uid}
        connection.execute(insert(t.deliveries).values(named | _queued_by_order(now) | {"tried": False}))
        return 1
    is_free = t.deliveries.c.state != DeliveryState.SENDING
    again = update(t.deliveries).where(which, is_free).values(_queued_by_order(now))
    return connection.execute(again).rowcount


def _attempts_after(state: DeliveryState) -> ColumnElement[int]:
    """Return the new count of failed attempts of a delivery.

    When an object is accepted for the first time the count starts again at 0, because from then on it counts
    failed confirmations. It does not when the object had to be sent again because it was not confirmed.
    """
    row = t.deliveries.c
    if state is DeliveryState.UNCONFIRMED:
        first = and_(row.state == DeliveryState.SENDING, row.transaction_uid.is_(None))
        return case((first, 0), (row.state == DeliveryState.SENDING, row.attempts), else_=row.attempts + 1)
    return row.attempts + int(state is not DeliveryState.SENT)


def _take(
    connection: Connection,
    which: ColumnElement[bool],
    owner: str,
    until: datetime,
    change: Mapping[str, object],
) -> DeliveryBatch | None:
    """Lease deliveries of one study to one destination; None if none is found."""
    token = f"{owner}-{uuid4().hex}"[:64]
    connection.execute(
        update(t.deliveries).where(which).values({"lease_token": token, "lease_until": until, **change})
    )
    taken = DELIVERIES.where(t.deliveries.c.lease_token == token).order_by(t.deliveries.c.id)
    deliveries = tuple(delivery_of(row) for row in connection.execute(taken))
    if not deliveries:
        return None
    return DeliveryBatch(deliveries[0].destination, deliveries[0].result.study_uid, deliveries, token)


def _sent_as_fhir(connection: Connection, study_uid: str) -> tuple[int, int]:
    """Count the FHIR reports of which sending was begun: of earlier sets, and of the current one."""
    tried = select(t.deliveries.c.id).where(
        t.deliveries.c.tried, t.deliveries.c.sop_uid == t.results.c.sop_uid
    )
    of_study = and_(t.results.c.study_uid == study_uid, t.results.c.kind == ResultKind.FHIR.value)
    current = select(t.results.c.current).where(of_study, tried.exists())
    found = connection.execute(current).scalars().all()
    return len(found) - sum(found), sum(found)


def _corrected(connection: Connection, study_uid: str) -> bool:
    """Tell whether an identity was corrected after a result was made of which sending was begun."""
    first_made = (
        select(func.min(t.results.c.created_at))
        .join(t.deliveries, t.deliveries.c.sop_uid == t.results.c.sop_uid)
        .where(t.results.c.study_uid == study_uid, t.deliveries.c.tried)
    )
    of_study = select(t.instances.c.sop_uid).where(t.instances.c.study_uid == study_uid)
    last_corrected = select(func.max(t.quarantine.c.at)).where(
        t.quarantine.c.reason == IDENTITY_REPLACED, t.quarantine.c.sop_uid.in_(of_study)
    )
    made, corrected = (connection.execute(one).scalar() for one in (first_made, last_corrected))
    return made is not None and corrected is not None and made <= corrected
