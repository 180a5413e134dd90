"""What all stations of a node share: storage directory, database, clock, log and audit trail."""

from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from threading import Event
from typing import IO
from uuid import uuid4

from node.app.current import Current
from node.audit import AuditTrail
from node.config import Change, Configuration
from node.domain.audit import application_started, application_stopped
from node.errors import PermanentError
from node.log import Log, get_log, guarded, set_level
from node.ports import Clock, InstanceStore, NodeBook, NoticeBox, Store
from node.store import (
    is_there,
    lock_storage,
    mark_storage,
    open_database,
    open_instance_store,
    open_nodes,
    open_notices,
    storage_mark,
    store_url,
)
from node.tally import Tally

__all__ = ["Resources", "join_resources", "open_resources"]


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
    lock : file or None
        Reserves the storage directory for this process; None for a node that only analyses.
    instance_store, store, notices, nodes, audit : InstanceStore, Store, NoticeBox, NodeBook, AuditTrail
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
    lock: IO[str] | None
    instance_store: InstanceStore
    store: Store
    notices: NoticeBox
    nodes: NodeBook
    audit: AuditTrail
    tally: Tally = field(default_factory=Tally)
    owner: str = field(default_factory=lambda: uuid4().hex)
    stopping: Event = field(default_factory=Event)

    @property
    def configuration(self) -> Configuration:
        """The configuration in force at this moment."""
        return self.current()

    def put_in_force(self, change: Change) -> None:
        """Put the result of a change in force; whatever holds settings of its own is told by its node."""
        self.current.replace(change.result)
        if "log.level" in change.applied:
            set_level(change.result.log)

    def start(self) -> None:
        """Start the audit trail."""
        self.audit.start()
        self.audit.record(application_started(self.configuration.node.ae_title, self.clock.now()))

    def close(self) -> None:
        """Close the store and then the audit trail, and release the storage directory.

        Without a database, leases are left to the next start, as after a power cut.
        """
        guarded("end", self._leave, self.log)()
        self.nodes.close()
        self.notices.close()
        self.store.close()
        self.audit.record(application_stopped(self.configuration.node.ae_title, self.clock.now()))
        self.audit.stop()
        if self.lock is not None:
            self.lock.close()

    def _leave(self) -> None:
        if self.lock is not None:
            self.store.release_leases(self.clock.now())
        self.nodes.leave(self.owner, self.clock.now())


def open_resources(configuration: Configuration, clock: Clock) -> Resources:
    """Reserve the storage directory and the database, and open both.

    Raises
    ------
    PermanentError
        If another node has the directory or the database, or the tables are of another version.
    """
    directory = configuration.storage.directory
    with ExitStack() as undo:
        lock = undo.enter_context(lock_storage(directory, configuration.node.address))
        store = undo.enter_context(closing(open_database(configuration)))
        store.claim()
        if configuration.store.is_server:
            mark_storage(directory)
        undo.pop_all()
    return _resources(configuration, clock, store, lock)


def join_resources(configuration: Configuration, clock: Clock) -> Resources:
    """Open what a main node has reserved, for a node that only analyses.

    Nothing is created: an empty folder in place of the storage would be taken for the storage.

    Raises
    ------
    PermanentError
        If no main node has ever worked with this storage and database, or the database is a file.
    """
    directory = configuration.storage.directory
    if not configuration.store.is_server:
        raise PermanentError(
            "a node that only analyses needs a database in a PostgreSQL server ([store] url): machines "
            "cannot share a file safely. On one machine, raise [engine] processes"
        )
    if not storage_mark(directory):
        raise PermanentError(
            f"{directory} is not the storage of a node that has run with PostgreSQL: mount that as [storage] "
            "directory, and start the node that receives first"
        )
    if not is_there(store_url(configuration)):
        raise PermanentError("the database of [store] url is empty: start the node that receives first")
    return _resources(configuration, clock, open_database(configuration), None)


def _resources(configuration: Configuration, clock: Clock, store: Store, lock: IO[str] | None) -> Resources:
    log = get_log()
    return Resources(
        Current(configuration),
        clock,
        log,
        lock=lock,
        instance_store=open_instance_store(configuration),
        store=store,
        notices=open_notices(configuration),
        nodes=open_nodes(configuration),
        audit=AuditTrail(configuration.audit, configuration.node.ae_title, log),
    )
