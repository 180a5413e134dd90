"""Reserves a storage directory and a database for one node.

A second node would take the work of the first for that of a node that has died.
"""

import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import IO
from uuid import uuid4

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from node.errors import PermanentError, TakenError
from node.store.durable import sync, sync_folder

__all__ = ["address_of_running_node", "claim", "lock_storage", "mark_storage", "storage_mark"]

_MARK = "storage-id"
_OURS = 0x4F5354454F4E4F44
"""Key of the advisory lock: "OSTEONOD" in ASCII."""
_TAKEN = "another node is already working with the database of [store] url, from another storage directory"


def lock_storage(directory: Path, address: str = "") -> IO[str]:
    """Reserve the storage directory for this process; the system frees it when the process ends.

    Parameters
    ----------
    directory : Path
        Made if it does not exist.
    address : str
        Where this process listens for DICOM, which `address_of_running_node` tells others.

    Raises
    ------
    TakenError
        If another node has it.
    PermanentError
        If it cannot be written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Not emptied before it is ours: until then it tells the address of another node.
        lock = (directory / "lock").open("a")
    except OSError as error:
        raise PermanentError(f"[storage] directory {directory} cannot be used ({error.strerror})") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise TakenError(f"another node is already working in {directory}") from None
    lock.truncate(0)
    lock.write(address)
    lock.flush()
    return lock


def address_of_running_node(directory: Path) -> str | None:
    """Return where the node that works in a storage directory listens; None if no node works there."""
    try:
        lock = (directory / "lock").open()
    except OSError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return lock.read()
    return None


def mark_storage(directory: Path) -> str:
    """Return the mark by which other machines tell that they see the same storage; made if there is none.

    Called by the one node that has reserved the directory.
    """
    if not (found := storage_mark(directory)):
        found = uuid4().hex
        draft = directory / f"{_MARK}.part"
        draft.write_text(found)
        sync(draft)
        draft.replace(directory / _MARK)
        sync_folder(directory)
    return found


def storage_mark(directory: Path) -> str:
    """Return the mark of a storage directory; empty if it has none, or cannot be read at this moment."""
    try:
        return (directory / _MARK).read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def claim(engine: Engine) -> Callable[[], None]:
    """Reserve a database for this process; the system or the server frees it if the process dies.

    Parameters
    ----------
    engine : Engine
        SQLite is reserved by a lock on a file beside it. PostgreSQL is reserved by an advisory lock of a
        connection, which is lost if the server restarts.

    Returns
    -------
    callable
        Frees it.

    Raises
    ------
    TakenError
        If another node has it.
    """
    if engine.dialect.name == "postgresql":
        return _claim_server(engine)
    return _claim_file(Path(f"{engine.url.database}-lock"))


def _claim_file(path: Path) -> Callable[[], None]:
    lock = path.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise TakenError(_TAKEN) from None
    return lock.close


def _claim_server(engine: Engine) -> Callable[[], None]:
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        # Long enough for the server to notice that the last node was killed.
        connection.execute(text("SET lock_timeout TO '5s'"))
        connection.execute(text("SELECT pg_advisory_lock(:ours)"), {"ours": _OURS})
    except OperationalError:
        connection.close()
        raise TakenError(_TAKEN) from None
    # Detached, because the pool would keep the connection open, and with it the lock.
    connection.detach()
    return connection.close
