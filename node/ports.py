"""What the sweeps ask of the world; the concrete classes are named only in `node.app`."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from analysis.domain.reason import Reason
from dicom_templates.options import Predecessor
from node.domain.assembly import Patience
from node.domain.audit import AuditMessage
from node.domain.delivery import DeliveryState
from node.domain.records import (
    Arrival,
    ArrivalOutcome,
    AssociationRecord,
    Delivery,
    DeliveryBatch,
    HistoryEntry,
    Instance,
    NewResult,
    QuarantineEntry,
    Result,
    StagedFile,
    Study,
    StudyLease,
    Unexplained,
)
from node.domain.results import Lineage
from node.domain.study import StudyEvent, StudyState

__all__ = [
    "AssociationRecords",
    "Audit",
    "Clock",
    "InstanceStore",
    "OpenAssociations",
    "Outbox",
    "StagingFile",
    "Store",
    "Worker",
]


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present moment, aware of its time zone."""
        ...


class OpenAssociations(Protocol):
    """Knows which studies are being sent at this moment."""

    def is_open(self, study_uid: str) -> bool:
        """Tell whether an association that brought instances of this study is still open."""
        ...


class Audit(Protocol):
    """Takes audit messages."""

    def record(self, message: AuditMessage) -> None:
        """Hand in a message; it is written soon, or told as lost."""
        ...


class Worker(Protocol):
    """Runs one function elsewhere, and survives whatever that function does."""

    def start(self) -> None:
        """Get ready, so that the first call need not wait for it."""
        ...

    def call(self, *arguments: object, time_limit_s: float) -> Any:  # noqa: ANN401 - whatever the function gives
        """Call the function; `WorkerLostError` if it was lost, `RefusedError` as it refused."""
        ...

    def interrupt(self) -> None:
        """End a running call from another thread, for good."""
        ...

    def stop(self) -> None:
        """End for good, once nobody calls any more."""
        ...


class StagingFile(Protocol):
    """A temporary file that grows as its object arrives."""

    def write(self, part: bytes | memoryview) -> None:
        """Add to the dataset; `StorageFullError` when the disk is too full to promise it."""
        ...

    def head(self, most: int) -> bytes:
        """Return the first bytes of the dataset."""
        ...

    def finish(self) -> StagedFile:
        """Close the file, whole; `StorageFullError` when the disk is full."""
        ...

    def discard(self) -> None:
        """Close and remove the file."""
        ...


class InstanceStore(Protocol):
    """Keeps the bytes of instances, and never decodes them."""

    def stage(self, header: bytes) -> StagingFile:
        """Begin a temporary file; `StorageFullError` when the disk is too full to promise it."""
        ...

    def committing(self, files: Sequence[tuple[StagedFile, Instance]]) -> AbstractContextManager[None]:
        """Make staged files permanent under their instances; at its end they survive a power cut.

        What is done inside is done once the files have their names and while they are synced. If it or a sync
        fails, the files are removed.
        """
        ...

    def quarantine(self, staged: StagedFile) -> str:
        """Put a staged file aside, durably, and return its name there."""
        ...

    def discard(self, staged: StagedFile) -> None:
        """Forget a staged file."""
        ...

    def path(self, instance: Instance) -> Path:
        """Return where an instance lies."""
        ...


class Outbox(Protocol):
    """Keeps what is still to be sent, for each destination."""

    def lease_deliveries(
        self,
        destination: str,
        owner: str,
        now: datetime,
        until: datetime,
        *,
        state: DeliveryState = DeliveryState.WAITING,
    ) -> DeliveryBatch | None:
        """Take all due results of one study for one destination, to be sent or, if so, to be confirmed."""
        ...

    def begin_commitment(
        self, batch: DeliveryBatch, deliveries: Sequence[Delivery], transaction_uid: str
    ) -> None:
        """Note by which request an archive is asked to commit itself, before it is asked."""
        ...

    def lease_commitment(self, transaction_uid: str, owner: str, until: datetime) -> DeliveryBatch | None:
        """Take what a report of storage commitment is about, or None if nobody asked for it."""
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
        """Note what became of one object."""
        ...

    def return_deliveries(self, batch: DeliveryBatch, reason: str, not_before: datetime) -> None:
        """Put back what was not tried, because the destination could not be reached."""
        ...

    def finish_deliveries(self, study_uid: str, now: datetime) -> StudyState | None:
        """Close a study whose results all reached an end; return its new state, or None if some are open."""
        ...


