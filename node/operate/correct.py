"""Corrected images take the place of those that a study is held for, on the order of a person.

The first bytes under a UID stand, whoever sends others: those wait in quarantine. A study that is held since
nobody can tell whose it is needs just such others.
"""

from dataclasses import replace
from datetime import datetime

from node.domain.assembly import Patience, identity_fault
from node.domain.records import CONFLICT, Arrival, Instance, QuarantineEntry, mr_images
from node.domain.study import StudyState
from node.ports import InstanceStore, Orders

__all__ = ["put_corrections"]

_REPLACED = "a corrected image took its place, as an operator asked"


def put_corrections(
    store: Orders, instance_store: InstanceStore, study_uid: str, now: datetime, patience: Patience
) -> int:
    """Put what was sent again with another identity in the place of what a study is held for.

    The study is then received anew, and judged once it is quiet. What was replaced goes into quarantine.

    Returns
    -------
    int
        How many images were replaced; 0 for a study that is not held for its identity.
    """
    study = store.study(study_uid)
    stored = {image.sop_uid: image for image in store.instances(study_uid)}
    keys = {image.patient_key for image in mr_images(stored.values())}
    if study is None or study.state is not StudyState.FAILED or not keys or not identity_fault(keys):
        return 0
    count = 0
    for entry in store.quarantined(stored, CONFLICT):
        corrected = instance_store.read_quarantined(entry.name)
        old = stored[entry.sop_uid]
        if corrected is None or corrected[1].patient_key == old.patient_key:
            continue
        staged, image = corrected
        _set_aside(store, instance_store, old, entry, now)
        arrival = Arrival(image, entry.calling_ae, entry.host)
        with instance_store.committing([(staged, image)]):
            store.record_arrivals([arrival], now, patience)
        count += 1
    return count


def _set_aside(
    store: Orders, instance_store: InstanceStore, old: Instance, entry: QuarantineEntry, now: datetime
) -> None:
    # Under a name of its own: the same image may be corrected twice.
    name = instance_store.withdraw(old)
    store.withdraw_arrivals([old.sop_uid])
    store.record_quarantine(replace(entry, name=name, reason=_REPLACED, at=now))
