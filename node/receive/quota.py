"""How much a sender may send; the time is a parameter, so that tests need not wait an hour."""

from dataclasses import dataclass, replace

__all__ = ["Allowance", "is_too_slow"]

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a sender may still send: a token bucket, whose capacity is also refilled in one hour.

    Attributes
    ----------
    per_hour : float
        Capacity, and refill per hour, in any unit.
    left : float
        How much was left at `at_s`.
    at_s : float
        Seconds on a monotonic clock.
    """

    per_hour: float
    left: float
    at_s: float

    @classmethod
    def full(cls, per_hour: float, now_s: float) -> "Allowance":
        """Return the allowance of a sender that has sent nothing yet."""
        return cls(per_hour, per_hour, now_s)

    def after(self, amount: float, now_s: float) -> "Allowance | None":
        """Return what is left after an amount is sent, or None if the amount is more than is left.

        Examples
        --------
        >>> Allowance.full(2, 0).after(2, 0).after(1, 0) is None
        True
        >>> Allowance.full(2, 0).after(2, 0).after(1, 1800)
        Allowance(per_hour=2, left=0.0, at_s=1800)
        """
        left = min(self.per_hour, self.left + self.per_hour * (now_s - self.at_s) / _HOUR_S)
        return Allowance(self.per_hour, left - amount, now_s) if amount <= left else None

    def of_capacity(self, per_hour: float) -> "Allowance":
        """Return the allowance under another limit: what has been sent stays sent.

        Examples
        --------
        >>> Allowance.full(10, 0).after(4, 0).of_capacity(20)
        Allowance(per_hour=20, left=16, at_s=0)
        >>> Allowance.full(10, 0).after(4, 0).of_capacity(3)
        Allowance(per_hour=3, left=0, at_s=0)
        """
        return replace(self, per_hour=per_hour, left=max(0, per_hour - (self.per_hour - self.left)))


def is_too_slow(size: int, seconds: float, *, grace_s: float, bytes_per_s: float) -> bool:
    """Tell whether an object arrives so slowly that its sender only holds the connection open.

    Parameters
    ----------
    size : int
        Bytes received of it.
    seconds : float
        Time since its first byte.
    grace_s : float
        No object is too slow before this time.
    bytes_per_s : float
        The slowest average rate that is accepted.
    """
    return seconds > grace_s and size < bytes_per_s * seconds
