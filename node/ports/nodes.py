"""The book of the nodes that work with one database."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Protocol

from node.domain.nodes import NodeEntry, SeenNode

__all__ = ["NodeBook"]


class NodeBook(Protocol):
    """Knows which nodes work, and frees what those had leased that have vanished.

    Whether a node is alive is told by the clock of the database, which is the same for all of them.
    """

    def sign(self, entry: NodeEntry, lasts: timedelta, now: datetime) -> None:
        """Record a sign of life, with what the node tells of itself.

        Parameters
        ----------
        entry : NodeEntry
            Of the node that signs.
        lasts : timedelta
            The node counts as vanished if its next sign does not come within this time.
        now : datetime
            The time by the clock of the node.
        """
        ...

    def free_vanished(self, entry: NodeEntry, now: datetime) -> int:
        """Free the studies that vanished nodes had leased; none of them counts an attempt.

        Entries are forgotten of nodes that vanished long ago, and of those whose name or place this node has:
        there is one main node only.

        Parameters
        ----------
        entry : NodeEntry
            Of the node that calls.
        now : datetime
            The time, for the history of the studies.

        Returns
        -------
        int
            How many studies were freed.
        """
        ...

    def note_early(self, owner: str, studies: Collection[str]) -> None:
        """Record which studies the main node analyses before they have settled."""
        ...

    def leave(self, owner: str, now: datetime) -> int:
        """Free the studies of a node that stops, and forget it; return how many studies were freed."""
        ...

    def nodes(self) -> tuple[SeenNode, ...]:
        """Return all nodes that the database knows, the main one first and then by name.

        Raises
        ------
        TransientError
            If the database does not answer.
        """
        ...

    def close(self) -> None:
        """Close every connection."""
        ...
