"""Arrivals and associations in memory."""

# ruff: noqa: D102 - `node.ports` describes each method
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from node.domain.completeness import Patience
from node.domain.records import (
    Arrival,
    ArrivalOutcome,
    AssociationRecord,
    QuarantineEntry,
    Study,
)
from node.domain.study import StudyEvent, StudyState
from tests.node.store.memory.tables import InstanceRow, StudyRow, Tables

__all__ = ["MemoryArrivals"]

_SENT_AGAIN = "a series that was cut off was sent again"


class MemoryArrivals:
    """The ports `Arrivals` and `AssociationRecords`, and what recovery and operators change in them.

    Parameters
    ----------
    tables : Tables
        What the store holds.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._group = max((row.group for row in tables.instances.values()), default=0)

    def record_arrivals(
        self,
        arrivals: Sequence[Arrival],
        now: datetime,
        patience: Patience,
        before_commit: Callable[[Sequence[ArrivalOutcome]], None] = lambda _outcomes: None,
    ) -> tuple[ArrivalOutcome, ...]:
        t = self._tables
        with t.transaction():
            self._group += 1
            outcomes = tuple(self._enter(arrival, now) for arrival in arrivals)
            new = [one for one, end in zip(arrivals, outcomes, strict=True) if end is ArrivalOutcome.STORED]
            if new:
                before_commit(outcomes)
            images: Counter[str] = Counter()
            for arrival in new:
                instance = arrival.instance
                if arrival.association:
                    key = (arrival.association, instance.study_uid, instance.series_uid)
                    t.associations.setdefault(key, None)
                images[instance.study_uid] += instance.is_mr_image
            for study_uid, count in images.items():
                self._update_study(study_uid, count, now, patience)
        return outcomes

    def _enter(self, arrival: Arrival, now: datetime) -> ArrivalOutcome:
        there = self._tables.instances.get(arrival.instance.sop_uid)
        if there is not None:
            same = there.instance.sha256 == arrival.instance.sha256
            return ArrivalOutcome.DUPLICATE if same else ArrivalOutcome.CONFLICT
        self._tables.instances[arrival.instance.sop_uid] = InstanceRow(arrival, self._group, now)
        return ArrivalOutcome.STORED

    def _update_study(self, study_uid: str, count: int, now: datetime, patience: Patience) -> None:
        t = self._tables
        quiet_at, wait_until = now + patience.quiet, now + patience.wait
        study = t.study(study_uid)
        if study is None:
            new = Study(
                study_uid, StudyState.RECEIVING, "", now, now, now, max(count, 1), quiet_at, wait_until, 0
            )
            t.studies[study_uid] = StudyRow(new)
            t.add_step(new, StudyEvent.ARRIVED, now)
            return
        revision = study.revision + count
        if study.state is StudyState.RECEIVING:
            t.change_study(study_uid, last_arrival=now, deadline=quiet_at, revision=revision)
        elif not count:
            t.change_study(study_uid, last_arrival=now)
        else:
            t.reopen(study, now, f"more images came while it was {study.state}")
            t.change_study(
                study_uid, last_arrival=now, deadline=quiet_at, wait_until=wait_until, revision=revision
            )

    def delete_arrivals(self, sop_uids: Iterable[str]) -> None:
        with self._tables.transaction():
            for sop_uid in sop_uids:
                self._tables.instances.pop(sop_uid, None)

    def record_quarantine(self, entry: QuarantineEntry) -> None:
        with self._tables.transaction():
            self._tables.quarantine = (*self._tables.quarantine, entry)

    def end_association(self, record: AssociationRecord, now: datetime, *, orderly: bool) -> None:
        t = self._tables
        with t.transaction():
            ours = [key for key in t.associations if key[0] == record.association]
            if not orderly:
                t.associations |= dict.fromkeys(ours, now)
                return
            for key in ours:
                del t.associations[key]
            made_whole = [
                (association, study_uid, series_uid)
                for (association, study_uid, series_uid), lost_at in t.associations.items()
                if (study_uid, series_uid) in record.series and lost_at is not None
                if lost_at < record.began_at
            ]
            for key in made_whole:
                del t.associations[key]
            for study_uid in sorted({study_uid for _, study_uid, _ in made_whole}):
                self._reexamine(study_uid, now)

    def _reexamine(self, study_uid: str, now: datetime) -> None:
        t = self._tables
        study = t.study(study_uid)
        if study is None or study.state in {StudyState.RECEIVING, StudyState.SETTLED}:
            return
        if study.state in {StudyState.WAITING_FOR_PAIR, StudyState.REFUSED}:
            t.apply_event(study, StudyEvent.MADE_WHOLE, now, reason=_SENT_AGAIN, deadline=now)
            return
        t.reopen(study, now, _SENT_AGAIN)
        t.change_study(study_uid, revision=study.revision + 1)

    def cut_off_series(self, study_uid: str) -> frozenset[str]:
        with self._tables.lock:
            items = self._tables.associations.items()
            return frozenset(series for (_, study, series), lost in items if study == study_uid and lost)

    def cut_off_associations(self, now: datetime) -> int:
        t = self._tables
        with t.transaction():
            still_open = [key for key, lost_at in t.associations.items() if lost_at is None]
            t.associations |= dict.fromkeys(still_open, now)
            return len(still_open)

    def forgive_cut_off(self, study_uid: str) -> None:
        t = self._tables
        with t.transaction():
            t.associations = {
                key: lost_at
                for key, lost_at in t.associations.items()
                if key[1] != study_uid or lost_at is None
            }
