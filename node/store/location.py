"""Where a node keeps its state: the URL of its database, and the lock on its storage directory."""

import fcntl
from pathlib import Path
from typing import IO

from node.config import Configuration
from node.errors import PermanentError

__all__ = ["lock_storage", "store_url"]


def store_url(configuration: Configuration) -> str:
    """Return the configured URL of the database, or that of a SQLite file in the storage directory."""
    if configuration.store.url:
        return configuration.store.url
    return f"sqlite:///{configuration.storage.directory / 'osteonode.db'}"


def lock_storage(directory: Path) -> IO[str]:
    """Reserve the storage directory for this process; the system frees it when the process ends.

    Raises
    ------
    PermanentError
        If another node has it, or it cannot be written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "lock").open("w")
    except OSError as error:
        raise PermanentError(f"[storage] directory {directory} cannot be used ({error.strerror})") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise PermanentError(f"another node is already working in {directory}") from None
    return lock
