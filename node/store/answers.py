"""The answers of models to each study; they outlive its images and results, as its scores do."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from analysis.domain.target import Target
from node.domain.model_answer import AnswerState, KeptAnswer, ModelAnswer, Role
from node.store import tables as t

__all__ = ["forget_answers", "forget_old_answers", "kept_answers", "put_answers"]

_NAMES = tuple(field.name for field in fields(ModelAnswer))


def put_answers(
    connection: Connection, study_uid: str, answers: Sequence[ModelAnswer], now: datetime
) -> None:
    """Keep the answers to a study instead of those that it had; so one model at most is the chosen one."""
    forget_answers(connection, study_uid)
    if answers:
        connection.execute(insert(t.answers), [_row(study_uid, one, now) for one in answers])


def kept_answers(connection: Connection, scanner: str | None = None) -> tuple[KeptAnswer, ...]:
    """Return the kept answers, the oldest first; those to studies of one scanner if it is given."""
    order = t.answers.c.analysed_at, t.answers.c.study_uid, t.answers.c.bundle, t.answers.c.target
    found = select(t.answers).order_by(*order)
    if scanner is not None:
        found = found.where(t.answers.c.scanner == scanner)
    return tuple(_kept(row) for row in connection.execute(found))


def forget_answers(connection: Connection, study_uid: str) -> int:
    """Delete the answers to a study; return their number."""
    return connection.execute(delete(t.answers).where(t.answers.c.study_uid == study_uid)).rowcount


def forget_old_answers(connection: Connection, before: datetime) -> int:
    """Delete the answers that were recorded before a moment; return their number."""
    return connection.execute(delete(t.answers).where(t.answers.c.analysed_at <= before)).rowcount


def _row(study_uid: str, answer: ModelAnswer, now: datetime) -> dict[str, Any]:
    words = {"reasons": " ".join(answer.reasons)}
    return asdict(answer) | words | {"study_uid": study_uid, "analysed_at": now}


def _kept(row: Row[Any]) -> KeptAnswer:
    values = {name: getattr(row, name) for name in _NAMES}
    read = {
        "target": Target(row.target),
        "role": Role(row.role),
        "state": AnswerState(row.state),
        "reasons": tuple(row.reasons.split()),
    }
    return KeptAnswer(row.study_uid, row.analysed_at, ModelAnswer(**{**values, **read}))
