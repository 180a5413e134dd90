"""Writing to disk so that it survives a power cut."""

import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TypeAlias

from node.errors import StorageFullError

__all__ = ["SyncThreads", "move_into", "reporting_full_disk", "sync", "sync_folder", "write_all"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_Order: TypeAlias = tuple[Sequence[Path | str], "SimpleQueue[BaseException | None]"]
"""What one thread syncs, and where it says how that went."""


def sync(path: Path | str, flags: int = os.O_RDONLY) -> None:
    """Make the contents of a file survive a power cut."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    sync(folder, os.O_RDONLY | os.O_DIRECTORY)


class SyncThreads:
    """Syncs many files and folders at the same time, in threads of its own.

    Every received image passes here. A `ThreadPoolExecutor` makes a future of each call, whose locks cost
    more changes of thread than the sync itself.

    Parameters
    ----------
    number : int
        How many threads; they start when they are needed.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0

    def __del__(self) -> None:
        for _ in range(self._started):
            self._orders.put(None)

    def begin(self, shares: Sequence[Sequence[Path | str]]) -> Callable[[], BaseException | None]:
        """Begin to sync each share, one path after the other, while the others are synced.

        Returns
        -------
        callable
            Waits for all of them, and returns the error of one that failed, or None.
        """
        self._start(min(len(shares), self._number))
        outcomes: SimpleQueue[BaseException | None] = SimpleQueue()
        for share in shares:
            self._orders.put((share, outcomes))

        def wait() -> BaseException | None:
            errors = [outcomes.get() for _ in shares]
            return next((error for error in errors if error is not None), None)

        return wait

    def _start(self, needed: int) -> None:
        if self._started >= needed:
            return
        with self._lock:
            while self._started < needed:
                threading.Thread(target=_sync_ordered, args=(self._orders,), name="sync", daemon=True).start()
                self._started += 1


def _sync_ordered(orders: "SimpleQueue[_Order | None]") -> None:
    while (order := orders.get()) is not None:
        share, outcomes = order
        try:
            for path in share:
                sync(path)
        except BaseException as error:  # noqa: BLE001 - it is the outcome, and is handed on
            outcomes.put(error)
        else:
            outcomes.put(None)


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


def move_into(file: Path, folder: Path, target: str, root: Path) -> list[Path]:
    """Move a file to a place in a folder, and create what is missing of the folder below a root.

    The target is text, because to make a `Path` of it costs as much as to move the file.

    Returns
    -------
    list of Path
        Every folder in which a name changed; a sync of them makes the move durable.
    """
    changed = [folder]
    try:
        os.replace(file, target)  # noqa: PTH105 - makes no `Path` of the target
    except FileNotFoundError:
        changed += _make_folders(folder, root)
        os.replace(file, target)  # noqa: PTH105 - makes no `Path` of the target
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
