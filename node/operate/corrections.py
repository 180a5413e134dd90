"""Images of unclear identity are replaced by corrected ones with other pixels, when an operator asks for it.

The same image under a corrected identity takes its place by itself (`node.receive.disputes`). Another image
under a kept SOP Instance UID is quarantined, and takes the place of the first only in a study that is held
because its patient is not certain, and only if a person asks for it.
"""

from dataclasses import replace
from datetime import datetime

from node.domain.completeness import Patience, identity_fault
from node.domain.records import CONFLICT, Arrival, Instance, QuarantineEntry, mr_images
from node.domain.study import StudyState
from node.ports import InstanceStore, OperatorCommands

__all__ = ["apply_corrections"]

_REPLACED = "a corrected image took its place, as an operator asked"


def apply_corrections(
    store: OperatorCommands, instance_store: InstanceStore, study_uid: str, now: datetime, patience: Patience
) -> int:
    """Replace the images of a study that is held for its identity by quarantined ones with another identity.

    The study then counts as receiving again, and is judged when it is quiet. The replaced images go into
    quarantine.

    Returns
    -------
    int
        How many images were replaced; 0 for a study that is not held for its identity.
    """
    study = store.study(study_uid)
    stored = {image.sop_uid: image for image in store.instances(study_uid)}
    if study is None or study.state is not StudyState.FAILED:
        return 0
    images = mr_images(stored.values())
    patients = {image.sop_uid: instance_store.patient(image) for image in images}
    if not images or not identity_fault({image.patient_key for image in images}, set(patients.values())):
        return 0
    count = 0
    for entry in store.quarantined(study_uid, CONFLICT):
        corrected = instance_store.read_quarantined(entry.name)
        old = stored[entry.sop_uid]
        if corrected is None:
            continue
        staged, image, person = corrected
        there = patients.get(entry.sop_uid)
        if (image.patient_key, person) == (old.patient_key, there.person if there else person):
            continue
        _quarantine(store, instance_store, old, entry, now)
        arrival = Arrival(image, entry.calling_ae, entry.host)
        with instance_store.committing([(staged, image)]):
            store.record_arrivals([arrival], now, patience)
        count += 1
    return count


def _quarantine(
    store: OperatorCommands,
    instance_store: InstanceStore,
    old: Instance,
    entry: QuarantineEntry,
    now: datetime,
) -> None:
    name = instance_store.quarantine_stored(old)
    store.delete_arrivals([old.sop_uid])
    store.record_quarantine(replace(entry, name=name, reason=_REPLACED, at=now))
