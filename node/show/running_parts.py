"""What the status page needs to know of parts of the node that are running."""

from typing import Protocol

from node.domain.backoff import Breaker

__all__ = ["FetcherView", "ListenerState"]


class ListenerState(Protocol):
    """What the status page needs to know of the listener."""

    @property
    def port(self) -> int:
        """Port that it listens on."""
        ...

    @property
    def listening(self) -> bool:
        """Whether it accepts connections."""
        ...

    @property
    def open_associations(self) -> int:
        """Number of open associations."""
        ...


class FetcherView(Protocol):
    """What the status page needs to know of what gets studies from one archive."""

    @property
    def breaker(self) -> Breaker:
        """Closed if the archive was reached the last time, open for a while if it was not."""
        ...

    @property
    def rests(self) -> str:
        """Why not everything is asked for now, in words; empty if all is."""
        ...
