"""Failed logins slow the next ones down, by the address and by the name."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["Attempts"]

_FREE = 5
_LONGEST = timedelta(seconds=60)
_FORGOTTEN = timedelta(hours=1)
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class _Failures:
    count: int
    latest: datetime

    @property
    def pause(self) -> timedelta:
        """One second after the fifth failure in a row, then twice as long after each, up to a minute."""
        if self.count < _FREE:
            return timedelta()
        return min(_LONGEST, timedelta(seconds=2 ** min(self.count - _FREE, 10)))


class Attempts:
    """Counts failures in a row of each key, such as an address or a name; not thread-safe.

    Examples
    --------
    >>> attempts, noon = Attempts(), datetime(2030, 1, 1, 12)
    >>> for _ in range(7):
    ...     attempts.failed(["10.1.2.3", "anna"], noon)
    >>> attempts.pause(["10.1.2.3", "eve"], noon), attempts.pause(["10.9.9.9", "eve"], noon)
    (datetime.timedelta(seconds=4), datetime.timedelta(0))
    """

    def __init__(self) -> None:
        self._failures: dict[str, _Failures] = {}

    def pause(self, keys: Iterable[str], now: datetime) -> timedelta:
        """Return how long nobody may try with one of these keys; zero if they may now."""
        ends = [one.latest + one.pause for key in keys if (one := self._failures.get(key))]
        return max([timedelta(), *(end - now for end in ends)])

    def failed(self, keys: Iterable[str], now: datetime) -> None:
        """Count a failure of each key."""
        for key in keys:
            earlier = self._failures.pop(key, None)
            is_recent = earlier is not None and now - earlier.latest < _FORGOTTEN
            count = earlier.count + 1 if earlier is not None and is_recent else 1
            self._failures[key] = _Failures(count, now)
        while len(self._failures) > _MOST:  # the one that failed longest ago
            del self._failures[next(iter(self._failures))]

    def succeeded(self, keys: Iterable[str]) -> None:
        """Forget the failures of these keys."""
        for key in keys:
            self._failures.pop(key, None)