class AssociationRecords(Protocol):
    """Knows how the associations ended that brought a study."""

    def end_association(self, transfer: AssociationRecord, now: datetime, *, orderly: bool) -> None:
        """Note how an association ended; in order, it makes whole what was cut off before it began."""
        ...

    def cut_off_series(self, study_uid: str) -> frozenset[str]:
        """Return the series of a study whose association was lost and that were not sent again."""
        ...


class Store(Outbox, AssociationRecords, Protocol):
    """Keeps the truth about studies; every method is one transaction."""

    def record_arrivals(
        self,
        arrivals: Sequence[Arrival],
        now: datetime,
        patience: Patience,
        place: Callable[[Sequence[ArrivalOutcome]], None],
    ) -> tuple[ArrivalOutcome, ...]:
        """Note those of a group of instances that are new, and open their studies again where they matter.

        What became of each is told to `place` before the transaction is committed, so that the files have
        their names first. They may still be on their way to disk; those of every earlier group are there.
        """
        ...

    def withdraw_arrivals(self, sop_uids: Iterable[str]) -> None:
        """Take back instances whose files did not reach the disk, and that nobody was promised."""
        ...

    def record_quarantine(self, entry: QuarantineEntry) -> None:
        """Note what was put aside."""
        ...

    def due_studies(self, now: datetime) -> Sequence[Study]:
        """Return the studies whose deadline has passed."""
        ...

    def advance(
        self,
        study: Study,
        event: StudyEvent,
        now: datetime,
        *,
        reason: str = "",
        deadline: datetime | None = None,
        attempts: int = 0,
        unexplained: Sequence[Reason] = (),
    ) -> Study | None:
        """Move a study on, unless it changed since it was read; then return None.

        With `unexplained`, which is why it is refused, the archive is told so.
        """
        ...

    def coming_studies(self, quiet_since: datetime) -> Sequence[Study]:
        """Return the studies that are being received, but of which nothing came since a moment."""
        ...

    def lease_study(
        self, owner: str, now: datetime, until: datetime, *, but_not: Collection[str] = ()
    ) -> StudyLease | None:
        """Take the study that waited longest, or None when none is ready, except some."""
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
    ) -> None:
        """Note a report and fill the outbox, in one transaction; `LeaseLostError` if the input changed."""
        ...

    def lineage(self, study_uid: str) -> Lineage:
        """Return what the next result set of a study may have to replace."""
        ...

    def record_refusal(
        self,
        lease: StudyLease,
        reasons: Sequence[str],
        now: datetime,
        *,
        unexplained: Sequence[Reason] = (),
    ) -> None:
        """Note why nothing is reported, and, where the archive is to be told, what."""
        ...

    def due_explanations(self, now: datetime) -> Sequence[Unexplained]:
        """Return the refusals of which the archive is to be told now."""
        ...

    def record_explanation(
        self,
        study: Study,
        results: Sequence[NewResult],
        now: datetime,
        *,
        key: str = "",
        replaced: Sequence[Predecessor] = (),
    ) -> None:
        """Put the report of a refusal into the outbox, if there is one, and be done with it.

        Nothing happens once the study has moved on.
        """
        ...

    def put_off_explanation(self, study: Study, until: datetime, *, attempts: int) -> None:
        """Note how often explaining a refusal failed, and when it is tried again."""
        ...

    def record_broken(self, lease: StudyLease, reason: str, now: datetime, retry_at: datetime | None) -> None:
        """Note a failed try; without `retry_at` the study is set aside."""
        ...

    def study(self, study_uid: str) -> Study | None:
        """Return one study."""
        ...

    def studies(self, limit: int) -> Sequence[Study]:
        """Return the studies that changed last."""
        ...

    def instances(self, study_uid: str) -> Sequence[Instance]:
        """Return the stored instances of a study, by UID."""
        ...

    def senders(self, study_uid: str) -> frozenset[tuple[str, str]]:
        """Return the AE titles and addresses that a study came from."""
        ...

    def history(self, study_uid: str) -> Sequence[HistoryEntry]:
        """Return the steps of a study, oldest first."""
        ...

    def results(self, study_uid: str) -> Sequence[Result]:
        """Return every recorded result of a study, oldest revision first."""
        ...

    def deliveries(self, study_uid: str) -> Sequence[Delivery]:
        """Return what was and is to be sent of a study."""
        ...

    def all_instances(self) -> Iterator[Instance]:
        """Iterate over every stored instance."""
        ...
