"""What a destination's response means, when it is tried again, and how the deliveries of a study ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from node.domain.dimse_status import (
    ATTRIBUTE_LIST_ERROR,
    ATTRIBUTE_VALUE_OUT_OF_RANGE,
    DATASET_DOES_NOT_MATCH,
    DUPLICATE_INSTANCE,
    INVALID_INSTANCE,
    NO_SUCH_INSTANCE,
    NOT_AUTHORISED,
    OPTIONAL_ATTRIBUTES_NOT_SUPPORTED,
    OUT_OF_RESOURCES,
    SOP_CLASS_NOT_SUPPORTED,
    SUCCESS,
)
from node.domain.study import StudyEvent

__all__ = [
    "OPEN_DELIVERY_STATES",
    "ORDERED",
    "CommitmentReport",
    "DeliveryEnd",
    "DeliveryResponse",
    "DeliveryState",
    "Disposition",
    "how_deliveries_ended",
    "judge_commitment",
    "judge_status",
    "state_after",
]


class DeliveryState(StrEnum):
    """Where one result object stands on its way to one destination."""

    WAITING = "waiting"
    SENDING = "sending"
    UNCONFIRMED = "sent, not yet confirmed"
    """The destination accepted it and has not yet confirmed that it stores it."""
    SENT = "sent"
    NOT_ACCEPTED = "not accepted"
    """The destination takes no objects of this kind. The other results of the study still count."""
    FAILED = "failed"
    SUPERSEDED = "superseded"
    """Withdrawn before it was sent, because something newer of its study replaced it."""


OPEN_DELIVERY_STATES = frozenset({DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.UNCONFIRMED})
"""States in which there is still something to do."""

ORDERED = "an operator asked for it"
"""Reason of what an operator had done. A delivery that waits with this reason is tried once, even to a
destination that could not be reached a moment ago: the operator may know that it is back."""


class Disposition(StrEnum):
    """What to do with an object after the response to it."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    """Without limit: the destination is short of resources."""
    RETRY_A_FEW_TIMES = "retry a few times"
    """The destination cannot process the object; some destinations answer so when they are only busy."""
    NOT_ACCEPTED = "not accepted"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class DeliveryResponse:
    """The response of a destination to one object.

    Attributes
    ----------
    disposition : Disposition
        What to do.
    status : int or None
        DIMSE or HTTP status; None if the destination gave none.
    reason : str
        In words; empty for a plain success.
    """

    disposition: Disposition
    status: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """The report of an archive on a request for storage commitment.

    Attributes
    ----------
    transaction_uid : str
        Of the request.
    committed : frozenset of str
        SOP Instance UIDs of the objects that it commits itself to keep.
    failed : mapping of str to int
        SOP Instance UIDs of the other objects, each with its Failure Reason.

    References
    ----------
    DICOM PS3.4 J.3.3, Storage Commitment Result; PS3.3 C.14.1.1, Failure Reason.
    """

    transaction_uid: str
    committed: frozenset[str]
    failed: Mapping[str, int]


_SINGLE: dict[int, Disposition] = {
    SUCCESS: Disposition.ACCEPTED,
    OPTIONAL_ATTRIBUTES_NOT_SUPPORTED: Disposition.ACCEPTED,
    ATTRIBUTE_LIST_ERROR: Disposition.ACCEPTED,
    DUPLICATE_INSTANCE: Disposition.ACCEPTED,  # an earlier attempt, thought lost, had arrived
    ATTRIBUTE_VALUE_OUT_OF_RANGE: Disposition.ACCEPTED,
    SOP_CLASS_NOT_SUPPORTED: Disposition.NOT_ACCEPTED,
    INVALID_INSTANCE: Disposition.GIVE_UP,
    NOT_AUTHORISED: Disposition.GIVE_UP,
}
_BY_HIGH_BYTE: dict[int, Disposition] = {
    OUT_OF_RESOURCES >> 8: Disposition.RETRY,
    DATASET_DOES_NOT_MATCH >> 8: Disposition.GIVE_UP,
    0xB0: Disposition.ACCEPTED,  # warnings: elements coerced or discarded, or a mismatch tolerated
}


def judge_status(status: int) -> Disposition:
    """Return what to do after a status of a C-STORE response.

    References
    ----------
    DICOM PS3.4 B.2.3, Storage statuses; PS3.7 Annex C, statuses of every service.

    Examples
    --------
    >>> judge_status(0xA701).value, judge_status(0xB007).value, judge_status(0xC000).value
    ('retry', 'accepted', 'retry a few times')
    """
    if status in _SINGLE:
        return _SINGLE[status]
    return _BY_HIGH_BYTE.get(status >> 8, Disposition.RETRY_A_FEW_TIMES)


def judge_commitment(sop_uid: str, report: CommitmentReport) -> DeliveryResponse:
    """Return what an archive reports of one object; an object that the report does not name is sent again.

    References
    ----------
    DICOM PS3.3 C.14.1.1, Failure Reason.
    """
    if sop_uid in report.committed:
        return DeliveryResponse(Disposition.ACCEPTED, SUCCESS, "")
    reason = report.failed.get(sop_uid, NO_SUCH_INSTANCE)
    if reason == SOP_CLASS_NOT_SUPPORTED:  # it keeps the object without committing itself to it
        return DeliveryResponse(Disposition.ACCEPTED, reason, "it commits itself to no object of this kind")
    return DeliveryResponse(
        Disposition.RETRY_A_FEW_TIMES, reason, f"it did not commit itself to it (0x{reason:04X})"
    )


def state_after(
    disposition: Disposition, attempts: int, most: int, *, accepted: DeliveryState
) -> DeliveryState:
    """Return the state of a delivery after a response.

    Parameters
    ----------
    disposition : Disposition
        What to do after the response.
    attempts : int
        Responses that did not accept the object, including this one.
    most : int
        Number of such responses after which an object that cannot be processed is given up.
    accepted : DeliveryState
        State of an object that was accepted.
    """
    if disposition is Disposition.ACCEPTED:
        return accepted
    if disposition is Disposition.RETRY or (disposition is Disposition.RETRY_A_FEW_TIMES and attempts < most):
        return DeliveryState.WAITING
    return DeliveryState.NOT_ACCEPTED if disposition is Disposition.NOT_ACCEPTED else DeliveryState.FAILED


class DeliveryEnd(NamedTuple):
    """How one result object ended at one destination, with the reason in words."""

    state: DeliveryState
    destination: str
    reason: str


def how_deliveries_ended(ends: Sequence[DeliveryEnd]) -> tuple[StudyEvent, str]:
    """Judge a study by how each of its current results ended at each destination.

    Returns
    -------
    event : StudyEvent
        `GAVE_UP` if a result failed at a destination, or if a destination got none of them; else
        `DELIVERY_ENDED`.
    reason : str
        In words; empty if every destination took all results.
    """
    failed = [f"{end.destination}: {end.reason}" for end in ends if end.state is DeliveryState.FAILED]
    if failed:
        return StudyEvent.GAVE_UP, "; ".join(dict.fromkeys(failed))
    served = {end.destination for end in ends if end.state is DeliveryState.SENT}
    empty_handed = sorted({end.destination for end in ends} - served)
    if empty_handed:
        return StudyEvent.GAVE_UP, f"{', '.join(empty_handed)} accepts none of these results"
    refused = sum(end.state is DeliveryState.NOT_ACCEPTED for end in ends)
    if refused:
        words = f"{refused} of {len(ends)} deliveries were of a kind the destination does not take"
        return StudyEvent.DELIVERY_ENDED, words
    return StudyEvent.DELIVERY_ENDED, ""
