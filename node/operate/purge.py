"""`osteonode purge`: the images and results of finished studies are removed before their retention ends."""

from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from node.config import Configuration
from node.domain.records import Study
from node.errors import PermanentError
from node.operate.order_trail import Entered
from node.ports import FileRemoval, Retention
from node.show.orders import Order
from node.store import open_instance_store
from node.store.retention import forget, purgeable

__all__ = ["PurgePlan", "plan_purge", "purge_studies", "purge_study", "study_to_purge"]

_DONE = "Its images, results and scores were removed."
_NOT_YET = "only a study that has ended, of which something is kept and nothing is to be sent, can be purged"


@dataclass(frozen=True, slots=True)
class PurgePlan:
    """What a purge would remove.

    Attributes
    ----------
    studies : tuple of Study
        Studies whose images and results go.
    quarantined : int
        Number of files in quarantine.
    scores : int or None
        Number of studies whose scores go; None if scores are not asked for.
    """

    studies: tuple[Study, ...]
    quarantined: int = 0
    scores: int | None = None


def plan_purge(
    store: Retention,
    configuration: Configuration,
    now: datetime,
    age: timedelta,
    *,
    failed: bool = False,
    scores: bool = False,
) -> PurgePlan:
    """Tell what `purge_studies`, with the same arguments, would remove, without removing it."""
    before = now - age
    return PurgePlan(
        purgeable(store, before, failed=failed),
        open_instance_store(configuration).count_quarantine(before),
        store.count_examinations(before) if scores else None,
    )


def purge_studies(
    store: Retention,
    configuration: Configuration,
    now: datetime,
    age: timedelta,
    *,
    failed: bool = False,
    scores: bool = False,
    entered: Entered | None = None,
) -> int:
    """Remove the images and results of studies that were finished at least `age` ago; return their number.

    Parameters
    ----------
    store, configuration : Retention, Configuration
        Rows, and where the files are.
    now, age : datetime, timedelta
        The time, and the shortest time since a study was finished.
    failed : bool, optional
        Whether studies that were set aside are removed too.
    scores : bool, optional
        Whether all scores that are as old are deleted too.
    entered : callable, optional
        Enters each removal in the audit trail.
    """
    files = open_instance_store(configuration)
    count = 0
    for study in purgeable(store, now - age, failed=failed):
        # One that has just changed is left alone, and its removal is audited as failed.
        with suppress(PermanentError), entered(Order.PURGE, study.study_uid) if entered else nullcontext():
            _purge(store, files, study)
            count += 1
    files.clear_quarantine(now - age)
    if scores:
        store.forget_examinations(now - age)
    return count


def purge_study(store: Retention, files: FileRemoval, study_uid: str, now: datetime) -> str:
    """Remove images, results and scores of one finished study, even if it was set aside, and say so.

    Raises
    ------
    PermanentError
        If it is not finished, or there is nothing to remove.
    """
    study = _purgeable(store, study_uid, now)
    gone = study is not None and forget(store, files, study)
    # Scores may be all that is left of it.
    if not (store.forget_examination(study_uid) or gone):
        raise PermanentError(_NOT_YET)
    return _DONE


def study_to_purge(store: Retention, study_uid: str, now: datetime) -> Study:
    """Return the study of which `purge_study` would remove images and results.

    Raises
    ------
    PermanentError
        If it would remove none.
    """
    study = _purgeable(store, study_uid, now)
    if study is None:
        raise PermanentError(_NOT_YET)
    return study


def _purgeable(store: Retention, study_uid: str, now: datetime) -> Study | None:
    found = (study for study in purgeable(store, now, failed=True) if study.study_uid == study_uid)
    return next(found, None)


def _purge(store: Retention, files: FileRemoval, study: Study) -> None:
    if not forget(store, files, study):
        raise PermanentError(_NOT_YET)
