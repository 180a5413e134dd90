"""The database of a node, opened or upgraded from outside that node."""

from node.config import Configuration
from node.errors import PermanentError
from node.ports import Store
from node.store import Upgrade, lock_storage, open_database, store_url, upgrade

__all__ = ["open_store", "upgrade_store"]


def open_store(configuration: Configuration) -> Store:
    """Open the store of a node, which may be running at the same time.

    Raises
    ------
    PermanentError
        If no node has run with this configuration yet.
    """
    if not configuration.store.url and not configuration.storage.directory.is_dir():
        raise PermanentError(f"no node has run with the storage {configuration.storage.directory} yet")
    return open_database(configuration)


def upgrade_store(configuration: Configuration) -> Upgrade:
    """Upgrade the database of a stopped node to the version that this OsteoNode uses.

    Raises
    ------
    PermanentError
        If the node is running, or the database is empty or not an OsteoNode database of a known version.
    """
    with lock_storage(configuration.storage.directory):
        return upgrade(store_url(configuration))
