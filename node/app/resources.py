"""What all stations of a node share: storage directory, database, clock, log and audit trail."""

from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from threading import Event
from typing import IO
from uuid import uuid4

from node.app.current import Current
from node.audit import AuditTrail
from node.config import Configuration
from node.domain.audit import application_started, application_stopped
from node.log import Log, get_log
from node.ports import Clock, InstanceStore, NoticeBox, Store
from node.store import lock_storage, open_database, open_instance_store, open_notices
from node.tally import Tally

__all__ = ["Resources", "open_resources"]


@dataclass(frozen=True, slots=True)
class Resources:
    """What the stations share.

    Attributes
    ----------
    current : Current
        The node's configuration.
    clock : Clock
        Gives the time to all stations.
    log : Log
        The log, shared by all stations.
    lock : file
        Reserves the storage directory for this process.
    instance_store, store, notices, audit : InstanceStore, Store, NoticeBox, AuditTrail
        See `node.ports`.
    tally : Tally
        Counters of the metrics.
    owner : str
        Identifies this node in its leases.
    stopping : Event
        When set, stations begin nothing new.
    """

    current: Current
    clock: Clock
    log: Log
    lock: IO[str]
    instance_store: InstanceStore
    store: Store
    notices: NoticeBox
    audit: AuditTrail
    tally: Tally = field(default_factory=Tally)
    owner: str = field(default_factory=lambda: uuid4().hex)
    stopping: Event = field(default_factory=Event)

    @property
    def configuration(self) -> Configuration:
        """The configuration in force at this moment."""
        return self.current()

    def start(self) -> None:
        """Start the audit trail."""
        self.audit.start()
        self.audit.record(application_started(self.configuration.node.ae_title, self.clock.now()))

    def close(self) -> None:
        """Close the store and then the audit trail, and release the storage directory."""
        self.store.release_leases(self.clock.now())
        self.notices.close()
        self.store.close()
        self.audit.record(application_stopped(self.configuration.node.ae_title, self.clock.now()))
        self.audit.stop()
        self.lock.close()


def open_resources(configuration: Configuration, clock: Clock) -> Resources:
    """Reserve the storage directory and the database, and open both.

    Raises
    ------
    PermanentError
        If another node has the directory or the database, or the tables are of another version.
    """
    log = get_log()
    directory = configuration.storage.directory
    with ExitStack() as undo:
        lock = undo.enter_context(lock_storage(directory, configuration.node.address))
        store = undo.enter_context(closing(open_database(configuration)))
        store.claim()
        undo.pop_all()
    return Resources(
        Current(configuration),
        clock,
        log,
        lock=lock,
        instance_store=open_instance_store(configuration),
        store=store,
        notices=open_notices(configuration),
        audit=AuditTrail(configuration.audit, configuration.node.ae_title, log),
    )
