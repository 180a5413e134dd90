"""For how many days the disk lasts, if as much is received as in the last days."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil, inf

__all__ = ["LEAST_DAYS", "Kept", "days_left"]

LEAST_DAYS = 3
"""Days of history without which nothing is told."""
_LOOKED_AT = 7
"""Days of history that are looked at: a week has working days and others."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a node keeps.

    Attributes
    ----------
    by_age : mapping of int to int
        Bytes by age in whole days.
    since : datetime or None
        When the first image ever arrived; None if none did.
    """

    by_age: Mapping[int, int] = field(default_factory=dict)
    since: datetime | None = None

    def with_more(self, by_age: Mapping[int, int]) -> "Kept":
        """Return this with more bytes."""
        return Kept(Counter(self.by_age) + Counter(by_age), self.since)


def days_left(kept: Kept, room_bytes: float, retention_days: float, now: datetime) -> float | None:
    """Return the days until the room is used up.

    As many bytes come with each day as are kept of a day of the last week, and what reaches the retention
    time goes. The last 24 hours are not looked at: what is not for the node goes after a day.

    Parameters
    ----------
    kept : Kept
        Images and results.
    room_bytes : float
        What may still be written.
    retention_days : float
        How long images and results are kept.
    now : datetime
        The time.

    Returns
    -------
    float or None
        Infinity if as much goes as comes before the room is used up; None if there is too little history.

    Examples
    --------
    A node that keeps its images for 30 days is ten days old.

    >>> kept = Kept({age: 100 for age in range(10)}, since=datetime(2030, 1, 1))
    >>> days_left(kept, 1000, 30, datetime(2030, 1, 11)), days_left(kept, 2500, 30, datetime(2030, 1, 11))
    (10.0, inf)
    """
    if kept.since is None:
        return None
    days = min(_LOOKED_AT, (now - kept.since).days - 1)
    if days < LEAST_DAYS:
        return None
    comes = sum(kept.by_age.get(age, 0) for age in range(1, days + 1)) / days
    for day in range(1, ceil(retention_days) + 1):
        grows = comes - kept.by_age.get(ceil(retention_days) - day, 0)
        if grows > room_bytes:
            return day - 1 + max(room_bytes, 0) / grows
        room_bytes -= grows
    return inf
