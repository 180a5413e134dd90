"""The store: the only room that knows the database."""

from node.store.migration import Upgrade, upgrade
from node.store.schema import is_there
from node.store.sql import SqlStore

__all__ = ["SqlStore", "Upgrade", "is_there", "upgrade"]
