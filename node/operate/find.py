"""Which studies an operator means: by UID or the beginning of one, accession number, Patient ID or name.

None of the patient's data are kept in the database. They are read from the stored images when somebody asks,
so they can be read by nobody who may not read the images.
"""

from collections.abc import Callable

from node.domain.notice import is_study_key, study_key
from node.domain.person import as_typed, forms_of_name, name_as_typed
from node.domain.records import Study, StudyQuery
from node.ports import Figures, StoredFiles

__all__ = ["find_studies"]

_MOST = 1000
"""Studies of one UID prefix that are told apart; no operator reads more."""
_ALL = 10**9


def find_studies(
    store: Figures, open_files: Callable[[], StoredFiles], name: str, *, by_person: bool = False
) -> tuple[Study, ...]:
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
        As an operator typed it. Numbers match as a whole only. The key of a study in a notification names
        it, too.
    by_person : bool, optional
        Whether it may be the name of a patient, too. Not for an order: several patients may have one name.
    """
    wanted = as_typed(name)
    if not wanted:
        return ()
    exact = store.study(wanted)
    if exact is not None:
        return (exact,)
    found = {study.study_uid: study for study in store.studies(_MOST, StudyQuery(uid_prefix=wanted))}
    if is_study_key(wanted):
        found |= {one.study_uid: one for one in store.studies(_ALL) if study_key(one.study_uid) == wanted}
        return tuple(found.values())
    files, person = open_files(), name_as_typed(wanted)
    for image in store.one_of_each():
        if image.study_uid in found:
            continue
        is_number = wanted in map(as_typed, files.identifiers(image))
        if is_number or (by_person and person in forms_of_name(files.patient_name(image))):
            study = store.study(image.study_uid)
            if study is not None:
                found[study.study_uid] = study
    return tuple(sorted(found.values(), key=lambda one: one.last_arrival, reverse=True))
