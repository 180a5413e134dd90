"""The one place that reads the time."""

from datetime import UTC, datetime

__all__ = ["SystemClock"]


class SystemClock:
    """The machine's clock, in UTC; nothing else in the project asks it."""

    def now(self) -> datetime:
        """Return the present moment, aware of its time zone."""
        return datetime.now(UTC)  # noqa: TID251 - this is the clock that everything else must ask
