"""After a start: make disk and store agree again, whatever moment the last process ended at."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import InvalidDicomError

from node.domain.header import UnreadableHeaderError
from node.domain.records import Arrival, ArrivalOutcome, Instance, QuarantineEntry, StagedFile
from node.log import Log
from node.ports import Clock
from node.store import SqlStore
from node.store.instance_store import DiskInstanceStore, certified, read_instance

__all__ = ["Reconciliation", "reconcile"]

_LEFT_BEHIND = "left behind"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was found and mended.

    Attributes
    ----------
    half_written : int
        Temporary files, and files that a power cut cut short, that were removed; nobody was told they are
        safe.
    adopted : int
        Files without a row: those that prove to be whole are entered as if they had just come, the others
        are put aside.
    missing : int
        Rows whose file is gone. That cannot come from a crash; somebody removed it, and a person must know.
    freed : int
        Studies and deliveries that the last process was working on, or had just finished.
    """

    half_written: int
    adopted: int
    missing: int
    freed: int


def reconcile(
    store: SqlStore,
    instance_store: DiskInstanceStore,
    enter: Callable[[StagedFile, Arrival], ArrivalOutcome],
    clock: Clock,
    log: Log,
) -> Reconciliation:
    """Mend what a sudden end left; call it before anything else runs on this storage.

    Parameters
    ----------
    store, instance_store : SqlStore, DiskInstanceStore
        The rows and the files.
    enter : callable
        Makes a file durable and enters it, as if it had just been received.
    clock : Clock
        The time of what is entered.
    log : Log
        Gets a line for each file that is missing, and one for all that was mended.
    """
    half_written = instance_store.clear_incoming() + _check_last_group(store, instance_store)
    freed = store.release_leases(clock.now()) + store.finish_all_deliveries(clock.now())
    expected = {instance_store.path(instance) for instance in store.all_instances()}
    there = set(instance_store.files())
    for path in sorted(there - expected):
        _adopt(path, store, instance_store, enter, clock)
    # Whatever was being sent as the last process ended may be a part of its series.
    store.cut_off_associations(clock.now())
    missing = expected - there
    for path in sorted(missing):
        log.error("instance_file_missing", where=path.name)
    found = Reconciliation(half_written, len(there - expected), len(missing), freed)
    if found != Reconciliation(0, 0, 0, 0):
        log.warning("reconciled", count=found.half_written + found.adopted + found.missing + found.freed)
    return found


def _check_last_group(store: SqlStore, instance_store: DiskInstanceStore) -> int:
    """Hold the files of the last group against its rows; return how many did not reach the disk.

    Their sender was told of success only after both were synced, so what is not whole was promised to nobody.
    """
    lost = [
        instance for instance in store.last_group() if not _is_whole(instance_store.path(instance), instance)
    ]
    for instance in lost:
        instance_store.path(instance).unlink(missing_ok=True)
    store.withdraw_arrivals([instance.sop_uid for instance in lost])
    return len(lost)


def _is_whole(path: Path, instance: Instance) -> bool:
    try:
        found = certified(path)
    except (OSError, ValueError):
        return False
    return found is not None and found.sha256 == instance.sha256


def _adopt(
    path: Path,
    store: SqlStore,
    instance_store: DiskInstanceStore,
    enter: Callable[[StagedFile, Arrival], ArrivalOutcome],
    clock: Clock,
) -> None:
    """Enter a file that was renamed but whose row was never written; its sender was not told so."""
    try:
        staged, instance = read_instance(path)
    except (InvalidDicomError, UnreadableHeaderError, OSError, ValueError) as error:
        name = instance_store.quarantine(StagedFile(path, path.stat().st_size, ""))
        store.record_quarantine(
            QuarantineEntry(name, "", f"{_LEFT_BEHIND}: {type(error).__name__}", "?", "", clock.now())
        )
        return
    enter(staged, Arrival(instance, _LEFT_BEHIND, "", _LEFT_BEHIND))
