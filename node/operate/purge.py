"""`osteonode purge`: the images and results of finished studies are removed before their retention ends."""

from datetime import datetime, timedelta

from node.config import Configuration
from node.store import SqlStore
from node.store.instance_store import DiskInstanceStore
from node.store.retention import purge

__all__ = ["purge_studies"]


def purge_studies(
    store: SqlStore, configuration: Configuration, now: datetime, age: timedelta, *, failed: bool = False
) -> int:
    """Remove the images and results of studies that were finished at least `age` ago; return their number."""
    return purge(store, DiskInstanceStore(configuration.storage.directory), now - age, failed=failed)
