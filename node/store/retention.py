"""What is kept for how long: originals and results leave once their study is finished and old."""

from datetime import datetime
from functools import partial

from node.domain.study import FINISHED_STATES, StudyState
from node.store import SqlStore
from node.store.instance_store import DiskInstanceStore

__all__ = ["purge"]

_DONE = FINISHED_STATES - {StudyState.FAILED}
"""A study that was set aside waits for a person: its images may be needed, or its results never arrived."""


def purge(
    store: SqlStore, instance_store: DiskInstanceStore, before: datetime, *, failed: bool = False
) -> int:
    """Remove the files of studies that have been finished, and have got nothing new, since a moment.

    What was done with a study stays in the store: its history, and which results were sent where. What was in
    quarantine since then is removed too.

    Parameters
    ----------
    store, instance_store : SqlStore, DiskInstanceStore
        Where rows and files are.
    before : datetime
        The moment.
    failed : bool, optional
        Whether those that were set aside for a person are removed too.

    Returns
    -------
    int
        How many studies that were.
    """
    finished = store.unchanged_since(FINISHED_STATES if failed else _DONE, before)
    count = 0
    for study in finished:
        count += store.forget_originals(study, partial(instance_store.remove_study, study.study_uid))
    instance_store.clear_quarantine(before)
    return count
