"""The store in memory: the `Store` port in plain Python, as a model of what the databases must do."""

from node.errors import PermanentError
from tests.node.store.memory.arrivals import MemoryArrivals
from tests.node.store.memory.discards import MemoryDiscards
from tests.node.store.memory.outbox import MemoryOutbox
from tests.node.store.memory.queues import MemoryQueues
from tests.node.store.memory.studies import MemoryStudies
from tests.node.store.memory.tables import Tables
from tests.node.store.memory.upkeep import MemoryUpkeep
from tests.node.store.memory.wishes import MemoryWishes

__all__ = ["MemoryStore", "Tables"]


class MemoryStore(
    MemoryArrivals, MemoryStudies, MemoryQueues, MemoryOutbox, MemoryDiscards, MemoryUpkeep, MemoryWishes
):
    """The `Store` port over dictionaries.

    Parameters
    ----------
    tables : Tables
        What it holds; another store on the same tables sees the same.
    """

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self._claims = False

    def claim(self) -> None:
        """See `node.ports.Store`."""
        if self._tables.is_claimed:
            raise PermanentError("another node has it")
        self._tables.is_claimed = self._claims = True

    def close(self) -> None:
        """See `node.ports.Store`."""
        if self._claims:
            self._tables.is_claimed = self._claims = False
