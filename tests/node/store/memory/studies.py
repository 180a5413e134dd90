"""Studies in memory."""

# ruff: noqa: D102 - `node.ports` describes each method
from collections.abc import Sequence
from datetime import datetime, timedelta

from analysis.domain.reason import Reason
from node.domain.records import (
    HistoryEntry,
    Instance,
    QuarantineEntry,
    Study,
)
from node.domain.study import StudyEvent, StudyState
from tests.node.store.memory.tables import Tables

__all__ = ["MemoryStudies"]


class MemoryStudies:
    """The `SettlingQueue` port, except for associations, results and deliveries."""

    _tables: Tables

    def study(self, study_uid: str) -> Study | None:
        with self._tables.lock:
            return self._tables.study(study_uid)

    def instances(self, study_uid: str) -> tuple[Instance, ...]:
        return self._tables.instances_of(study_uid)

    def count_instances(self, study_uid: str) -> int:
        return len(self._tables.instances_of(study_uid))

    def senders(self, study_uid: str) -> frozenset[tuple[str, str]]:
        with self._tables.lock:
            arrivals = [row.arrival for row in self._tables.instances.values()]
            return frozenset((a.calling_ae, a.host) for a in arrivals if a.instance.study_uid == study_uid)

    def history(self, study_uid: str) -> tuple[HistoryEntry, ...]:
        with self._tables.lock:
            return self._tables.history.get(study_uid, ())

    def quarantined(self, study_uid: str, reason: str) -> tuple[QuarantineEntry, ...]:
        wanted = {instance.sop_uid for instance in self.instances(study_uid)}
        with self._tables.lock:
            entries = [one for one in self._tables.quarantine if one.reason == reason]
        entries.sort(key=lambda one: one.at)
        return tuple({one.sop_uid: one for one in entries if one.sop_uid in wanted}.values())

    def due_studies(self, now: datetime) -> tuple[Study, ...]:
        waiting = {StudyState.RECEIVING, StudyState.SETTLED, StudyState.WAITING_FOR_PAIR}
        due = [
            one
            for one in self._tables.all_studies()
            if (one.state in waiting and one.deadline is not None and one.deadline <= now)
            or (one.state is StudyState.RECEIVING and one.last_arrival > now + timedelta(minutes=1))
        ]
        order = self._tables.is_backlog
        return tuple(sorted(due, key=lambda one: (order(one.study_uid), one.deadline or now)))

    def coming_studies(self, quiet_since: datetime) -> tuple[Study, ...]:
        receiving = [one for one in self._tables.all_studies() if one.state is StudyState.RECEIVING]
        coming = [one for one in receiving if one.last_arrival <= quiet_since]
        order = self._tables.is_backlog
        return tuple(sorted(coming, key=lambda one: (order(one.study_uid), one.last_arrival)))

    def advance(
        self,
        study: Study,
        event: StudyEvent,
        now: datetime,
        *,
        reason: str = "",
        deadline: datetime | None = None,
        attempts: int = 0,
        reasons: Sequence[Reason] = (),
        reasons_to_report: Sequence[Reason] = (),
    ) -> Study | None:
        t = self._tables
        with t.transaction():
            current = t.study(study.study_uid)
            if current is None or (current.state, current.revision) != (study.state, study.revision):
                return None
            return t.apply_event(
                current, event, now,
                reason=reason, deadline=deadline, attempts=attempts, reasons=reasons,
                reasons_to_report=reasons_to_report,
            )  # fmt: skip
