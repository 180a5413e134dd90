"""The check of the disk."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

from node.config import Configuration
from node.domain.health import judge_disk
from node.domain.status import Condition, Disk
from node.operate.doctor.result import CheckResult, Severity
from node.operate.doctor.rights import is_open_to_others

__all__ = ["storage"]

_SLOW_SYNC_S = 0.05
_MEGABYTE = 1024 * 1024
_ROOM = {
    Condition.WELL: (Severity.GOOD, ""),
    Condition.CONCERN: (
        Severity.WARNING,
        "Free some disk, or shorten [storage] retention_days and not_for_us_hours.",
    ),
    Condition.FAULT: (
        Severity.FAULT,
        "Free some disk, or run `osteonode purge`; until then all images are rejected.",
    ),
}
"""Severity and remedy for each condition of the disk space."""


def storage(configuration: Configuration) -> Iterator[CheckResult]:
    """Check that the storage directory can be written, has free space, and syncs fast."""
    directory = configuration.storage.directory
    subject = f"storage in {directory}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        seconds = _time_a_sync(directory)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        yield CheckResult(
            Severity.FAULT,
            subject,
            f"cannot be written: {reason}",
            "Set [storage] directory to a folder that this user can write.",
        )
        return
    free = shutil.disk_usage(directory).free
    room = judge_disk(Disk(free, configuration.storage.watermark_mb * _MEGABYTE))
    level, remedy = _ROOM[room.condition]
    yield CheckResult(level, subject, room.words.rstrip("."), remedy)
    if seconds > _SLOW_SYNC_S:
        yield CheckResult(
            Severity.WARNING, subject, f"a sync to disk takes {seconds * 1000:.0f} ms; each image needs some",
            "Use a local disk with power-loss protection; network file systems are slow at this.",
        )  # fmt: skip
    else:
        yield CheckResult(Severity.GOOD, subject, f"a sync to disk takes {seconds * 1000:.1f} ms")
    if is_open_to_others(directory) and _holds_open_files(directory):
        yield CheckResult(
            Severity.FAULT, subject, "other users of this machine can read images and results",
            f"Run `chmod -R go-rwx {directory}`.",
        )  # fmt: skip


def _holds_open_files(directory: Path) -> bool:
    """Tell whether another user can read something below a directory; ends at the first that is found."""
    for folder, _, files in os.walk(directory):
        if not is_open_to_others(Path(folder)):
            continue  # nobody else gets below it
        if any(is_open_to_others(Path(folder, name)) for name in files):
            return True
    return False


def _time_a_sync(directory: Path) -> float:
    with TemporaryFile(dir=directory) as file:
        file.write(b"\0" * 4096)
        file.flush()
        started = time.perf_counter()
        os.fsync(file.fileno())
        return time.perf_counter() - started
