"""The life of a study in the node, as data."""

from enum import StrEnum

__all__ = ["FINISHED_STATES", "TRANSITIONS", "StudyEvent", "StudyState", "next_state"]


class StudyState(StrEnum):
    """Where a study stands; stored, so a restart continues from it."""

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
    """Nothing came for the quiet time, or the wait for the other sequence is over."""
    FOUND_NOTHING = "found nothing"
    """No series that this node analyses."""
    FOUND_HALF = "found half"
    """One of T1 and T2, and the other may still come."""
    FOUND_READY = "found ready"
    """All that can be expected is there."""
    LEASED = "leased"
    """A worker took it."""
    REPORTED = "reported"
    """The analysis made results."""
    REFUSED = "refused"
    """It cannot be analysed honestly."""
    BROKE = "broke"
    """The worker died, hung or met a fault; worth another try."""
    GAVE_UP = "gave up"
    """No try is left, or a person must decide."""
    DELIVERY_BEGAN = "delivery began"
    """Results wait in the outbox of at least one destination."""
    DELIVERY_ENDED = "delivery ended"
    """Every destination has what it takes."""
    RETRIED = "retried"
    """An operator asked for another examination."""
    RESENT = "resent"
    """An operator asked for another delivery of the results at hand."""


_S, _E = StudyState, StudyEvent

TRANSITIONS: dict[tuple[StudyState, StudyEvent], StudyState] = {
    # Whatever the node was doing, another slice opens the study again and what it did is superseded.
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
    **{
        (state, _E.RETRIED): _S.SETTLED
        for state in (_S.NOT_FOR_US, _S.WAITING_FOR_PAIR, _S.REFUSED, _S.FAILED, _S.DELIVERED)
    },
    (_S.FAILED, _E.RESENT): _S.DELIVERING,
    (_S.DELIVERED, _E.RESENT): _S.DELIVERING,
}
"""All that may happen; whatever is not here is a bug."""

FINISHED_STATES = frozenset({_S.NOT_FOR_US, _S.REFUSED, _S.FAILED, _S.DELIVERED})
"""States in which the node is done unless something arrives or an operator acts."""


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
