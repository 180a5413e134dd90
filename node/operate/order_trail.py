"""Every order for a study is entered in the audit trail, whether it comes from the page or from a command."""

import os
import pwd
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from node.audit import AuditTrail, as_audited
from node.clock import SystemClock
from node.config import Configuration
from node.domain.audit import Client, EventOutcome, ordered
from node.errors import PermanentError
from node.log import Log, configure, get_log
from node.ports import Audit, Clock, StoredFiles, StudyReader
from node.show.orders import Order
from node.store import open_instance_store

__all__ = ["Entered", "OrderTrail", "audit_of_command", "audited_orders", "user_of_process"]

Entered = Callable[[Order, str], AbstractContextManager[None]]
"""Enters an order for the study of a UID, which is carried out within the block."""


@dataclass(frozen=True, slots=True)
class OrderTrail:
    """Enters orders in the audit trail and the log.

    Attributes
    ----------
    store, files, audit, clock : StudyReader, StoredFiles, Audit, Clock
        See `node.ports`.
    log : Log
        Gets one line per order.
    ae_title : str
        AE title of this node.
    """

    store: StudyReader
    files: StoredFiles
    audit: Audit
    clock: Clock
    log: Log
    ae_title: str

    @contextmanager
    def entered(self, order: Order, study_uid: str, client: Client) -> Iterator[None]:
        """Enter an order that is carried out within the block; it failed if the block raises an error.

        Raises
        ------
        PermanentError
            If the study is unknown.
        """
        if self.store.study(study_uid) is None:
            raise PermanentError(f"study {study_uid} is unknown here")
        # Read before the order: a purge removes what tells whose study it is.
        about = as_audited(self.store, self.files, study_uid)
        outcome = EventOutcome.MINOR_FAILURE
        try:
            yield
            outcome = EventOutcome.SUCCESS
        finally:
            message = ordered(order, client, self.ae_title, about, at=self.clock.now(), outcome=outcome)
            self.audit.record(message)
            done = outcome is EventOutcome.SUCCESS
            self.log.info("order_given", order=order.value, study=study_uid, user=client.user, done=done)


@contextmanager
def audited_orders(configuration: Configuration, store: StudyReader) -> Iterator[Entered]:
    """Open the audit trail for the orders that the user of this process gives on the command line.

    What cannot be written to it is told on standard error.
    """
    with audit_of_command(configuration) as (audit, client):
        files, ae_title = open_instance_store(configuration), configuration.node.ae_title
        trail = OrderTrail(store, files, audit, SystemClock(), get_log(), ae_title)
        yield lambda order, study_uid: trail.entered(order, study_uid, client)


@contextmanager
def audit_of_command(configuration: Configuration) -> Iterator[tuple[AuditTrail, Client]]:
    """Open the audit trail for the user of this process; what cannot be written is told on standard error."""
    configure(replace(configuration.log, level="warning"))
    audit = AuditTrail(configuration.audit, configuration.node.ae_title, get_log())
    audit.start()
    try:
        yield audit, Client(user_of_process(), socket.gethostname())
    finally:
        audit.stop()


def user_of_process() -> str:
    """Return the user who gives the order; behind sudo, the one who called it."""
    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
