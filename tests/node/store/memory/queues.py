"""Analyses and reports of refusals in memory."""

# ruff: noqa: D102 - `node.ports` describes each method
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from analysis.domain.examination import Examination
from analysis.domain.reason import Reason
from analysis.domain.remoteness import TrainingDistance
from dicom_templates.options import Predecessor
from node.domain.drift import Subject
from node.domain.model_answer import KeptAnswer, ModelAnswer
from node.domain.notice import Answer
from node.domain.records import (
    DueRefusalReport,
    NewResult,
    Study,
    StudyLease,
    reason_of_no_delivery,
    reason_of_results,
)
from node.domain.results import Compared
from node.domain.study import StudyEvent, StudyState
from node.errors import LeaseLostError
from tests.node.store.memory.tables import StudyRow, Tables

__all__ = ["MemoryQueues"]


class MemoryQueues:
    """The ports `AnalysisQueue` and `RefusalReportQueue`, except for reading one study."""

    _tables: Tables

    def lease_study(
        self, owner: str, now: datetime, until: datetime, *, but_not: Collection[str] = ()
    ) -> StudyLease | None:
        t = self._tables
        with t.transaction():
            free = [
                row
                for uid, row in t.studies.items()
                if uid not in but_not and (_is_ready(row.study, now) or _is_expired(row, now))
            ]
            if not free:
                return None
            study = min(free, key=lambda row: (t.is_backlog(row.study.study_uid), row.study.changed_at)).study
            attempts = study.attempts + (study.state is StudyState.ANALYSING)
            moved = t.apply_event(study, StudyEvent.LEASED, now, attempts=attempts)
            token = f"{owner}-{uuid4().hex}"
            t.studies[study.study_uid] = StudyRow(moved, (), token, until)
            return StudyLease(study.study_uid, study.revision, attempts + 1, token)

    def _held(self, lease: StudyLease) -> Study:
        row = self._tables.studies.get(lease.study_uid)
        if row is None or (row.token, row.study.revision) != (lease.token, lease.revision):
            raise LeaseLostError("the study changed while it was analysed")
        return row.study

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
        del answers  # notices are no part of this store
        t = self._tables
        compared = None if examination is None else Compared(examination.person, earlier)
        with t.transaction():
            held = self._held(lease)
            here = {
                row.key
                for row in t.results.values()
                if row.result.study_uid == held.study_uid and row.result.current
            }
            told = reason_of_results(beside, stand=key != "" and key in here)
            study = t.apply_event(held, StudyEvent.REPORTED, now, reason=told)
            t.change_study(study.study_uid, summary=dict(summary))
            t.supersede(study.study_uid, "a newer result replaced it", but=[one.sop_uid for one in results])
            t.put_results(
                study, results, now, key=key, replaced=replaced, made=made or now, compared=compared
            )
            t.put_examination(study, examination, now)
            t.put_distances(study.study_uid, distances or {}, now)
            t.answers[study.study_uid] = tuple(KeptAnswer(study.study_uid, now, one) for one in model_answers)
            if t.has_open_deliveries(study.study_uid):
                t.apply_event(study, StudyEvent.DELIVERY_BEGAN, now)
                return
            reason = reason_of_no_delivery(results)
            t.apply_event(study, StudyEvent.DELIVERY_ENDED, now, reason=reason)

    def record_refusal(
        self,
        lease: StudyLease,
        reasons: Sequence[str],
        now: datetime,
        *,
        reasons_to_report: Sequence[Reason] = (),
    ) -> None:
        with self._tables.transaction():
            self._tables.apply_event(
                self._held(lease), StudyEvent.REFUSED, now,
                reason="; ".join(reasons), reasons=[one for one in reasons if isinstance(one, Reason)],
                reasons_to_report=reasons_to_report,
            )  # fmt: skip

    def record_broken(self, lease: StudyLease, reason: str, now: datetime, retry_at: datetime | None) -> None:
        event = StudyEvent.GAVE_UP if retry_at is None else StudyEvent.BROKE
        with self._tables.transaction():
            self._tables.apply_event(
                self._held(lease), event, now,
                reason=reason, deadline=retry_at, attempts=lease.attempt,
            )  # fmt: skip

    def due_refusal_reports(self, now: datetime) -> tuple[DueRefusalReport, ...]:
        with self._tables.lock:
            due = [
                DueRefusalReport(row.study, row.reasons_to_report)
                for row in self._tables.studies.values()
                if row.study.state is StudyState.REFUSED and row.reasons_to_report
                if row.study.deadline is not None and row.study.deadline <= now
            ]
            return tuple(
                sorted(
                    due,
                    key=lambda one: (
                        self._tables.is_backlog(one.study.study_uid),
                        one.study.deadline or now,
                    ),
                )
            )

    def record_refusal_report(
        self,
        study: Study,
        results: Sequence[NewResult],
        now: datetime,
        *,
        key: str = "",
        replaced: Sequence[Predecessor] = (),
        made: datetime | None = None,
    ) -> None:
        t = self._tables
        with t.transaction():
            if not self._is_unchanged(study):
                return
            if results:
                uids = [one.sop_uid for one in results]
                t.supersede(study.study_uid, "a newer explanation replaced it", but=uids)
                t.put_results(study, results, now, key=key, replaced=replaced, made=made or now)
            row = t.studies[study.study_uid]
            t.studies[study.study_uid] = replace(
                row, study=replace(row.study, deadline=None), reasons_to_report=()
            )

    def put_off_refusal_report(self, study: Study, until: datetime, *, attempts: int) -> None:
        with self._tables.transaction():
            if self._is_unchanged(study):
                self._tables.change_study(study.study_uid, deadline=until, attempts=attempts)

    def _is_unchanged(self, study: Study) -> bool:
        now = self._tables.study(study.study_uid)
        return now is not None and (now.state, now.revision, now.changed_at) == (
            study.state,
            study.revision,
            study.changed_at,
        )


def _is_ready(study: Study, now: datetime) -> bool:
    return study.state is StudyState.READY and study.deadline is not None and study.deadline <= now


def _is_expired(row: StudyRow, now: datetime) -> bool:
    return row.study.state is StudyState.ANALYSING and row.lease_until is not None and row.lease_until <= now
