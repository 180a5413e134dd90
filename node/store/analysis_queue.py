"""Studies that are ready to be analysed, and how their analyses ended."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Engine, and_, or_, select, update

from analysis.domain.examination import Examination
from analysis.domain.reason import Reason
from analysis.domain.remoteness import TrainingDistance
from dicom_templates.options import Predecessor
from node.domain.drift import Subject
from node.domain.model_answer import ModelAnswer
from node.domain.notice import Answer, NoticeKind
from node.domain.records import NewResult, StudyLease, reason_of_no_delivery, reason_of_results
from node.domain.results import Compared
from node.domain.study import StudyEvent, StudyState
from node.store import tables as t
from node.store.answers import put_answers
from node.store.examinations import put_examination
from node.store.happenings import note
from node.store.rows import study_of
from node.store.scanner_ranges import put_distances
from node.store.server_clock import seconds_now
from node.store.steps import (
    apply_event,
    count_open,
    current_key,
    for_update,
    leased_study,
    put_delivery,
    put_results,
    supersede_deliveries,
)
from node.store.wish_rows import is_backlog

__all__ = ["SqlAnalysisQueue"]


class SqlAnalysisQueue:
    """The `AnalysisQueue` port, except for reading one study.

    Parameters
    ----------
    engine : Engine
        The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def lease_study(
        self, owner: str, now: datetime, until: datetime, *, but_not: Collection[str] = ()
    ) -> StudyLease | None:
        """See `node.ports.AnalysisQueue`."""
        # A study is free if it is ready and its back-off is over, or if its lease has expired. That of
        # another node that is alive never does: the two clocks may differ.
        others_live = select(t.nodes.c.owner).where(
            t.nodes.c.owner == t.studies.c.lease_owner,
            t.nodes.c.owner != owner,
            t.nodes.c.lasts_until > seconds_now(self._engine),
        )
        free = or_(
            and_(t.studies.c.state == StudyState.READY, t.studies.c.deadline <= now),
            and_(
                t.studies.c.state == StudyState.ANALYSING,
                t.studies.c.lease_until <= now,
                ~others_live.exists(),
            ),
        )
        others = t.studies.c.study_uid.not_in(but_not)
        order = (is_backlog(t.studies.c.study_uid), t.studies.c.changed_at)
        waiting_longest = select(t.studies).where(free, others).order_by(*order).limit(1)
        token = uuid4().hex
        with t.writing(self._engine) as connection:
            row = connection.execute(for_update(waiting_longest)).first()
            if row is None:
                return None
            study = study_of(row)
            expired = study.state is StudyState.ANALYSING
            attempts = study.attempts + expired
            apply_event(connection, study, StudyEvent.LEASED, now, attempts=attempts)
            connection.execute(
                update(t.studies)
                .where(t.studies.c.study_uid == study.study_uid)
                .values(lease_token=token, lease_owner=owner, lease_until=until)
            )
        return StudyLease(study.study_uid, study.revision, attempts + 1, token)

    def record_results(
        self,
        lease: StudyLease,
        results: Sequence[NewResult],
        summary: Mapping[str, str],
        now: datetime,
        *,
        key: str = "",
        replaced: Sequence[Predecessor] = (),
        beside: Sequence[str] = (),
        made: datetime | None = None,
        examination: Examination | None = None,
        earlier: Examination | None = None,
        answers: Sequence[Answer] = (),
        distances: Mapping[Subject, TrainingDistance] | None = None,
        model_answers: Sequence[ModelAnswer] = (),
    ) -> None:
        """See `node.ports.AnalysisQueue`."""
        compared = None if examination is None else Compared(examination.person, earlier)
        with t.writing(self._engine) as connection:
            study = leased_study(connection, lease)
            is_known = key != "" and key == current_key(connection, study.study_uid)
            told = reason_of_results(beside, stand=is_known)
            study = apply_event(connection, study, StudyEvent.REPORTED, now, reason=told)
            connection.execute(
                update(t.studies)
                .where(t.studies.c.study_uid == study.study_uid)
                .values(summary=json.dumps(dict(summary)))
            )
            uids = [result.sop_uid for result in results]
            supersede_deliveries(connection, study.study_uid, "a newer result replaced it", now, but=uids)
            put_results(
                connection, study, results, made or now, key=key, replaced=replaced, compared=compared
            )
            put_examination(connection, study, examination, now)
            put_distances(connection, study.study_uid, distances or {}, now)
            put_answers(connection, study.study_uid, model_answers, now)
            # The same result again is no news.
            if answers and not is_known:
                note(connection, NoticeKind.RESULT, study.study_uid, now, answers=answers)
            for result in results:
                for destination in result.destinations:
                    put_delivery(connection, study, result, destination, now)
            still_open = count_open(connection, study.study_uid)
            event = StudyEvent.DELIVERY_BEGAN if still_open else StudyEvent.DELIVERY_ENDED
            reason = "" if still_open else reason_of_no_delivery(results)
            apply_event(connection, study, event, now, reason=reason)

    def record_refusal(
        self,
        lease: StudyLease,
        reasons: Sequence[str],
        now: datetime,
        *,
        reasons_to_report: Sequence[Reason] = (),
    ) -> None:
        """See `node.ports.AnalysisQueue`."""
        with t.writing(self._engine) as connection:
            study = leased_study(connection, lease)
            # Results of an earlier revision stay queued: they are true of the images that were there then.
            words = "; ".join(reasons)
            apply_event(
                connection, study, StudyEvent.REFUSED, now, reason=words,
                reasons=[one for one in reasons if isinstance(one, Reason)],
                reasons_to_report=reasons_to_report,
            )  # fmt: skip

    def record_broken(self, lease: StudyLease, reason: str, now: datetime, retry_at: datetime | None) -> None:
        """See `node.ports.AnalysisQueue`."""
        with t.writing(self._engine) as connection:
            study = leased_study(connection, lease)
            event = StudyEvent.GAVE_UP if retry_at is None else StudyEvent.BROKE
            apply_event(
                connection, study, event, now, reason=reason, deadline=retry_at, attempts=lease.attempt
            )
