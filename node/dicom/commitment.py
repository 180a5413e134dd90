"""Storage commitment: an archive takes responsibility for keeping what it has stored.

References
----------
DICOM PS3.4 Annex J, Storage Commitment Service Class, Push Model.
"""

import threading
from collections.abc import Callable, Sequence

from pydicom import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from node.dicom.association import Peer, associated
from node.domain.delivery import CommitmentReport
from node.domain.dimse_status import PROCESSING_FAILURE, SUCCESS
from node.domain.identifiers import is_uid
from node.domain.records import Result
from node.errors import TransientError

__all__ = ["COMMITMENT_CONTEXTS", "report_of", "request_commitment"]

COMMITMENT_CONTEXTS = (build_context(StorageCommitmentPushModel),)
"""For the request, and for a report over the same association."""
_REQUEST = 1
_LINGER_S = 1.0
"""Some archives report over the same association, at once; most open one of their own, later."""


def request_commitment(
    peer: Peer, transaction_uid: str, results: Sequence[Result], take: Callable[[CommitmentReport], None]
) -> None:
    """Request storage commitment for results that an archive has accepted.

    Parameters
    ----------
    peer : Peer
        The archive.
    transaction_uid : str
        Identifies the request; its report repeats this, whichever association it is sent over.
    results : sequence of Result
        The results.
    take : callable
        Called with the report, if it is sent over the same association.

    Raises
    ------
    TransientError
        If the archive cannot be reached, or refuses.
    """
    reported = threading.Event()

    def report(event: evt.Event) -> tuple[int, None]:
        take(report_of(event.event_information))
        reported.set()
        return SUCCESS, None

    with associated(
        peer,
        COMMITMENT_CONTEXTS,
        roles=[build_role(StorageCommitmentPushModel, scu_role=True)],
        handlers=[(evt.EVT_N_EVENT_REPORT, report)],
    ) as association:
        if not association.is_established:
            raise TransientError("it offers no storage commitment")
        status, _ = association.send_n_action(
            _request(transaction_uid, results),
            _REQUEST,
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )
        code = status.get("Status")
        if code != SUCCESS:
            said = "gave no answer" if code is None else f"answered 0x{code:04X}"
            raise TransientError(f"it {said} to a request for storage commitment")
        reported.wait(_LINGER_S)


def report_of(information: Dataset) -> CommitmentReport:
    """Read the dataset of an N-EVENT-REPORT; items without a UID are skipped."""
    committed = {
        str(item.get("ReferencedSOPInstanceUID")) for item in information.get("ReferencedSOPSequence") or ()
    }
    failed = {
        str(item.get("ReferencedSOPInstanceUID")): int(item.get("FailureReason") or PROCESSING_FAILURE)
        for item in information.get("FailedSOPSequence") or ()
    }
    return CommitmentReport(
        str(information.get("TransactionUID") or ""),
        frozenset(uid for uid in committed if is_uid(uid)),
        {uid: reason for uid, reason in failed.items() if is_uid(uid)},
    )


def _request(transaction_uid: str, results: Sequence[Result]) -> Dataset:
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = []
    for result in results:
        item = Dataset()
        item.ReferencedSOPClassUID = result.sop_class_uid
        item.ReferencedSOPInstanceUID = result.sop_uid
        request.ReferencedSOPSequence.append(item)
    return request
