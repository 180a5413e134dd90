"""A way of asking an archive whose questions are entered in the audit trail."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from node.domain.audit import Client, EventOutcome, Party, queried
from node.fetch.archives.dimse import identifier
from node.fetch.archives.wire import Level, Sent, Wire
from node.ports import Audit, Clock

__all__ = ["AuditedWire", "QuestionTrail"]


@dataclass(frozen=True, slots=True)
class QuestionTrail:
    """Where questions are entered, and the person who asks them; None for the node itself."""

    audit: Audit
    clock: Clock
    client: Client | None = None


class AuditedWire:
    """Wraps a `Wire`: each question names a patient or says where images of patients are, so it is audited.

    A question by QIDO-RS is entered as the C-FIND that asks for the same.

    Parameters
    ----------
    wire : Wire
        Asks the questions.
    asker, archive : Party
        This node, and the archive.
    trail : QuestionTrail
        Where they are entered.
    """

    def __init__(self, wire: Wire, asker: Party, archive: Party, trail: QuestionTrail) -> None:
        self._wire = wire
        self._asker = asker
        self._archive = archive
        self._trail = trail

    def reach(self) -> None:
        """See `Wire`; it asks for nobody, and is not entered."""
        self._wire.reach()

    def find(self, level: Level, keys: Mapping[str, str], most: int) -> Sequence[Dataset]:
        """See `Wire`."""
        outcome = EventOutcome.MINOR_FAILURE
        try:
            found = self._wire.find(level, keys, most)
            outcome = EventOutcome.SUCCESS
        finally:
            asked = (
                str(StudyRootQueryRetrieveInformationModelFind),
                _encoded(level, keys),
                str(ImplicitVRLittleEndian),
            )
            trail = self._trail
            trail.audit.record(
                queried(
                    self._asker,
                    self._archive,
                    asked,
                    at=trail.clock.now(),
                    outcome=outcome,
                    client=trail.client,
                )
            )
        return found

    def header(self, study_uid: str, series_uid: str, sop_uid: str) -> Dataset | None:
        """See `Wire`."""
        return self._wire.header(study_uid, series_uid, sop_uid)

    def fetch(self, study_uid: str, series_uid: str, expected: Collection[str] | None) -> Sent:
        """See `Wire`."""
        return self._wire.fetch(study_uid, series_uid, expected)


def _encoded(level: Level, keys: Mapping[str, str]) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = buffer.is_little_endian = True
    write_dataset(buffer, identifier(level, keys))
    return buffer.getvalue()
