"""The states of a study and what may happen in each, as data."""

from enum import StrEnum

__all__ = ["FINISHED_STATES", "TRANSITIONS", "StudyEvent", "StudyState", "next_state"]


class StudyState(StrEnum):
    """State of a study; it is stored, so that a restart continues from it."""

    RECEIVING = "receiving"
    SETTLED = "settled"
    NOT_FOR_US = "not_for_us"
    WAITING_FOR_PAIR = "waiting_for_pair"
    READY = "ready"
    ANALYSING = "analysing"
    REPORTED = "reported"
    REFUSED = "refused"
    FAILED = "failed"
    DELIVERING = "delivering"
    DELIVERED = "delivered"


class StudyEvent(StrEnum):
    """What can happen to a study."""

    ARRIVED = "arrived"
    """An instance that may change the result was stored."""
    FELL_QUIET = "fell quiet"
    """No instance was received for the quiet time, or the wait for the missing sequence is over."""
    FOUND_NOTHING = "found nothing"
    """It holds no series that this node analyses."""
    FOUND_HALF = "found half"
    """One of T1 and T2 is there, and the other may still arrive."""
    FOUND_READY = "found ready"
    """Everything that can be expected is there."""
    LEASED = "leased"
    """A worker took it for analysis."""
    REPORTED = "reported"
    """The analysis made results."""
    REFUSED = "refused"
    """Its images do not allow a sound analysis."""
    BROKE = "broke"
    """A worker process died, hung or met a fault; another attempt follows."""
    GAVE_UP = "gave up"
    """No attempt is left, or an operator must decide."""
    DELIVERY_BEGAN = "delivery began"
    """Results wait in the outbox of at least one destination."""
    DELIVERY_ENDED = "delivery ended"
    """Every destination has the results that it accepts."""
    MADE_WHOLE = "made whole"
    """A series that had been cut off was sent again in full, so the study is examined again."""
    RETRIED = "retried"
    """An operator asked for another examination, or for the next attempt at once."""
    RESENT = "resent"
    """An operator asked to deliver the existing results again."""
    SET_ASIDE = "set aside"
    """An operator asked to do nothing more with it until an operator acts."""


_S, _E = StudyState, StudyEvent

TRANSITIONS: dict[tuple[StudyState, StudyEvent], StudyState] = {
    # A further image reopens a study in any state, and supersedes what was made of it.
    **{(state, _E.ARRIVED): _S.RECEIVING for state in _S},
    (_S.RECEIVING, _E.FELL_QUIET): _S.SETTLED,
    (_S.WAITING_FOR_PAIR, _E.FELL_QUIET): _S.SETTLED,
    (_S.SETTLED, _E.FOUND_NOTHING): _S.NOT_FOR_US,
    (_S.SETTLED, _E.FOUND_HALF): _S.WAITING_FOR_PAIR,
    (_S.SETTLED, _E.FOUND_READY): _S.READY,
    (_S.SETTLED, _E.REFUSED): _S.REFUSED,
    (_S.SETTLED, _E.BROKE): _S.SETTLED,
    (_S.SETTLED, _E.GAVE_UP): _S.FAILED,
    (_S.READY, _E.LEASED): _S.ANALYSING,
    (_S.ANALYSING, _E.LEASED): _S.ANALYSING,
    (_S.ANALYSING, _E.REPORTED): _S.REPORTED,
    (_S.ANALYSING, _E.REFUSED): _S.REFUSED,
    (_S.ANALYSING, _E.BROKE): _S.READY,
    (_S.ANALYSING, _E.GAVE_UP): _S.FAILED,
    (_S.REPORTED, _E.DELIVERY_BEGAN): _S.DELIVERING,
    (_S.REPORTED, _E.DELIVERY_ENDED): _S.DELIVERED,
    (_S.DELIVERING, _E.DELIVERY_ENDED): _S.DELIVERED,
    (_S.DELIVERING, _E.GAVE_UP): _S.FAILED,
    (_S.WAITING_FOR_PAIR, _E.MADE_WHOLE): _S.SETTLED,
    (_S.REFUSED, _E.MADE_WHOLE): _S.SETTLED,
    **{
        (state, _E.RETRIED): _S.SETTLED
        for state in (_S.NOT_FOR_US, _S.WAITING_FOR_PAIR, _S.REFUSED, _S.FAILED, _S.DELIVERED)
    },
    (_S.FAILED, _E.RESENT): _S.DELIVERING,
    (_S.DELIVERED, _E.RESENT): _S.DELIVERING,
    (_S.DELIVERING, _E.RESENT): _S.DELIVERING,
    (_S.REFUSED, _E.RESENT): _S.REFUSED,  # the report of the refusal
    # What waits for its next attempt after a fault is tried at once.
    (_S.SETTLED, _E.RETRIED): _S.SETTLED,
    (_S.READY, _E.RETRIED): _S.READY,
    **{
        (state, _E.SET_ASIDE): _S.FAILED
        for state in (
            _S.RECEIVING,
            _S.SETTLED,
            _S.WAITING_FOR_PAIR,
            _S.READY,
            _S.ANALYSING,
            _S.DELIVERING,
        )
    },
}
"""Every permitted transition; anything else is a bug."""

FINISHED_STATES = frozenset({_S.NOT_FOR_US, _S.REFUSED, _S.FAILED, _S.DELIVERED})
"""States that a study leaves only when something arrives or an operator acts."""


def next_state(state: StudyState, event: StudyEvent) -> StudyState:
    """Return the state after an event.

    Raises
    ------
    ValueError
        If that event cannot happen in that state.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ValueError(f"a study that is {state} cannot have {event}") from None
