"""What all stations of a node stand on: a storage of its own, the store, the clock, the audit trail."""

import fcntl
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import IO
from uuid import uuid4

from node.audit import AuditTrail
from node.config import Configuration
from node.domain.audit import application_started, application_stopped
from node.errors import PermanentError
from node.instance_store import DiskInstanceStore
from node.observe import Log, get_log
from node.ports import Clock
from node.store import SqlStore
from node.tally import Tally

__all__ = ["Ground", "lay_ground", "lock_storage", "store_url"]

_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ground:
    """What every station may need.

    Attributes
    ----------
    configuration : Configuration
        All of it.
    clock : Clock
        The time that sweeps are told.
    log : Log
        Names no patient.
    lock : file
        Holds the storage directory for this process.
    instance_store, store, audit : DiskInstanceStore, SqlStore, AuditTrail
        See `node.ports`.
    tally : Tally
        Counts what the status page shows.
    owner : str
        Names this node in its leases.
    stopping : Event
        Once set, nothing new is begun.
    """

    configuration: Configuration
    clock: Clock
    log: Log
    lock: IO[str]
    instance_store: DiskInstanceStore
    store: SqlStore
    audit: AuditTrail
    tally: Tally = field(default_factory=Tally)
    owner: str = field(default_factory=lambda: uuid4().hex)
    stopping: Event = field(default_factory=Event)

    def enter(self) -> None:
        """Begin the audit trail."""
        self.audit.start()
        self.audit.record(application_started(self.configuration.node.ae_title, self.clock.now()))

    def leave(self) -> None:
        """Close the store and then the audit trail, and let another node have the storage."""
        self.store.release_leases(self.clock.now())
        self.store.close()
        self.audit.record(application_stopped(self.configuration.node.ae_title, self.clock.now()))
        self.audit.stop()
        self.lock.close()


def lay_ground(configuration: Configuration, clock: Clock) -> Ground:
    """Take the storage, and open what lies in it.

    Raises
    ------
    PermanentError
        If another node has it, or the database, or that is of another version.
    """
    log = get_log()
    directory = configuration.storage.directory
    with ExitStack() as undo:
        lock = undo.enter_context(lock_storage(directory))
        store = undo.enter_context(closing(SqlStore(store_url(configuration))))
        store.claim()
        undo.pop_all()
    return Ground(
        configuration,
        clock,
        log,
        lock=lock,
        instance_store=DiskInstanceStore(directory, configuration.storage.watermark_mb * _MEGABYTE),
        store=store,
        audit=AuditTrail(configuration.audit, configuration.node.ae_title, log),
    )


def store_url(configuration: Configuration) -> str:
    """Return the URL of the database; SQLite in the storage directory where the configuration names none."""
    if configuration.store.url:
        return configuration.store.url
    return f"sqlite:///{configuration.storage.directory / 'osteonode.db'}"


def lock_storage(directory: Path) -> IO[str]:
    """Take the storage directory for this process, so that no second node works on it; the system frees it.

    Raises
    ------
    PermanentError
        If another node has it, or it cannot be written.
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
