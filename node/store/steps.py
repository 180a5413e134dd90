"""Steps that several methods of the store take inside their transactions.

Every change of a study's state goes through `apply_event`, which looks it up in
`node.domain.study.TRANSITIONS` and writes the history.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, insert, select, update

from analysis.domain.reason import Reason
from dicom_templates.options import Predecessor
from node.domain.delivery import OPEN_DELIVERY_STATES, ORDERED, DeliveryState
from node.domain.notice import NoticeKind
from node.domain.records import NewResult, Study, StudyLease
from node.domain.results import Compared
from node.domain.study import TRANSITIONS, StudyEvent, StudyState, next_state
from node.errors import LeaseLostError
from node.store import tables as t
from node.store.examinations import compared_text
from node.store.happenings import note
from node.store.reasons import text_of
from node.store.rows import study_of

__all__ = [
    "DELIVERIES",
    "apply_event",
    "count_open",
    "find",
    "for_update",
    "free_studies",
    "leased_study",
    "put_delivery",
    "put_results",
    "record_order",
    "reopen",
    "supersede_deliveries",
    "takes_order",
]

DELIVERIES = select(
    t.deliveries,
    t.results.c.revision,
    t.results.c.kind,
    t.results.c.sop_class_uid,
    t.results.c.name,
    t.results.c.created_at,
    t.results.c.series_uid,
    t.results.c.current,
).join(t.results, t.results.c.sop_uid == t.deliveries.c.sop_uid)
"""Deliveries joined with the results that they deliver."""

_STUDY = select(t.studies).where(t.studies.c.study_uid == bindparam("study_uid"))
_STUDY_LOCKED = _STUDY.with_for_update()


def for_update(query: Select[Any]) -> Select[Any]:
    """Lock the rows that a query finds."""
    # PostgreSQL: workers skip a row that another worker is taking. SQLite ignores the clause.
    return query.with_for_update(skip_locked=True)


def find(connection: Connection, study_uid: str) -> Study | None:
    """Return a study, or None."""
    # Locked where the database can do so, because the same transaction decides upon this row and writes it.
    reading = connection.get_execution_options().get("reading")
    row = connection.execute(_STUDY if reading else _STUDY_LOCKED, {"study_uid": study_uid}).first()
    return None if row is None else study_of(row)


def leased_study(connection: Connection, lease: StudyLease) -> Study:
    """Return the study of a lease.

    Raises
    ------
    LeaseLostError
        If the lease expired and another worker has the study, or if more images arrived.
    """
    study = find(connection, lease.study_uid)
    token = connection.execute(
        select(t.studies.c.lease_token).where(t.studies.c.study_uid == lease.study_uid)
    ).scalar()
    if study is None or (token, study.revision) != (lease.token, lease.revision):
        raise LeaseLostError("the study changed while it was analysed")
    return study


def apply_event(
    connection: Connection,
    study: Study,
    event: StudyEvent,
    now: datetime,
    *,
    reason: str = "",
    deadline: datetime | None = None,
    attempts: int = 0,
    reasons: Sequence[Reason] = (),
    reasons_to_report: Sequence[Reason] = (),
) -> Study:
    """Apply an event to a study and add it to the history; this ends any lease.

    With `reasons_to_report`, a report of the refusal becomes due; any other event cancels one that is due.
    """
    values = {"state": next_state(study.state, event), "reason": reason}
    coded = {"reasons": text_of(reasons) if reasons else None}
    told = {"unexplained": text_of(reasons_to_report)} if reasons_to_report else {"unexplained": None}
    due = now if reasons_to_report else deadline
    changed = {"changed_at": now, "deadline": due, "attempts": attempts}
    unleased = {"lease_token": None, "lease_owner": None, "lease_until": None}
    connection.execute(
        update(t.studies)
        .where(t.studies.c.study_uid == study.study_uid)
        .values(values | coded | changed | told | unleased)
    )
    step = {"study_uid": study.study_uid, "revision": study.revision, "event": event, "at": now}
    connection.execute(insert(t.history).values(values | step))
    if values["state"] is StudyState.FAILED:
        note(connection, NoticeKind.SET_ASIDE, study.study_uid, now, reason=reason)
    moved = find(connection, study.study_uid)
    if moved is None:
        raise LeaseLostError("the study was removed meanwhile")
    return moved


def free_studies(
    connection: Connection,
    which: ColumnElement[bool],
    now: datetime,
    reason: str = "the node stopped meanwhile",
) -> int:
    """Free the studies that are being analysed and meet a condition; return how many.

    None of them counts an attempt: the node ended, the work did not fail.
    """
    leased = select(t.studies).where(t.studies.c.state == StudyState.ANALYSING, which)
    studies = [study_of(row) for row in connection.execute(for_update(leased))]
    for study in studies:
        apply_event(
            connection, study, StudyEvent.BROKE, now, reason=reason, deadline=now, attempts=study.attempts
        )
    return len(studies)


def reopen(connection: Connection, study: Study, now: datetime, reason: str) -> Study:
    """Return a study to receiving; results that are not sent yet are superseded."""
    if study.state is StudyState.DELIVERING:
        supersede_deliveries(connection, study.study_uid, "more images came before it was sent", now)
    return apply_event(connection, study, StudyEvent.ARRIVED, now, reason=reason, deadline=now)


def takes_order(study: Study) -> bool:
    """Tell whether an operator can have results of a study sent again in its state."""
    # Any event would cancel the report of a refusal that is still to be written.
    is_explanation_due = study.state is StudyState.REFUSED and study.deadline is not None
    return (study.state, StudyEvent.RESENT) in TRANSITIONS and not is_explanation_due


def record_order(connection: Connection, study: Study, now: datetime) -> None:
    """Record that an operator asked to send results of a study again."""
    # Why a study was refused is still true of it, and is what an operator asks for.
    stays = study.state is StudyState.REFUSED
    reason, reasons = (study.reason, study.reasons) if stays else (ORDERED, ())
    apply_event(connection, study, StudyEvent.RESENT, now, reason=reason, reasons=reasons)


def current_key(connection: Connection, study_uid: str) -> str:
    """Return the key of the current result set of a study; empty if there is none."""
    current = select(t.results.c.set_key).where(t.results.c.study_uid == study_uid, t.results.c.current)
    return connection.execute(current.limit(1)).scalar() or ""


def put_results(
    connection: Connection,
    study: Study,
    results: Sequence[NewResult],
    made: datetime,
    *,
    key: str,
    replaced: Sequence[Predecessor],
    compared: Compared | None = None,
) -> None:
    """Record a result set as the current one; results with the same UIDs are updated."""
    of_study = t.results.c.study_uid == study.study_uid
    connection.execute(update(t.results).where(of_study).values(current=False))
    whole_set = {
        "study_uid": study.study_uid,
        "revision": study.revision,
        "current": True,
        "set_key": key,
        "replaced": json.dumps([asdict(one) for one in replaced]),
        "compared": compared_text(compared),
        # Written again, too: a set that came back before any archive had it is made anew, with the same UIDs.
        "created_at": made,
    }
    for result in results:
        values = whole_set | {
            "kind": result.kind.value,
            "sop_class_uid": result.sop_class_uid,
            "series_uid": result.series_uid,
            "name": result.name,
        }
        made_again = connection.execute(
            update(t.results).where(t.results.c.sop_uid == result.sop_uid).values(values)
        ).rowcount
        if not made_again:
            connection.execute(insert(t.results).values(values | {"sop_uid": result.sop_uid}))


def put_delivery(
    connection: Connection, study: Study, result: NewResult, destination: str, now: datetime
) -> None:
    """Queue a result for a destination, unless that destination has it or it is queued already."""
    there = connection.execute(
        select(t.deliveries.c.id, t.deliveries.c.state).where(
            t.deliveries.c.destination == destination, t.deliveries.c.sop_uid == result.sop_uid
        )
    ).first()
    fresh = {
        "state": DeliveryState.WAITING,
        "attempts": 0,
        "reason": "",
        "not_before": now,
        "changed_at": now,
    }
    if there is None:
        named = {"destination": destination, "sop_uid": result.sop_uid, "study_uid": study.study_uid}
        connection.execute(insert(t.deliveries).values(named | fresh | {"tried": False}))
    elif DeliveryState(there.state) in {DeliveryState.SUPERSEDED, DeliveryState.FAILED}:
        connection.execute(update(t.deliveries).where(t.deliveries.c.id == there.id).values(fresh))


def supersede_deliveries(
    connection: Connection, study_uid: str, reason: str, now: datetime, *, but: Collection[str] = ()
) -> None:
    """Supersede open deliveries of a study, except those of some results by UID."""
    connection.execute(
        update(t.deliveries)
        .where(
            t.deliveries.c.study_uid == study_uid,
            t.deliveries.c.state.in_(list(OPEN_DELIVERY_STATES)),
            t.deliveries.c.sop_uid.not_in(but),
        )
        .values(
            state=DeliveryState.SUPERSEDED, reason=reason, changed_at=now,
            lease_token=None, lease_until=None,
        )
    )  # fmt: skip


def count_open(connection: Connection, study_uid: str) -> int:
    """Count the open deliveries of a study."""
    still_open = (
        select(func.count())
        .select_from(t.deliveries)
        .where(t.deliveries.c.study_uid == study_uid, t.deliveries.c.state.in_(list(OPEN_DELIVERY_STATES)))
    )
    return int(connection.execute(still_open).scalar_one())
