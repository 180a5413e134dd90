"""What a running node lends its stations: time, worker processes, open associations, the audit trail."""

from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import Any, Protocol

from node.domain.audit import AuditMessage

__all__ = ["Audit", "Channel", "Clock", "OpenAssociations", "Worker"]


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present moment, aware of its time zone."""
        ...


class Channel(Hashable, Protocol):
    """A connection over which images come: an association, or a request of this node for images."""

    def is_alive(self) -> bool:
        """Tell whether more may come."""
        ...


class OpenAssociations(Protocol):
    """Knows which studies are being received at this moment."""

    def is_open(self, study_uid: str, gone_on: timedelta) -> bool:
        """Tell whether an association over which instances of this study were received is still open.

        One that has sent none of them for `gone_on`, but other studies since, counts as ended for it.
        """
        ...


class Audit(Protocol):
    """Takes audit messages."""

    def record(self, message: AuditMessage) -> None:
        """Queue a message; it is written soon, or the log says that it was lost."""
        ...


class Worker(Protocol):
    """Runs one function in another process, and survives any failure of that function."""

    def start(self, *, warm: bool = False) -> None:
        """Start the process; if warm, it loads all that its function imports before the first call."""
        ...

    def call(self, *arguments: object, time_limit_s: float) -> Any:  # noqa: ANN401 - any return value of the function
        """Call the function and return its result.

        Raises
        ------
        WorkerLostError
            If the process died, or the time limit passed.
        RefusedError
            If the function refused its input.
        """
        ...

    def interrupt(self) -> None:
        """End a running call, from another thread, and take no further calls."""
        ...

    def stop(self) -> None:
        """End the process, once nothing calls it any more."""
        ...
