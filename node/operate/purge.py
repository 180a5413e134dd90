"""`osteonode purge`: the images and results of finished studies are removed before their retention ends."""

from datetime import datetime, timedelta

from node.config import Configuration
from node.ports import Retention
from node.store import open_instance_store
from node.store.retention import purge

__all__ = ["purge_studies"]


def purge_studies(
    store: Retention, configuration: Configuration, now: datetime, age: timedelta, *, failed: bool = False
) -> int:
    """Remove the images and results of studies that were finished at least `age` ago; return their number."""
    return purge(store, open_instance_store(configuration), now - age, failed=failed)
