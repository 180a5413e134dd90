"""Results and deliveries in memory."""

# ruff: noqa: D102 - `node.ports` describes each method
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import uuid4

from dicom_templates.options import Predecessor
from dicom_templates.result_kinds import DOCUMENT_KINDS, ResultKind
from node.domain.delivery import ORDERED, DeliveryEnd, DeliveryState, how_deliveries_ended
from node.domain.records import (
    IDENTITY_REPLACED,
    Delivery,
    DeliveryBatch,
    NewResult,
    Result,
    Study,
)
from node.domain.results import Lineage
from node.domain.study import TRANSITIONS, StudyEvent, StudyState
from node.errors import LeaseLostError
from tests.node.store.memory.tables import DeliveryRow, Tables

__all__ = ["MemoryOutbox"]


class MemoryOutbox:
    """The `Outbox` port, what is read of results and deliveries, and what operators change in them."""

    _tables: Tables

    def results(self, study_uid: str) -> tuple[Result, ...]:
        with self._tables.lock:
            results = [row.result for row in self._tables.results.values()]
        ours = [one for one in results if one.study_uid == study_uid]
        return tuple(sorted(ours, key=lambda one: (one.revision, one.kind.value, one.sop_uid)))

    def lineage(self, study_uid: str) -> Lineage:
        t = self._tables
        with t.lock:
            current = [
                row
                for _, row in sorted(t.results.items())
                if row.result.study_uid == study_uid and row.result.current
            ]
            tried = {row.sop_uid for row in t.deliveries.values() if row.tried}
        priors = t.other_examinations(study_uid)
        if not current:
            return Lineage(priors=priors, departures=t.departures())
        number = 1 + max((one.number for one in current[0].replaced), default=0)
        documents = tuple(
            Predecessor(
                row.result.sop_class_uid, row.result.sop_uid, row.result.series_uid, study_uid, number
            )
            for row in current
            if row.result.kind in DOCUMENT_KINDS
        )
        fhir = [row.result for uid, row in t.results.items() if uid in tried]
        fhir = [one for one in fhir if one.study_uid == study_uid and one.kind is ResultKind.FHIR]
        now_as_fhir = sum(one.current for one in fhir)
        queued = any(row.result.sop_uid in tried for row in current if row.result.kind is not ResultKind.FHIR)
        made = [
            row.result.created_at
            for uid, row in t.results.items()
            if row.result.study_uid == study_uid and uid in tried
        ]
        corrected = [
            one.at
            for one in t.quarantine
            if one.reason == IDENTITY_REPLACED
            and one.sop_uid in t.instances
            and t.instances[one.sop_uid].instance.study_uid == study_uid
        ]
        is_corrected = bool(made and corrected) and min(made) <= max(corrected)
        latest = max(row.result.created_at for row in current)
        return Lineage(
            current[0].key, current[0].replaced, documents if queued else (), is_corrected, latest,
            compared=current[0].compared, priors=priors,
            sent_as_fhir=(len(fhir) - now_as_fhir, now_as_fhir),
            departures=t.departures(),
        )  # fmt: skip

    def deliveries(self, study_uid: str) -> tuple[Delivery, ...]:
        with self._tables.lock:
            return tuple(
                self._tables.delivery(row)
                for row in self._tables.deliveries.values()
                if row.study_uid == study_uid
            )

    def lease_deliveries(
        self,
        destination: str,
        owner: str,
        now: datetime,
        until: datetime,
        *,
        state: DeliveryState = DeliveryState.WAITING,
        only_ordered: bool = False,
    ) -> DeliveryBatch | None:
        with self._tables.transaction():
            due = [
                row
                for row in self._tables.deliveries.values()
                if row.destination == destination and _is_due(row, state, now)
                if row.reason == ORDERED or not only_ordered
            ]
            due.sort(key=lambda row: self._tables.is_backlog(row.study_uid))
            ours = [row for row in due if row.study_uid == due[0].study_uid]
            sending = {"state": DeliveryState.SENDING, "tried": True}
            return self._take(ours, owner, until, sending if state is DeliveryState.WAITING else {})

    def _take(
        self, rows: Sequence[DeliveryRow], owner: str, until: datetime, change: Mapping[str, object]
    ) -> DeliveryBatch | None:
        t = self._tables
        if not rows:
            return None
        token = f"{owner}-{uuid4().hex}"
        for row in rows:
            t.change_delivery(row, token=token, lease_until=until, **change)
        deliveries = tuple(t.delivery(t.deliveries[row.identifier]) for row in rows)
        return DeliveryBatch(rows[0].destination, rows[0].study_uid, deliveries, token)

    def begin_commitment(
        self, batch: DeliveryBatch, deliveries: Sequence[Delivery], transaction_uid: str
    ) -> None:
        ours = {delivery.identifier for delivery in deliveries}
        with self._tables.transaction():
            for row in self._tables.deliveries.values():
                if row.identifier in ours and row.token == batch.token:
                    self._tables.change_delivery(row, transaction_uid=transaction_uid)

    def lease_commitment(self, transaction_uid: str, owner: str, until: datetime) -> DeliveryBatch | None:
        with self._tables.transaction():
            asked = [
                row for row in self._tables.deliveries.values() if row.transaction_uid == transaction_uid
            ]
            return self._take([row for row in asked if row.is_unconfirmed], owner, until, {})

    def record_delivery(
        self,
        batch: DeliveryBatch,
        delivery: Delivery,
        state: DeliveryState,
        *,
        status: int | None,
        reason: str,
        now: datetime,
        not_before: datetime | None = None,
    ) -> None:
        with self._tables.transaction():
            row = self._tables.deliveries[delivery.identifier]
            if row.token != batch.token:
                raise LeaseLostError("another took this delivery over")
            self._tables.change_delivery(
                row, state=state, status=status, reason=reason, attempts=_attempts_after(row, state),
                not_before=not_before or now, token="", lease_until=None, recorded_at=now,
            )  # fmt: skip

    def return_deliveries(self, batch: DeliveryBatch, reason: str, not_before: datetime) -> None:
        with self._tables.transaction():
            for row in self._tables.deliveries.values():
                if row.token == batch.token:
                    state = row.state if row.is_unconfirmed else DeliveryState.WAITING
                    self._tables.change_delivery(
                        row, state=state, reason=reason, not_before=not_before, token="", lease_until=None
                    )
                elif (row.destination, row.state, row.reason) == (
                    batch.destination, DeliveryState.WAITING, ORDERED,
                ):  # fmt: skip
                    self._tables.change_delivery(row, reason=reason, not_before=not_before)

    def finish_deliveries(self, study_uid: str, now: datetime) -> StudyState | None:
        t = self._tables
        with t.transaction():
            study = t.study(study_uid)
            if study is None or study.state is not StudyState.DELIVERING or t.has_open_deliveries(study_uid):
                return None
            ends = [
                DeliveryEnd(row.state, row.destination, row.reason)
                for row in self._tables.deliveries.values()
                if row.study_uid == study_uid and row.state is not DeliveryState.SUPERSEDED
                if t.results[row.sop_uid].result.current
            ]
            event, reason = how_deliveries_ended(ends)
            return t.apply_event(study, event, now, reason=reason).state

    def finish_all_deliveries(self, now: datetime) -> int:
        return sum(
            self.finish_deliveries(one.study_uid, now) is not None for one in self._tables.all_studies()
        )

    def resend(self, study: Study, now: datetime) -> bool:
        t = self._tables
        ended = {DeliveryState.FAILED, DeliveryState.NOT_ACCEPTED}
        with t.transaction():
            found = t.study(study.study_uid)
            if found is None or not _takes_order(found):
                return False
            current = {one.sop_uid for one in self.results(study.study_uid) if one.current}
            ours = [row for row in t.deliveries.values() if row.study_uid == study.study_uid]
            count = 0
            for row in ours:
                if row.state in ended and row.sop_uid in current:
                    t.change_delivery(row, **_queued_by_order(now))
                elif found.state is StudyState.DELIVERING and row.state is DeliveryState.WAITING:
                    t.change_delivery(row, not_before=now, reason=ORDERED)
                elif found.state is StudyState.DELIVERING and row.is_unconfirmed:
                    t.change_delivery(row, not_before=now)
                else:
                    continue
                count += 1
            if count:
                self._record_order(found, now)
            return bool(count)

    def send_again(self, study: Study, results: Sequence[NewResult], now: datetime) -> bool:
        t = self._tables
        with t.transaction():
            found = t.study(study.study_uid)
            if found is None or (found.state, found.revision) != (study.state, study.revision):
                return False
            if not _takes_order(found):
                return False
            wanted = [(one.sop_uid, name) for one in results for name in one.destinations]
            there = {(row.sop_uid, row.destination): row for row in t.deliveries.values()}
            sending = {key for key, row in there.items() if row.state is DeliveryState.SENDING}
            t.put_deliveries(study, results, now)
            count = 0
            for row in tuple(t.deliveries.values()):
                if (row.sop_uid, row.destination) in wanted and (row.sop_uid, row.destination) not in sending:
                    t.change_delivery(row, **_queued_by_order(now))
                    count += 1
            if count:
                self._record_order(found, now)
            return bool(count)

    def _record_order(self, study: Study, now: datetime) -> None:
        stays = study.state is StudyState.REFUSED
        reason, reasons = (study.reason, study.reasons) if stays else (ORDERED, ())
        self._tables.apply_event(study, StudyEvent.RESENT, now, reason=reason, reasons=reasons)

    def set_aside(self, study: Study, reason: str, now: datetime) -> bool:
        t = self._tables
        with t.transaction():
            found = t.study(study.study_uid)
            if found is None or (found.state, found.revision) != (study.state, study.revision):
                return False
            for row in tuple(t.deliveries.values()):
                if row.study_uid == study.study_uid and row.is_open:
                    given_up = {
                        "state": DeliveryState.FAILED,
                        "reason": reason,
                        "token": "",
                        "lease_until": None,
                    }
                    t.change_delivery(row, **given_up)
            t.apply_event(found, StudyEvent.SET_ASIDE, now, reason=reason)
            return True

    def redirect(
        self, study: Study, results: Sequence[NewResult], known: Collection[str], now: datetime
    ) -> bool:
        t = self._tables
        with t.transaction():
            found = t.study(study.study_uid)
            stranded = [
                row
                for row in self._tables.deliveries.values()
                if row.study_uid == study.study_uid and row.destination not in known
                if row.is_open or row.state is DeliveryState.FAILED
            ]
            if found is None or not stranded:
                return False
            for row in stranded:
                gone = "no destination has this name any more"
                t.change_delivery(row, state=DeliveryState.SUPERSEDED, reason=gone, token="")
            t.put_deliveries(found, results, now)
            if _takes_order(found):
                self._record_order(found, now)
            return True


def _takes_order(study: Study) -> bool:
    is_explanation_due = study.state is StudyState.REFUSED and study.deadline is not None
    return (study.state, StudyEvent.RESENT) in TRANSITIONS and not is_explanation_due


def _queued_by_order(now: datetime) -> dict[str, object]:
    queued = {"state": DeliveryState.WAITING, "attempts": 0, "reason": ORDERED, "not_before": now}
    return {**queued, "transaction_uid": None, "token": "", "lease_until": None}


def _is_due(row: DeliveryRow, state: DeliveryState, now: datetime) -> bool:
    expired = row.lease_until is not None and row.lease_until <= now
    if row.state is DeliveryState.SENDING:
        return state is DeliveryState.WAITING and expired
    return row.state is state and row.not_before <= now and (row.lease_until is None or expired)


def _attempts_after(row: DeliveryRow, state: DeliveryState) -> int:
    if state is not DeliveryState.UNCONFIRMED:
        return row.attempts + (state is not DeliveryState.SENT)
    if row.state is not DeliveryState.SENDING:
        return row.attempts + 1
    return 0 if row.transaction_uid is None else row.attempts
