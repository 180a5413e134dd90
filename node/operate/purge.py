"""`osteonode purge`: the images and results of finished studies are removed before their retention ends."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from node.config import Configuration
from node.domain.records import Study
from node.errors import PermanentError
from node.ports import FileRemoval, Retention
from node.store import open_instance_store, retention
from node.store.retention import purge, purgeable

__all__ = ["PurgePlan", "plan_purge", "purge_studies", "purge_study"]


@dataclass(frozen=True, slots=True)
class PurgePlan:
    """What a purge would remove: the files of these studies, and so many files in quarantine."""

    studies: tuple[Study, ...]
    quarantined: int


def plan_purge(
    store: Retention, configuration: Configuration, now: datetime, age: timedelta, *, failed: bool = False
) -> PurgePlan:
    """Tell what `purge_studies` would remove, without removing it."""
    before = now - age
    quarantined = open_instance_store(configuration).count_quarantine(before)
    return PurgePlan(purgeable(store, before, failed=failed), quarantined)


def purge_studies(
    store: Retention, configuration: Configuration, now: datetime, age: timedelta, *, failed: bool = False
) -> int:
    """Remove the images and results of studies that were finished at least `age` ago; return their number."""
    return purge(store, open_instance_store(configuration), now - age, failed=failed)


def purge_study(store: Retention, files: FileRemoval, study_uid: str, now: datetime) -> None:
    """Remove images, results and scores of one finished study, even if it was set aside.

    Raises
    ------
    PermanentError
        If it is not finished, or there is nothing to remove.
    """
    if not retention.purge_study(store, files, study_uid, now):
        raise PermanentError(
            "only a study that has ended, of which something is kept and nothing is to be sent, can be purged"
        )
