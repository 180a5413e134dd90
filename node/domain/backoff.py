"""How long to wait after failed attempts, and whether a peer that could not be reached may be tried."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Self

__all__ = ["Backoff", "Breaker"]

_MAXIMUM_DOUBLINGS = 20
_JITTER = 0.25


@dataclass(frozen=True, slots=True)
class Backoff:
    """A pause that doubles with each failure up to a limit, less a random part.

    The random part spreads attempts that failed together, so that they do not all return at the same moment.

    Attributes
    ----------
    first : timedelta
        Pause after the first failure.
    longest : timedelta
        Upper limit of the pause.
    random : Random
        Draws the part, up to a quarter, by which a pause is shortened.
    """

    first: timedelta
    longest: timedelta
    random: Random = field(default_factory=Random, repr=False, compare=False)

    @classmethod
    def of_seconds(cls, first_s: float, longest_s: float) -> Self:
        """Make a back-off of two lengths in seconds."""
        return cls(timedelta(seconds=first_s), timedelta(seconds=longest_s))

    def pause(self, failures: int) -> timedelta:
        """Return how long to wait after this many failures, at least 1.

        Examples
        --------
        >>> class Zero(Random):
        ...     def random(self):
        ...         return 0.0
        >>> backoff = Backoff(timedelta(seconds=5), timedelta(minutes=1), Zero())
        >>> [backoff.pause(failures).seconds for failures in (1, 2, 3, 4, 5, 99)]
        [5, 10, 20, 40, 60, 60]
        """
        # Capped before it is used as an exponent: a destination that is down for a month fails very often.
        doublings = min(failures - 1, _MAXIMUM_DOUBLINGS)
        doubled: timedelta = self.first * 2**doublings
        return min(self.longest, doubled) * (1 - _JITTER * self.random.random())


@dataclass(frozen=True, slots=True)
class Breaker:
    """Circuit breaker: whether a peer, such as a destination, may be tried.

    After a failed connection nothing is tried until `open_until`, so that the other results in the outbox do
    not fail one by one. Then one association tests the destination.

    Attributes
    ----------
    failures : int
        Connections that failed in a row.
    open_until : datetime or None
        No attempt before this moment.
    reason : str
        Why the last connection failed; empty if it did not.
    """

    failures: int = 0
    open_until: datetime | None = None
    reason: str = ""

    def allows(self, now: datetime) -> bool:
        """Tell whether the destination may be tried now."""
        return self.open_until is None or now >= self.open_until

    def after_failure(
        self, now: datetime, backoff: Backoff, reason: str, at_least_s: float = 0.0
    ) -> "Breaker":
        """Return the breaker after a connection failed.

        Parameters
        ----------
        now : datetime
            The present moment.
        backoff : Backoff
            Pauses after failures.
        reason : str
            Why it failed.
        at_least_s : float
            For so many seconds the peer asked to be left alone.
        """
        failures = self.failures + 1
        pause = max(backoff.pause(failures), timedelta(seconds=at_least_s))
        return Breaker(failures, now + pause, reason)
