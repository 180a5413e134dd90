"""Scores that are kept for later examinations of a patient, and what each result set compares with.

They are deleted together with the answers of the models.
They outlive the images and results of their study: a patient comes back after years.
"""

import json
from datetime import datetime

from sqlalchemy import CompoundSelect, Connection, delete, func, insert, select, update

from analysis.domain.examination import Examination
from node.domain.records import Study
from node.domain.results import Compared
from node.store import tables as t
from node.store.answers import forget_answers, forget_old_answers
from node.store.scanner_ranges import forget_distances, forget_old_distances

__all__ = [
    "compared_of",
    "compared_text",
    "count_examinations",
    "forget_examination",
    "forget_examinations",
    "other_examinations",
    "put_examination",
]


def put_examination(
    connection: Connection, study: Study, examination: Examination | None, now: datetime
) -> None:
    """Keep the scores of a study instead of those that it had; none of a patient who is not certain."""
    _delete(connection, study.study_uid)
    if examination is None or not (examination.person and examination.day and examination.scores):
        return
    of_study = select(t.instances.c.patient_key).where(t.instances.c.study_uid == study.study_uid)
    connection.execute(
        insert(t.examinations).values(
            study_uid=study.study_uid,
            patient_key=connection.execute(of_study.limit(1)).scalar() or "",
            revision=study.revision,
            recorded_at=now,
            scores=json.dumps(examination.as_document()),
        )
    )


def other_examinations(connection: Connection, study_uid: str) -> tuple[Examination, ...]:
    """Return what is kept of the other studies under the Patient ID of a study, in the order of their UIDs.

    Those of a study of which images came since are left out: they may correct whose it is.
    """
    keys = select(t.instances.c.patient_key).where(t.instances.c.study_uid == study_uid)
    others = (
        select(t.examinations.c.scores)
        .join(t.studies, t.studies.c.study_uid == t.examinations.c.study_uid)
        .where(
            t.examinations.c.patient_key.in_(keys),
            t.examinations.c.study_uid != study_uid,
            t.examinations.c.revision == t.studies.c.revision,
        )
        .order_by(t.examinations.c.study_uid)
    )
    return tuple(Examination.from_document(json.loads(one)) for one in connection.execute(others).scalars())


def forget_examination(connection: Connection, study_uid: str) -> bool:
    """Delete scores and answers of a study whose images are gone, and scores that it was compared with."""
    held = select(t.instances.c.sop_uid).where(t.instances.c.study_uid == study_uid)
    if connection.execute(held.limit(1)).first() is not None:
        return False
    compared = update(t.results).where(t.results.c.study_uid == study_uid, t.results.c.compared.is_not(None))
    count = _delete(connection, study_uid) + forget_answers(connection, study_uid)
    count += forget_distances(connection, study_uid)
    return bool(count + connection.execute(compared.values(compared=None)).rowcount)


def count_examinations(connection: Connection, before: datetime) -> int:
    """Count the studies of which `forget_examinations` would delete something."""
    return connection.execute(select(func.count()).select_from(_old(before).subquery())).scalar_one()


def forget_examinations(connection: Connection, before: datetime) -> int:
    """Delete scores and answers of before a moment, and what older results were compared with.

    Return of how many studies.
    """
    count = count_examinations(connection, before)
    connection.execute(delete(t.examinations).where(t.examinations.c.recorded_at <= before))
    forget_old_answers(connection, before)
    forget_old_distances(connection, before)
    compared = update(t.results).where(t.results.c.created_at <= before, t.results.c.compared.is_not(None))
    connection.execute(compared.values(compared=None))
    return count


def _old(before: datetime) -> CompoundSelect[tuple[str]]:
    """Select the studies of which something was recorded before a moment."""
    scores = select(t.examinations.c.study_uid).where(t.examinations.c.recorded_at <= before)
    return scores.union(
        select(t.answers.c.study_uid).where(t.answers.c.analysed_at <= before),
        select(t.distances.c.study_uid).where(t.distances.c.at <= before),
    )


def _delete(connection: Connection, study_uid: str) -> int:
    of_study = t.examinations.c.study_uid == study_uid
    return connection.execute(delete(t.examinations).where(of_study)).rowcount


def compared_text(compared: Compared | None) -> str | None:
    """Write what a result set compares with."""
    if compared is None:
        return None
    earlier = None if compared.earlier is None else compared.earlier.as_document()
    return json.dumps({"person": compared.person, "earlier": earlier})


def compared_of(text: str | None) -> Compared | None:
    """Read what `compared_text` wrote."""
    if text is None:
        return None
    told = json.loads(text)
    earlier = None if told["earlier"] is None else Examination.from_document(told["earlier"])
    return Compared(told["person"], earlier)
