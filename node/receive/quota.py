"""How much a sender may bring: decided with the time given, so that tests need not wait an hour."""

from dataclasses import dataclass

__all__ = ["Allowance", "is_too_slow"]

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a sender may still bring; it fills again steadily, up to the whole of an hour.

    Attributes
    ----------
    per_hour : float
        How much an hour gives, in any unit.
    left : float
        How much is left.
    at_s : float
        When that was, on a clock that only goes on.
    """

    per_hour: float
    left: float
    at_s: float

    @classmethod
    def full(cls, per_hour: float, now_s: float) -> "Allowance":
        """Return the allowance of one who has brought nothing yet."""
        return cls(per_hour, per_hour, now_s)

    def after(self, amount: float, now_s: float) -> "Allowance | None":
        """Return what is left after so much more, or None if it is more than is left.

        Examples
        --------
        >>> Allowance.full(2, 0).after(2, 0).after(1, 0) is None
        True
        >>> Allowance.full(2, 0).after(2, 0).after(1, 1800)
        Allowance(per_hour=2, left=0.0, at_s=1800)
        """
        left = min(self.per_hour, self.left + self.per_hour * (now_s - self.at_s) / _HOUR_S)
        return Allowance(self.per_hour, left - amount, now_s) if amount <= left else None


def is_too_slow(size: int, seconds: float, *, grace_s: float, bytes_per_s: float) -> bool:
    """Tell whether an object comes so slowly that its sender only holds the line.

    Parameters
    ----------
    size : int
        Bytes of it that came so far.
    seconds : float
        Since its first byte.
    grace_s : float
        Nobody is too slow before this.
    bytes_per_s : float
        The slowest that is borne, on average.
    """
    return seconds > grace_s and size < bytes_per_s * seconds
