"""What is kept for how long: originals and results leave once their study is finished and old."""

from datetime import datetime

from node.domain.study import FINISHED_STATES
from node.instance_store import DiskInstanceStore
from node.store import SqlStore

__all__ = ["purge"]


def purge(store: SqlStore, instance_store: DiskInstanceStore, before: datetime) -> int:
    """Remove the files of studies that have been finished, and have got nothing new, since a moment.

    What was done with a study stays in the store: its history, and which results were sent where.

    Returns
    -------
    int
        How many studies that were.
    """
    finished = store.unchanged_since(FINISHED_STATES, before)
    for study in finished:
        # Rows first: after a crash a file without a row is entered again and purged later, whereas a row
        # without its file is an alarm.
        store.forget_instances(study.study_uid)
        instance_store.remove_study(study.study_uid)
    return len(finished)
