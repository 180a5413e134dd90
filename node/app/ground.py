"""What all stations of a node stand on: a storage of its own, the store, the clock, the audit trail."""

from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from threading import Event
from typing import IO
from uuid import uuid4

from node.audit import AuditTrail
from node.config import Configuration
from node.domain.audit import application_started, application_stopped
from node.log import Log, get_log
from node.ports import Clock, InstanceStore, Store
from node.store import lock_storage, open_database, open_instance_store
from node.tally import Tally

__all__ = ["Ground", "lay_ground"]


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
    instance_store, store, audit : InstanceStore, Store, AuditTrail
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
    instance_store: InstanceStore
    store: Store
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
        store = undo.enter_context(closing(open_database(configuration)))
        store.claim()
        undo.pop_all()
    return Ground(
        configuration,
        clock,
        log,
        lock=lock,
        instance_store=open_instance_store(configuration),
        store=store,
        audit=AuditTrail(configuration.audit, configuration.node.ae_title, log),
    )
