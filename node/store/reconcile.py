"""After a start: make files and rows agree again, wherever the last process ended."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import InvalidDicomError

from node.domain.header import UnreadableHeaderError
from node.domain.records import Arrival, ArrivalOutcome, Instance, QuarantineEntry, StagedFile
from node.log import Log
from node.ports import Clock, FileRecovery, Recovery
from node.store.staging import read_certified, read_instance

__all__ = ["Reconciliation", "reconcile"]

_LEFT_BEHIND = "left behind"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was found and repaired.

    Attributes
    ----------
    half_written : int
        Temporary files, and files truncated by a power cut, that were removed. No sender was told that one of
        them is stored.
    adopted : int
        Files without a row: those that are complete are recorded as if they had just been received, the
        others go to quarantine.
    missing : int
        Rows whose file is gone. A crash cannot cause that: the file was removed, and the log says so.
    freed : int
        Studies and deliveries that the last process had leased, or had just finished.
    """

    half_written: int
    adopted: int
    missing: int
    freed: int


def reconcile(
    rows: Recovery,
    files: FileRecovery,
    enter: Callable[[StagedFile, Arrival], ArrivalOutcome],
    clock: Clock,
    log: Log,
) -> Reconciliation:
    """Repair the state after a crash; call it before anything else uses this storage.

    Parameters
    ----------
    rows, files : Recovery, FileRecovery
        See `node.ports`.
    enter : callable
        Makes a file durable and records it, as if it had just been received.
    clock : Clock
        Gives the time of what is recorded.
    log : Log
        Logs one line per missing file, and one for all repairs.
    """
    half_written = files.clear_incoming() + _check_last_group(rows, files)
    freed = rows.release_leases(clock.now()) + rows.finish_all_deliveries(clock.now())
    expected = {files.path(instance) for instance in rows.all_instances()}
    there = set(files.files())
    for path in sorted(there - expected):
        _adopt(path, rows, files, enter, clock)
    # A series that was being received when the last process ended may be incomplete.
    rows.cut_off_associations(clock.now())
    missing = expected - there
    for path in sorted(missing):
        log.error("instance_file_missing", where=path.name)
    found = Reconciliation(half_written, len(there - expected), len(missing), freed)
    if found != Reconciliation(0, 0, 0, 0):
        log.warning("reconciled", count=found.half_written + found.adopted + found.missing + found.freed)
    return found


def _check_last_group(rows: Recovery, files: FileRecovery) -> int:
    """Compare the files of the last group with its rows; return how many did not reach the disk.

    Their senders are told of success only after files and rows are synced, so a file that is incomplete was
    promised to none of them.
    """
    lost = [instance for instance in rows.last_group() if not _is_whole(files.path(instance), instance)]
    for instance in lost:
        files.path(instance).unlink(missing_ok=True)
    rows.delete_arrivals([instance.sop_uid for instance in lost])
    return len(lost)


def _is_whole(path: Path, instance: Instance) -> bool:
    try:
        found = read_certified(path)
    except (OSError, ValueError):
        return False
    return found is not None and found.sha256 == instance.sha256


def _adopt(
    path: Path,
    rows: Recovery,
    files: FileRecovery,
    enter: Callable[[StagedFile, Arrival], ArrivalOutcome],
    clock: Clock,
) -> None:
    """Record a file that has its permanent name but no row; its sender was not told that it is stored."""
    try:
        staged, instance = read_instance(path)
    except (InvalidDicomError, UnreadableHeaderError, OSError, ValueError) as error:
        name = files.quarantine(StagedFile(path, path.stat().st_size, ""))
        rows.record_quarantine(
            QuarantineEntry(name, "", f"{_LEFT_BEHIND}: {type(error).__name__}", "?", "", clock.now())
        )
        return
    enter(staged, Arrival(instance, _LEFT_BEHIND, "", _LEFT_BEHIND))
