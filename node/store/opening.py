"""Opens what lies in a node's storage: the one place that names the classes behind the ports."""

from node.config import Configuration
from node.ports import InstanceStore, NodeBook, NoticeBox, Store
from node.store.instance_store import DiskInstanceStore
from node.store.location import store_url
from node.store.nodes import SqlNodes
from node.store.notices import SqlNotices
from node.store.sql import SqlStore
from node.store.tables import open_engine

__all__ = ["open_database", "open_instance_store", "open_nodes", "open_notices"]

_MEGABYTE = 1024 * 1024


def open_database(configuration: Configuration) -> Store:
    """Open the database of a node, and create its tables if it is empty.

    Raises
    ------
    PermanentError
        If there is no such database, or it holds tables of another version.
    """
    return SqlStore(store_url(configuration))


def open_instance_store(configuration: Configuration) -> InstanceStore:
    """Open the files of a node, and create the folders that are missing."""
    storage = configuration.storage
    return DiskInstanceStore(storage.directory, storage.watermark_mb * _MEGABYTE)


def open_notices(configuration: Configuration) -> NoticeBox:
    """Open the notices in the database of a node, which `open_database` has opened before."""
    return SqlNotices(open_engine(store_url(configuration)))


def open_nodes(configuration: Configuration) -> NodeBook:
    """Open the book of the nodes in a database, which `open_database` has opened before."""
    return SqlNodes(open_engine(store_url(configuration)))
