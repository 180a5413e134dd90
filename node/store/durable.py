"""Writing to disk so that it survives a power cut."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from node.errors import StorageFullError

__all__ = ["move_into", "reporting_full_disk", "sync", "sync_folder", "write_all"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def sync(path: Path, flags: int = os.O_RDONLY) -> None:
    """Make the contents of a file survive a power cut."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def write_all(descriptor: int, parts: Sequence[bytes | bytearray | memoryview]) -> None:
    """Write all parts to a file, however many system calls that takes."""
    left = [memoryview(part) for part in parts if part]
    while left:
        written = os.writev(descriptor, left)
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = left[0][written:]


@contextmanager
def reporting_full_disk() -> Iterator[None]:
    """Raise `StorageFullError` if the system reports that the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError("the disk is full") from error
        raise


def move_into(file: Path, target: Path, root: Path) -> list[Path]:
    """Move a file, and create missing folders of its target below a root.

    Returns
    -------
    list of Path
        Every folder in which a name changed; a sync of them makes the move durable.
    """
    changed = [target.parent]
    try:
        file.replace(target)
    except FileNotFoundError:
        changed += _make_folders(target.parent, root)
        file.replace(target)
    return changed


def _make_folders(folder: Path, root: Path) -> list[Path]:
    changed = []
    missing = folder
    while missing != root and not missing.exists():
        changed.append(missing.parent)
        missing = missing.parent
    if missing != folder:
        folder.mkdir(parents=True, exist_ok=True)
    return changed
