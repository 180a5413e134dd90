"""What the answer of a destination means, and when to try it again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

__all__ = [
    "OPEN_DELIVERY_STATES",
    "Breaker",
    "CommitmentReport",
    "DeliveryResponse",
    "DeliveryState",
    "Disposition",
    "back_off",
    "judge_commitment",
    "judge_status",
    "state_after",
]


class DeliveryState(StrEnum):
    """Where one result object stands on its way to one destination."""

    WAITING = "waiting"
    SENDING = "sending"
    UNCONFIRMED = "sent, not yet confirmed"
    """The destination took it, and has yet to say that it has and keeps it."""
    SENT = "sent"
    NOT_ACCEPTED = "not accepted"
    """The destination takes no objects of this kind; recorded, and the others still count."""
    FAILED = "failed"
    SUPERSEDED = "superseded"
    """A newer result of the study replaced it before it was sent."""


OPEN_DELIVERY_STATES = frozenset({DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.UNCONFIRMED})
"""States in which there is still something to do."""


class Disposition(StrEnum):
    """What to do after the answer to one object."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    """As long as it takes: the destination is short of something."""
    RETRY_A_FEW_TIMES = "retry a few times"
    """The destination says it cannot process the object, which some say when they are only busy."""
    NOT_ACCEPTED = "not accepted"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class DeliveryResponse:
    """What a destination said to one object.

    Attributes
    ----------
    disposition : Disposition
        What to do.
    status : int or None
        The status it gave, if any.
    reason : str
        In words; empty for a plain success.
    """

    disposition: Disposition
    status: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """What an archive reports of a request for storage commitment.

    Attributes
    ----------
    transaction_uid : str
        Of the request.
    committed : frozenset of str
        SOP Instance UIDs of what it keeps.
    failed : mapping of str to int
        What it does not keep, with the reason of PS3.3 C.14.1.1.
    """

    transaction_uid: str
    committed: frozenset[str]
    failed: Mapping[str, int]


_SINGLE: dict[int, Disposition] = {
    0x0000: Disposition.ACCEPTED,
    0x0001: Disposition.ACCEPTED,  # "requested optional attributes are not supported"
    0x0107: Disposition.ACCEPTED,  # attribute list warning
    0x0111: Disposition.ACCEPTED,  # duplicate instance: a try that we thought lost had arrived
    0x0116: Disposition.ACCEPTED,  # attribute value out of range, a warning
    0x0122: Disposition.NOT_ACCEPTED,  # SOP class not supported
    0x0117: Disposition.GIVE_UP,  # invalid SOP instance
    0x0124: Disposition.GIVE_UP,  # not authorised
}
_BY_HIGH_BYTE: dict[int, Disposition] = {
    0xA7: Disposition.RETRY,  # out of resources
    0xA9: Disposition.GIVE_UP,  # dataset does not match SOP class
    0xB0: Disposition.ACCEPTED,  # coerced, elements discarded, or a mismatch that was let pass
}


def judge_status(status: int) -> Disposition:
    """Sort the status of a C-STORE response.

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


_CLASS_NOT_COMMITTED = 0x0122


def judge_commitment(sop_uid: str, report: CommitmentReport) -> DeliveryResponse:
    """Sort what an archive reports of one object; one that is not in the report may be sent again.

    References
    ----------
    DICOM PS3.3 C.14.1.1, Failure Reason.
    """
    if sop_uid in report.committed:
        return DeliveryResponse(Disposition.ACCEPTED, 0x0000, "")
    reason = report.failed.get(sop_uid, 0x0112)
    if reason == _CLASS_NOT_COMMITTED:  # it took the object, and commits itself to none of this kind
        return DeliveryResponse(Disposition.ACCEPTED, reason, "it commits itself to no object of this kind")
    return DeliveryResponse(
        Disposition.RETRY_A_FEW_TIMES, reason, f"it did not commit itself to it (0x{reason:04X})"
    )


def state_after(
    disposition: Disposition, attempts: int, most: int, *, accepted: DeliveryState
) -> DeliveryState:
    """Return where an object stands after an answer.

    Parameters
    ----------
    disposition : Disposition
        Of the answer.
    attempts, most : int
        Answers that were no acceptance, with this one; how many an object may get that cannot be processed.
    accepted : DeliveryState
        Where it stands if it was accepted.
    """
    if disposition is Disposition.ACCEPTED:
        return accepted
    if disposition is Disposition.RETRY or (disposition is Disposition.RETRY_A_FEW_TIMES and attempts < most):
        return DeliveryState.WAITING
    return DeliveryState.NOT_ACCEPTED if disposition is Disposition.NOT_ACCEPTED else DeliveryState.FAILED


def back_off(attempts: int, first: timedelta, longest: timedelta, jitter: float) -> timedelta:
    """How long to wait after so many failed attempts.

    Doubles each time up to `longest`; the jitter keeps many studies from knocking at the same moment.

    Parameters
    ----------
    attempts : int
        Failed so far, at least 1.
    first, longest : timedelta
        Wait after the first failure; the ceiling.
    jitter : float
        0 to 1, drawn by the caller; takes away up to a quarter.

    Examples
    --------
    >>> [back_off(n, timedelta(seconds=5), timedelta(minutes=1), 0.0).seconds for n in (1, 2, 3, 4, 5, 99)]
    [5, 10, 20, 40, 60, 60]
    """
    # The exponent is capped before it is used: 2 ** attempts of a PACS that is down for a month is huge.
    doubled: timedelta = first * 2 ** min(attempts - 1, 20)
    return (min(longest, doubled)) * (1 - 0.25 * jitter)


@dataclass(frozen=True, slots=True)
class Breaker:
    """Whether a destination is worth an attempt.

    After a connection fails, the others in its outbox need not fail one by one: all wait until `closed_until`
    passes, and then one association tests the destination.

    Attributes
    ----------
    failures : int
        Connections lost in a row.
    open_until : datetime or None
        No attempt before this moment.
    """

    failures: int = 0
    open_until: datetime | None = None

    def allows(self, now: datetime) -> bool:
        """Tell whether the destination may be tried now."""
        return self.open_until is None or now >= self.open_until

    def after_failure(self, now: datetime, first: timedelta, longest: timedelta, jitter: float) -> "Breaker":
        """Return the breaker after a connection failed."""
        failures = self.failures + 1
        return Breaker(failures, now + back_off(failures, first, longest, jitter))
