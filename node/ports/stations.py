"""The rows of the node, as its stations see them: a port for each.

Every method is one transaction.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from analysis.domain.examination import Examination
from analysis.domain.reason import Reason
from analysis.domain.remoteness import TrainingDistance
from dicom_templates.options import Predecessor
from node.domain.completeness import Patience
from node.domain.delivery import DeliveryState
from node.domain.drift import Subject
from node.domain.model_answer import ModelAnswer
from node.domain.notice import Answer
from node.domain.records import (
    Arrival,
    ArrivalOutcome,
    AssociationRecord,
    Delivery,
    DeliveryBatch,
    Discarded,
    DueRefusalReport,
    HistoryEntry,
    Instance,
    NewResult,
    QuarantineEntry,
    Result,
    Study,
    StudyLease,
)
from node.domain.results import Lineage
from node.domain.study import StudyEvent, StudyState
from node.domain.wish import Wish

__all__ = [
    "AnalysisQueue",
    "Arrivals",
    "AssociationRecords",
    "Outbox",
    "Reception",
    "RefusalReportQueue",
    "SettlingQueue",
    "StudyReader",
    "StudySteps",
]


class StudyReader(Protocol):
    """Reads what is known of one study."""

    def study(self, study_uid: str) -> Study | None:
        """Return a study, or None if nothing of it was ever received."""
        ...

    def instances(self, study_uid: str) -> tuple[Instance, ...]:
        """Return the stored instances of a study, ordered by UID."""
        ...

    def count_instances(self, study_uid: str) -> int:
        """Return how many instances of a study are stored."""
        ...

    def senders(self, study_uid: str) -> frozenset[tuple[str, str]]:
        """Return the calling AE titles and addresses that sent a study."""
        ...

    def history(self, study_uid: str) -> tuple[HistoryEntry, ...]:
        """Return the steps of a study, oldest first."""
        ...

    def results(self, study_uid: str) -> tuple[Result, ...]:
        """Return every recorded result of a study, oldest revision first."""
        ...

    def lineage(self, study_uid: str) -> Lineage:
        """Return what the next result set of a study may have to replace."""
        ...

    def deliveries(self, study_uid: str) -> tuple[Delivery, ...]:
        """Return all deliveries of a study, those that ended too, in the order in which they were queued."""
        ...

    def quarantined(self, study_uid: str, reason: str) -> tuple[QuarantineEntry, ...]:
        """Return the latest quarantine entry with this reason of each instance of a study that has one."""
        ...

    def wishes(self, study_uid: str) -> tuple[Wish, ...]:
        """Return the wishes for a study, ordered by archive; none if it was never asked for."""

    def discarded(self, study_uid: str) -> tuple[Discarded, ...]:
        """Return what rules discarded of a study, ordered by the name of the rule."""
        ...


class Arrivals(Protocol):
    """Records what was received."""

    def record_arrivals(
        self,
        arrivals: Sequence[Arrival],
        now: datetime,
        patience: Patience,
        before_commit: Callable[[Sequence[ArrivalOutcome]], None] = ...,
    ) -> tuple[ArrivalOutcome, ...]:
        """Record a group of instances, and reopen their studies where they may change a result.

        Parameters
        ----------
        arrivals : sequence of Arrival
            The group. Its files may not be on disk yet; those of every earlier group are.
        now : datetime
            Time of arrival.
        patience : Patience
            Decides the deadlines of the studies.
        before_commit : callable, optional
            Called with the outcomes if an instance is new, before the transaction is committed, so that the
            files have their names first. If it raises, nothing is recorded.

        Returns
        -------
        tuple of ArrivalOutcome
            Of each arrival, in their order.
        """
        ...

    def delete_arrivals(self, sop_uids: Iterable[str]) -> None:
        """Delete the rows of instances whose files did not reach the disk; no sender was told of success."""
        ...

    def record_quarantine(self, entry: QuarantineEntry) -> None:
        """Record an object that was put into quarantine."""
        ...

    def record_discards(self, counts: Mapping[tuple[str, str], int], now: datetime) -> None:
        """Add numbers of objects that were discarded, by study and rule, to those recorded before."""
        ...


class AssociationRecords(Protocol):
    """Records how each association that carried a study ended."""

    def end_association(self, record: AssociationRecord, now: datetime, *, orderly: bool) -> None:
        """Record how an association ended.

        A series that was cut off before this association began, and that this association sent again and
        then released, counts as complete. Studies that were judged without that series are examined again.
        """
        ...

    def cut_off_series(self, study_uid: str) -> frozenset[str]:
        """Return the series of a study whose association was lost and that were not sent again."""
        ...


class Reception(Arrivals, AssociationRecords, Protocol):
    """What the listener needs: it stores instances, and follows the associations that bring them."""


class StudySteps(StudyReader, Protocol):
    """Moves a study from state to state."""

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
        """Apply an event to a study, unless the study changed since it was read.

        Parameters
        ----------
        study : Study
            As it was read.
        event : StudyEvent
            One that `node.domain.study.TRANSITIONS` permits in its state.
        now : datetime
            When it happened.
        reason : str
            Why, in words.
        deadline : datetime or None
            When the node looks at the study again.
        attempts : int
            Failed attempts so far.
        reasons : sequence of Reason
            What the reason is made of, where that has codes.
        reasons_to_report : sequence of Reason
            Why the study is refused, if a report of that is to be sent.

        Returns
        -------
        Study or None
            The study after the event; None if it had changed.
        """
        ...


class SettlingQueue(StudySteps, AssociationRecords, Protocol):
    """Studies that are still being received or wait for something that is missing."""

    def due_studies(self, now: datetime) -> tuple[Study, ...]:
        """Return the studies whose deadline has passed: the backlog last, then the longest overdue first."""
        ...

    def coming_studies(self, quiet_since: datetime) -> tuple[Study, ...]:
        """Return the studies that are being received, but of which nothing was received since a moment.

        The backlog comes last, and otherwise those first that have been quiet longest.
        """
        ...


class AnalysisQueue(StudyReader, Protocol):
    """Studies that are ready to be analysed."""

    def lease_study(
        self, owner: str, now: datetime, until: datetime, *, but_not: Collection[str] = ()
    ) -> StudyLease | None:
        """Lease the study that has waited longest, except some by UID; None if none is ready.

        Studies that were fetched as backlog come after all others. A study whose lease has run out is ready,
        too, unless another node that is alive has it: `NodeBook.free_vanished` frees those of the dead.
        """
        ...

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
        """Record a result set and queue its deliveries.

        Parameters
        ----------
        lease : StudyLease
            Ends with this.
        results : sequence of NewResult
            The set.
        summary : mapping of str to str
            See `node.domain.results.Outcome`.
        now : datetime
            The present.
        key, replaced, beside : str, sequence of Predecessor, sequence of Reason
            See `node.domain.results.Outcome`.
        made : datetime or None
            When they were first made; None for now.
        examination, earlier : Examination or None
            See `node.domain.results.Outcome`; the scores of a certain patient are kept.
        answers : sequence of Answer
            What contacts may be told of (`NoticeBox.happenings`), unless the study had this set already.
        distances : mapping of Subject to TrainingDistance, optional
            How far the study lies from the training; its scanner is judged by it
            (`node.domain.drift.follow`).
        model_answers : sequence of ModelAnswer
            What each model answered; kept instead of what is kept of the study.

        Raises
        ------
        LeaseLostError
            If another worker holds the lease, or more images arrived.
        """
        ...

    def record_refusal(
        self,
        lease: StudyLease,
        reasons: Sequence[str],
        now: datetime,
        *,
        reasons_to_report: Sequence[Reason] = (),
    ) -> None:
        """Record why a study is refused, and, with `reasons_to_report`, that a report of that is to be sent.

        Raises
        ------
        LeaseLostError
            If another worker holds the lease, or more images arrived.
        """
        ...

    def record_broken(self, lease: StudyLease, reason: str, now: datetime, retry_at: datetime | None) -> None:
        """Record a failed attempt; without `retry_at` the study waits for an operator.

        Raises
        ------
        LeaseLostError
            If another worker holds the lease, or more images arrived.
        """
        ...


class RefusalReportQueue(StudyReader, Protocol):
    """Refusals of which a report is still to be sent."""

    def due_refusal_reports(self, now: datetime) -> tuple[DueRefusalReport, ...]:
        """Return the refusals whose report is due: the backlog last, then the longest overdue first."""
        ...

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
        """Queue the report of a refusal, if there is one, and take the refusal off this queue.

        Nothing happens if the study has changed since it was read.
        """
        ...

    def put_off_refusal_report(self, study: Study, until: datetime, *, attempts: int) -> None:
        """Record how often reporting a refusal failed, and when it is tried again.

        Nothing happens if the study has changed since it was read.
        """
        ...


class Outbox(Protocol):
    """Results that are still to be sent, for each destination."""

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
        """Lease all due deliveries of one study to one destination.

        Parameters
        ----------
        destination : str
            By name.
        owner : str
            Names this node in the lease.
        now, until : datetime
            Begin and end of the lease.
        state : DeliveryState
            `WAITING` for what is to be sent, `UNCONFIRMED` for what is to be confirmed.
        only_ordered : bool
            Whether only what waits because an operator asked for it is leased.

        Returns
        -------
        DeliveryBatch or None
            Those of the study that was queued first, the backlog after all others; None if nothing is due.
        """
        ...

    def begin_commitment(
        self, batch: DeliveryBatch, deliveries: Sequence[Delivery], transaction_uid: str
    ) -> None:
        """Record the transaction of a request for storage commitment, before the request is sent."""
        ...

    def lease_commitment(self, transaction_uid: str, owner: str, until: datetime) -> DeliveryBatch | None:
        """Lease the deliveries that a storage commitment report is about; None if no request has this UID."""
        ...

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
        """Record what became of one object, and when it is due again.

        Raises
        ------
        LeaseLostError
            If another worker holds the lease, or something newer replaced the object.
        """
        ...

    def return_deliveries(self, batch: DeliveryBatch, reason: str, not_before: datetime) -> None:
        """Return the rest of a batch to the queue, because the destination could not be reached.

        Whatever else an operator ordered for this destination waits with it: one attempt has answered all.
        """
        ...

    def finish_deliveries(self, study_uid: str, now: datetime) -> StudyState | None:
        """Close a study all of whose deliveries have ended; return its new state, None if some are open."""
        ...

    def finish_all_deliveries(self, now: datetime) -> int:
        """Close every study whose deliveries have all ended while the study still counts as delivering.

        Such a study is left if the store fails right after the last delivery was recorded.

        Returns
        -------
        int
            How many studies were closed.
        """
        ...
