"""Removes the files of studies older than the retention time, and objects that nothing reads."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from node.domain.records import Study
from node.domain.study import FINISHED_STATES, StudyState
from node.ports import FileRemoval, Retention

__all__ = ["drop_unused", "purge", "purge_not_for_us", "purge_study", "purgeable"]

_AT_ONCE = 200
"""Objects that are removed in one transaction, for which images that arrive meanwhile wait."""
_DONE = FINISHED_STATES - {StudyState.FAILED}
"""A failed study waits for an operator: its images may be needed, or its results were not delivered."""


def purgeable(rows: Retention, before: datetime, *, failed: bool = False) -> tuple[Study, ...]:
    """Return the studies whose files `purge` removes."""
    return rows.unchanged_since(FINISHED_STATES if failed else _DONE, before)


def purge(rows: Retention, files: FileRemoval, before: datetime, *, failed: bool = False) -> int:
    """Remove the files of studies that were finished, and received nothing, since a moment.

    What was done with a study stays in the database: its history, and which results were sent where. Files
    that have been in quarantine since before that moment are removed too.

    Parameters
    ----------
    rows, files : Retention, FileRemoval
        See `node.ports`.
    before : datetime
        The moment.
    failed : bool, optional
        Whether failed studies, which wait for an operator, are removed too.

    Returns
    -------
    int
        How many studies were removed.
    """
    count = _forget(rows, files, purgeable(rows, before, failed=failed))
    files.clear_quarantine(before)
    return count


def purge_study(rows: Retention, files: FileRemoval, study_uid: str, now: datetime) -> bool:
    """Remove the files of one finished study, set aside or not, and the scores that are kept of it.

    Returns
    -------
    bool
        False if it is not finished, still has something to be sent, or just changed, or if nothing is kept.
    """
    found = [study for study in purgeable(rows, now, failed=True) if study.study_uid == study_uid]
    count = _forget(rows, files, found)
    # They may be all that is left of it.
    return rows.forget_examination(study_uid) or bool(count)


def purge_not_for_us(rows: Retention, files: FileRemoval, before: datetime) -> int:
    """Remove the files of studies that have been not for us, and received nothing, since a moment.

    Their images are of no further use here, so a site that has everything routed to the node need not keep
    them as long as those that a result refers to.

    Parameters
    ----------
    rows, files : Retention, FileRemoval
        See `node.ports`.
    before : datetime
        The moment.

    Returns
    -------
    int
        How many studies were removed.
    """
    return _forget(rows, files, rows.unchanged_since({StudyState.NOT_FOR_US}, before))


def _forget(rows: Retention, files: FileRemoval, studies: Iterable[Study]) -> int:
    count = 0
    for study in studies:
        count += rows.forget_originals(study, partial(files.remove_study, study.study_uid))
    return count


def drop_unused(rows: Retention, files: FileRemoval) -> int:
    """Remove the objects of finished studies that are no MR images: nothing reads them.

    They were acknowledged because a router stops at the first object that is rejected, and are kept until
    their study is finished only because its state is told from all that it holds.

    Parameters
    ----------
    rows, files : Retention, FileRemoval
        See `node.ports`.

    Returns
    -------
    int
        How many objects were removed.
    """
    count = 0
    while removed := rows.forget_unused(_DONE, files.remove_instances, _AT_ONCE):
        count += removed
    return count
