"""Turns rows of wishes and their batches into values and back."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Row, exists, select

from node.domain.wish import Batch, Priority, WantedSeries, Wish, WishState
from node.store import tables as t

__all__ = ["batch_of", "batch_row", "is_backlog", "series_text", "wish_of"]


def is_backlog(study_uid: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a study came only because it was fetched as backlog."""
    brought = select(t.wishes.c.archive).where(
        t.wishes.c.study_uid == study_uid,
        t.wishes.c.images > 0,
        ~t.wishes.c.was_here,
        t.wishes.c.priority == Priority.BACKLOG,
    )
    return exists(brought)


def wish_of(row: Row[Any]) -> Wish:
    """Return the wish of a row."""
    return Wish(
        archive=row.archive,
        study_uid=row.study_uid,
        batch=row.batch,
        priority=Priority(row.priority),
        state=WishState(row.state),
        reason=row.reason,
        queued_at=row.queued_at,
        changed_at=row.changed_at,
        not_before=row.not_before,
        attempts=row.attempts,
        study_date=date.fromisoformat(row.study_date) if row.study_date else None,
        series=tuple(WantedSeries(*one) for one in json.loads(row.series)),
        was_here=row.was_here,
        sends_old=row.sends_old,
        told=row.told,
        came_before=row.images,
    )


def series_text(series: Sequence[WantedSeries]) -> str:
    """Return series as the text of a column."""
    return json.dumps([[one.series_uid, one.images, one.completed] for one in series])


def batch_of(row: Row[Any]) -> Batch:
    """Return the batch of a row."""
    return Batch(
        name=row.name,
        archive=row.archive,
        words=row.words,
        asked_at=row.asked_at,
        priority=Priority(row.priority),
        sends_old=row.sends_old,
        paused=row.paused,
        missing=tuple(json.loads(row.missing)),
        before=row.before,
    )


def batch_row(batch: Batch) -> dict[str, Any]:
    """Return the row of a batch."""
    return {
        "name": batch.name,
        "archive": batch.archive,
        "words": batch.words,
        "asked_at": batch.asked_at,
        "priority": batch.priority,
        "sends_old": batch.sends_old,
        "paused": batch.paused,
        "missing": json.dumps(batch.missing),
        "before": batch.before,
    }
