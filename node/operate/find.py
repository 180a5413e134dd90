"""Which studies an operator means: by UID or the beginning of one, accession number or Patient ID.

Neither Patient ID nor accession number is kept in the database. Both are read from the stored images when
somebody asks, so they can be read by nobody who may not read the images.
"""

from collections.abc import Callable

from node.domain.records import Study, StudyQuery
from node.ports import Figures, StoredFiles

__all__ = ["find_studies"]

_MOST = 1000
"""Studies of one UID prefix that are told apart; no operator reads more."""


def find_studies(store: Figures, open_files: Callable[[], StoredFiles], name: str) -> tuple[Study, ...]:
    """Return all studies that a name may mean, the one that arrived last first.

    A whole UID means its study and no other. Anything else may be the beginning of a UID and at the same time
    somebody's number, so all that match are returned: an order for the wrong study is worse than a question.

    Parameters
    ----------
    store : Figures
        Holds the studies.
    open_files : callable
        Opens the files of the node, in which numbers are looked up; not called for a whole UID.
    name : str
        As an operator typed it. Numbers match as a whole only.
    """
    wanted = name.strip()
    if not wanted:
        return ()
    exact = store.study(wanted)
    if exact is not None:
        return (exact,)
    found = {study.study_uid: study for study in store.studies(_MOST, StudyQuery(uid_prefix=wanted))}
    files = open_files()
    for image in store.one_of_each():
        if image.study_uid not in found and wanted in files.identifiers(image):
            study = store.study(image.study_uid)
            if study is not None:
                found[study.study_uid] = study
    return tuple(sorted(found.values(), key=lambda one: one.last_arrival, reverse=True))
