"""What the answer of a destination means, and when to try it again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

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

__all__ = [
    "OPEN_DELIVERY_STATES",
    "Answer",
    "Breaker",
    "CommitmentReport",
    "DeliveryState",
    "Verdict",
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


class Verdict(StrEnum):
    """What to do after the answer to one object."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    """As long as it takes: the destination is short of something."""
    RETRY_A_FEW_TIMES = "retry a few times"
    """The destination says it cannot process the object, which some say when they are only busy."""
    NOT_ACCEPTED = "not accepted"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a destination said to one object.

    Attributes
    ----------
    verdict : Verdict
        What to do.
    status : int or None
        The status it gave, if any.
    reason : str
        In words; empty for a plain success.
    """

    verdict: Verdict
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


_SINGLE: dict[int, Verdict] = {
    SUCCESS: Verdict.ACCEPTED,
    OPTIONAL_ATTRIBUTES_NOT_SUPPORTED: Verdict.ACCEPTED,
    ATTRIBUTE_LIST_ERROR: Verdict.ACCEPTED,
    DUPLICATE_INSTANCE: Verdict.ACCEPTED,  # a try that we thought lost had arrived
    ATTRIBUTE_VALUE_OUT_OF_RANGE: Verdict.ACCEPTED,
    SOP_CLASS_NOT_SUPPORTED: Verdict.NOT_ACCEPTED,
    INVALID_INSTANCE: Verdict.GIVE_UP,
    NOT_AUTHORISED: Verdict.GIVE_UP,
}
_BY_HIGH_BYTE: dict[int, Verdict] = {
    OUT_OF_RESOURCES >> 8: Verdict.RETRY,
    DATASET_DOES_NOT_MATCH >> 8: Verdict.GIVE_UP,
    0xB0: Verdict.ACCEPTED,  # coerced, elements discarded, or a mismatch that was let pass
}


def judge_status(status: int) -> Verdict:
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
    return _BY_HIGH_BYTE.get(status >> 8, Verdict.RETRY_A_FEW_TIMES)


def judge_commitment(sop_uid: str, report: CommitmentReport) -> Answer:
    """Sort what an archive reports of one object; one that is not in the report may be sent again.

    References
    ----------
    DICOM PS3.3 C.14.1.1, Failure Reason.
    """
    if sop_uid in report.committed:
        return Answer(Verdict.ACCEPTED, SUCCESS, "")
    reason = report.failed.get(sop_uid, NO_SUCH_INSTANCE)
    if reason == SOP_CLASS_NOT_SUPPORTED:  # it took the object, and commits itself to none of this kind
        return Answer(Verdict.ACCEPTED, reason, "it commits itself to no object of this kind")
    return Answer(Verdict.RETRY_A_FEW_TIMES, reason, f"it did not commit itself to it (0x{reason:04X})")


def state_after(verdict: Verdict, attempts: int, most: int, *, accepted: DeliveryState) -> DeliveryState:
    """Return where an object stands after an answer.

    Parameters
    ----------
    verdict : Verdict
        Of the answer.
    attempts, most : int
        Answers that were no acceptance, with this one; how many an object may get that cannot be processed.
    accepted : DeliveryState
        Where it stands if it was accepted.
    """
    if verdict is Verdict.ACCEPTED:
        return accepted
    if verdict is Verdict.RETRY or (verdict is Verdict.RETRY_A_FEW_TIMES and attempts < most):
        return DeliveryState.WAITING
    return DeliveryState.NOT_ACCEPTED if verdict is Verdict.NOT_ACCEPTED else DeliveryState.FAILED


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
