"""Images of unclear identity are replaced by corrected ones, when an operator asks for it.

The node keeps the first content that arrives under a SOP Instance UID and quarantines any other. A study that
is held because its patient is not certain can only be corrected by such other content.
"""

from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from node.domain.assembly import Patience, identity_fault
from node.domain.records import CONFLICT, Arrival, Instance, QuarantineEntry, Staged, mr_images
from node.domain.study import StudyState
from node.store import SqlStore
from node.store.instance_store import DiskInstanceStore, read_instance

__all__ = ["apply_corrections"]

_REPLACED = "a corrected image took its place, as an operator asked"


def apply_corrections(
    store: SqlStore, instance_store: DiskInstanceStore, study_uid: str, now: datetime, patience: Patience
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
    keys = {image.patient_key for image in mr_images(stored.values())}
    if study is None or study.state is not StudyState.FAILED or not keys or not identity_fault(keys):
        return 0
    count = 0
    for entry in store.quarantined(stored, CONFLICT):
        corrected = _read(instance_store, entry)
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


def _read(instance_store: DiskInstanceStore, entry: QuarantineEntry) -> tuple[Staged, Instance] | None:
    path = instance_store.quarantined / entry.name
    try:
        return read_instance(path)
    except (OSError, ValueError):
        return None


def _set_aside(
    store: SqlStore, instance_store: DiskInstanceStore, old: Instance, entry: QuarantineEntry, now: datetime
) -> None:
    # A new name each time, because the same image may be corrected twice.
    path = instance_store.incoming / f"{uuid4().hex}.part"
    instance_store.path(old).replace(path)
    name = instance_store.quarantine(Staged(path, old.size, old.sha256))
    store.withdraw_arrivals([old.sop_uid])
    store.record_quarantine(replace(entry, name=name, reason=_REPLACED, at=now))
