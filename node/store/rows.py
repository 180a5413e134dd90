"""Turns rows into values and back."""

import json
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from dicom_templates.result_kinds import ResultKind
from node.domain.delivery import DeliveryState
from node.domain.records import Arrival, Delivery, HistoryEntry, Instance, QuarantineEntry, Result, Study
from node.domain.study import StudyEvent, StudyState
from node.store.reasons import reasons_of

__all__ = [
    "delivery_of",
    "history_of",
    "instance_of",
    "instance_row",
    "quarantine_of",
    "quarantine_row",
    "result_of",
    "study_of",
]

_INSTANCE_FIELDS = tuple(field.name for field in fields(Instance))
_QUARANTINE_FIELDS = tuple(field.name for field in fields(QuarantineEntry))


def instance_row(arrival: Arrival, now: datetime, group: int) -> dict[str, Any]:
    """Return the row of an instance that arrived, as the driver takes it."""
    row = {name: getattr(arrival.instance, name) for name in _INSTANCE_FIELDS}
    return (
        row
        | {"calling_ae": arrival.calling_ae, "host": arrival.host, "received_at": now.timestamp()}
        | {"arrival_group": group}
    )


def instance_of(row: Row[Any]) -> Instance:
    """Return the instance of a row."""
    return Instance(**{name: getattr(row, name) for name in _INSTANCE_FIELDS})


def study_of(row: Row[Any]) -> Study:
    """Return the study of a row."""
    return Study(
        study_uid=row.study_uid,
        state=StudyState(row.state),
        reason=row.reason,
        changed_at=row.changed_at,
        first_arrival=row.first_arrival,
        last_arrival=row.last_arrival,
        revision=row.revision,
        deadline=row.deadline,
        wait_until=row.wait_until,
        attempts=row.attempts,
        summary=json.loads(row.summary),
        reasons=reasons_of(row.reasons) if row.reasons else (),
    )


def result_of(row: Row[Any]) -> Result:
    """Return the result of a row."""
    return Result(
        row.study_uid,
        row.revision,
        ResultKind(row.kind),
        row.sop_uid,
        row.sop_class_uid,
        row.name,
        row.created_at,
        row.series_uid,
        row.current,
    )


def delivery_of(row: Row[Any]) -> Delivery:
    """Return the delivery of a row that is joined with its result."""
    return Delivery(
        row.id,
        row.destination,
        DeliveryState(row.state),
        row.attempts,
        row.status,
        row.reason,
        result_of(row),
    )


def history_of(row: Row[Any]) -> HistoryEntry:
    """Return the step in the history of a study that a row holds."""
    return HistoryEntry(row.at, StudyEvent(row.event), StudyState(row.state), row.revision, row.reason)


def quarantine_row(entry: QuarantineEntry) -> dict[str, Any]:
    """Return the row of a quarantine entry."""
    return {name: getattr(entry, name) for name in _QUARANTINE_FIELDS}


def quarantine_of(row: Row[Any]) -> QuarantineEntry:
    """Return the quarantine entry of a row."""
    return QuarantineEntry(**{name: getattr(row, name) for name in _QUARANTINE_FIELDS})
