"""Notes what happened to studies that somebody may be told of, within the transaction in which it happens."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, insert

from analysis.domain.target import Target
from node.domain.notice import Answer, Happening, NoticeKind
from node.store import tables as t

__all__ = ["happening_of", "note"]


def note(
    connection: Connection,
    kind: NoticeKind,
    study_uid: str,
    at: datetime,
    *,
    reason: str = "",
    answers: Sequence[Answer] = (),
) -> None:
    """Note what happened; it costs one row, whether or not anybody is told of it."""
    connection.execute(
        insert(t.happenings).values(
            event_id=str(uuid4()),
            kind=kind.value,
            study_uid=study_uid,
            at=at,
            reason=reason,
            answers=json.dumps([_written(one) for one in answers]) if answers else None,
        )
    )


def happening_of(row: Row[Any]) -> Happening:
    """Read a row."""
    answers = tuple(_read(one) for one in json.loads(row.answers or "[]"))
    return Happening(row.event_id, NoticeKind(row.kind), row.study_uid, row.at, row.reason, answers)


def _written(answer: Answer) -> dict[str, object]:
    return {
        "target": answer.target.value,
        "verdict": answer.verdict,
        "probability": answer.probability,
        "threshold": answer.threshold,
        "model": answer.model,
        "simulated": answer.simulated,
    }


def _read(written: dict[str, Any]) -> Answer:
    return Answer(**{**written, "target": Target(written["target"])})
