"""After a start: make disk and store agree again, whatever moment the last process ended at."""

from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from node.dimse import IMAGE_CLASSES
from node.domain.header import UnreadableHeaderError, read_identity
from node.domain.records import Arrival, Instance, QuarantineEntry, Staged
from node.instance_store import DiskInstanceStore, digest
from node.ledger import Ledger
from node.observe import Log
from node.ports import Clock
from node.store import SqlStore

__all__ = ["Reconciliation", "reconcile"]

_PREAMBLE = 132
_META_GROUP_LENGTH = 12
"""Bytes of the element (0002,0000), which tells how long the rest of the file meta information is."""
_LEFT_BEHIND = "left behind"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was found and mended.

    Attributes
    ----------
    half_written : int
        Temporary files that were removed; nobody was told they are safe.
    adopted : int
        Whole files without a row, entered as if they had just come.
    missing : int
        Rows whose file is gone. That cannot come from a crash; somebody removed it, and a person must know.
    freed : int
        Studies and deliveries that the last process was working on.
    """

    half_written: int
    adopted: int
    missing: int
    freed: int


def reconcile(
    store: SqlStore, instance_store: DiskInstanceStore, ledger: Ledger, clock: Clock, log: Log
) -> Reconciliation:
    """Mend what a sudden end left; call it before anything else runs on this storage."""
    half_written = instance_store.clear_incoming()
    freed = store.release_leases(clock.now())
    expected = {instance_store.path(instance) for instance in store.all_instances()}
    there = set(instance_store.files())
    for path in sorted(there - expected):
        _adopt(path, store, instance_store, ledger, clock)
    # Whatever was being sent as the last process ended may be a part of its series.
    store.cut_off_transfers(clock.now())
    missing = expected - there
    for path in sorted(missing):
        log.error("instance_file_missing", where=path.name)
    found = Reconciliation(half_written, len(there - expected), len(missing), freed)
    if found != Reconciliation(0, 0, 0, 0):
        log.warning("reconciled", count=found.half_written + found.adopted + found.missing + found.freed)
    return found


def _adopt(
    path: Path, store: SqlStore, instance_store: DiskInstanceStore, ledger: Ledger, clock: Clock
) -> None:
    """Enter a file that was renamed but whose row was never written; its sender was not told so."""
    try:
        instance = _describe(path)
    except (InvalidDicomError, UnreadableHeaderError, OSError, ValueError) as error:
        name = instance_store.quarantine(Staged(path, path.stat().st_size))
        store.record_quarantine(
            QuarantineEntry(name, "", f"{_LEFT_BEHIND}: {type(error).__name__}", "?", "", clock.now())
        )
        return
    matters = instance.sop_class_uid in IMAGE_CLASSES
    ledger.enter(Staged(path, instance.size), Arrival(instance, _LEFT_BEHIND, "", matters, _LEFT_BEHIND))


def _describe(path: Path) -> Instance:
    meta = read_file_meta_info(path)
    content = memoryview(path.read_bytes())
    dataset = content[_PREAMBLE + _META_GROUP_LENGTH + int(meta.FileMetaInformationGroupLength) :]
    transfer_syntax = str(meta.TransferSyntaxUID)
    identity = read_identity(dataset, transfer_syntax)
    return Instance(
        sop_uid=identity.sop_instance_uid,
        series_uid=identity.series_uid,
        study_uid=identity.study_uid,
        sop_class_uid=identity.sop_class_uid,
        transfer_syntax_uid=transfer_syntax,
        sha256=digest([dataset]),
        size=len(dataset),
        patient_key=identity.patient_key,
    )
