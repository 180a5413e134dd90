"""The system clock: the only place that reads the time."""

from datetime import UTC, datetime

__all__ = ["SystemClock"]


class SystemClock:
    """The clock of the machine, in UTC; the `Clock` port."""

    def now(self) -> datetime:
        """Return the present moment, aware of its time zone."""
        return datetime.now(UTC)  # noqa: TID251 - everything else asks this clock
