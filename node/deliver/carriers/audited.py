"""A carrier that records its transfers in the audit trail."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from node.deliver.carriers import Carrier
from node.deliver.carriers.result_file import patient_id_in
from node.domain.audit import EventOutcome, Party, StudyMoved, studies_transferred, transfer_begins
from node.domain.delivery import DeliveryResponse, Disposition
from node.domain.records import Result
from node.errors import PermanentError
from node.ports import Audit, Clock

__all__ = ["AuditedCarrier"]


class AuditedCarrier:
    """Wraps a `Carrier`; audits what is about to be sent once it is open, and what was accepted at the end.

    Parameters
    ----------
    carrier : Carrier
        The carrier that sends.
    folder : Path
        The folder that the names of results are relative to.
    sender, receiver : Party
        This node and the destination.
    audit, clock : Audit, Clock
        See `node.ports`.
    """

    def __init__(
        self, carrier: Carrier, folder: Path, sender: Party, receiver: Party, *, audit: Audit, clock: Clock
    ) -> None:
        self._carrier = carrier
        self._folder = folder
        self._sender = sender
        self._receiver = receiver
        self._audit = audit
        self._clock = clock

    @contextmanager
    def open(self, results: Sequence[Result]) -> Iterator[Callable[[Result], DeliveryResponse]]:
        """See `node.deliver.carriers.Carrier`."""
        study_uid, patient_id = results[0].study_uid, self._patient_of(results)
        planned = Counter(result.sop_class_uid for result in results if result.sop_class_uid)
        accepted: Counter[str] = Counter()
        took: list[bool] = []
        with self._carrier.open(results) as send:
            study = StudyMoved(study_uid, patient_id, planned)
            self._audit.record(transfer_begins(self._sender, self._receiver, study, self._clock.now()))

            def send_and_count(result: Result) -> DeliveryResponse:
                answer = send(result)
                took.append(answer.disposition is Disposition.ACCEPTED)
                if result.sop_class_uid:  # what is no DICOM object has none
                    accepted[result.sop_class_uid] += took[-1]
                return answer

            try:
                yield send_and_count
            finally:
                all_of_them = len(took) == len(results) and all(took)
                outcome = EventOutcome.SUCCESS if all_of_them else EventOutcome.MINOR_FAILURE
                study = StudyMoved(study_uid, patient_id, +accepted)
                self._audit.record(
                    studies_transferred(self._sender, self._receiver, study, self._clock.now(), outcome)
                )

    def find(self, results: Sequence[Result]) -> set[str]:
        """See `node.deliver.carriers.Carrier`."""
        return self._carrier.find(results)

    def _patient_of(self, results: Sequence[Result]) -> str:
        """Return the Patient ID in the first result that can be read; empty if none can."""
        for result in results:
            try:
                return patient_id_in(self._folder / result.name)
            except PermanentError:
                continue  # reported when it is sent
        return ""
