"""The listener: from a connection to durable objects and honest answers. No science, no decoding.

The way of an image:

1. `Server` accepts the connection, and `Listener` the association, if `AdmissionControl` does.
2. `Connection` reads it, and `DataTransfer` tells what has come; fragments go into a `ReceivedObject`.
3. `StorageScp.store` gets the object once it is whole: it is checked, and goes to the `Ledger` or is refused.
4. `Ledger` makes it durable, together with others.
5. `StorageScp` turns the outcome into a status, and `Connection.answer` sends it.
"""

import threading
from collections.abc import Callable, Iterable

from pynetdicom import AE, evt
from pynetdicom.pdu_primitives import A_ASSOCIATE

from node.audit import AssociationAudit
from node.config import ListenerSettings, Source
from node.dicom.commitment import report_of
from node.dicom.contexts import storage_contexts
from node.dicom.pynetdicom_internals import reject, shut_out, stop_with
from node.dicom.tls import server_context
from node.domain.audit import Party, intruder
from node.domain.delivery import CommitmentReport
from node.domain.dimse_status import PROCESSING_FAILURE, SUCCESS
from node.domain.identifiers import clean_ae_title
from node.log import Log
from node.ports import Audit, Clock, InstanceStore, Store
from node.receive.admission import AdmissionControl, Rejection
from node.receive.associations import AssociationRegister
from node.receive.ledger import Ledger
from node.receive.server import Server
from node.receive.socket_reader import SocketReader
from node.receive.storage_scp import StorageScp
from node.tally import Tally

__all__ = ["Listener"]

_NO_REQUEST = Rejection(1, 1, 1, "it did not begin with an association request")
_UNSEEN_LIMIT = 2**31
"""pynetdicom would count connections without an association too; `AdmissionControl` counts associations."""


class Listener:
    """Accepts associations and stores what they bring.

    Parameters
    ----------
    settings : ListenerSettings
        Address, titles, limits.
    sources : iterable of Source
        Who may send.
    store, instance_store, ledger : Store, InstanceStore, Ledger
        Where rows and bytes go.
    clock : Clock
        For quarantine entries.
    audit : Audit
        Is told what came, and which peers were refused.
    report : callable
        Gets what archives report of storage commitment.
    tally : Tally
        Counts the answers and the refused peers.
    log : Log
        Gets one line for each association and each object that was not kept.

    Raises
    ------
    ConfigurationError
        If the files for TLS are missing or are not what they should be.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        sources: Iterable[Source],
        *,
        store: Store,
        instance_store: InstanceStore,
        ledger: Ledger,
        clock: Clock,
        audit: Audit,
        report: Callable[[CommitmentReport], None],
        tally: Tally,
        log: Log,
    ) -> None:
        self._settings = settings
        self._sources = tuple(sources)
        self._ledger = ledger
        self._clock = clock
        self._audit = audit
        self._receipts = AssociationAudit(
            audit.record, Party(settings.ae_title, "", is_requestor=False), clock
        )
        self._report = report
        self._tally = tally
        self._log = log
        self._admission = AdmissionControl(settings, self._sources)
        self._tls = server_context(settings.tls)
        self._server: Server | None = None
        self._reader = SocketReader(log)
        self._thread: threading.Thread | None = None
        self._ae = self._make_ae()
        self.associations = AssociationRegister(store, clock)
        self._storage = StorageScp(
            settings,
            admission=self._admission,
            associations=self.associations,
            receipts=self._receipts,
            store=store,
            instance_store=instance_store,
            ledger=ledger,
            clock=clock,
            tally=tally,
            log=log,
        )

    def _make_ae(self) -> AE:
        ae = AE(self._settings.ae_title)
        ae.maximum_pdu_size = self._settings.max_pdu_bytes
        ae.maximum_associations = _UNSEEN_LIMIT
        ae.require_called_aet = True
        ae.acse_timeout = self._settings.greeting_timeout_s
        ae.dimse_timeout = ae.network_timeout = self._settings.idle_timeout_s
        return ae

    @property
    def port(self) -> int:
        """The port it listens on; chosen by the system where the configuration says 0."""
        if self._server is None:
            raise RuntimeError("the listener has not been started")
        return int(self._server.server_address[1])

    @property
    def listening(self) -> bool:
        """Whether it accepts connections, and all its threads run."""
        accepts = self._thread is not None and self._thread.is_alive()
        return accepts and self._reader.is_running and self._ledger.is_running

    @property
    def open_associations(self) -> int:
        """How many associations are open."""
        return self._admission.open_associations

    def start(self) -> None:
        """Listen; on return the port is open.

        Raises
        ------
        OSError
            If the address is taken or is not this machine's.
        """
        self._server = self._ae.make_server(
            (self._settings.host, self._settings.port),
            ae_title=self._settings.ae_title,
            contexts=storage_contexts(),
            evt_handlers=[
                (evt.EVT_REQUESTED, self._admit),
                (evt.EVT_C_ECHO, lambda _event: SUCCESS),
                (evt.EVT_RELEASED, lambda event: self._end(event.assoc, orderly=True)),
                (evt.EVT_N_EVENT_REPORT, self._take_report),
                (evt.EVT_ABORTED, self._note_abort),
                (evt.EVT_CONN_CLOSE, lambda event: self._receipts.end(event.assoc, orderly=False)),
            ],
            server_class=Server,
            settings=self._settings,
            networks=[source.network for source in self._sources],
            tls=self._tls,
            receiver=self._storage,
            reader=self._reader,
            on_intruder=self._report_intruder,
            log=self._log,
        )
        stop_with(self._ae, self._server)
        self._reader.start()
        self._thread = threading.Thread(target=self._server.serve_forever, name="listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more associations, and abort those that are open: their senders will try again."""
        if self._server is None or self._thread is None:
            return
        self._ae.shutdown()
        self._thread.join()
        self._reader.stop()

    def _admit(self, event: evt.Event) -> None:
        """Reject a requested association that is not admitted."""
        # Until it is admitted: pynetdicom would accept it if this handler failed.
        shut_out(event.assoc)
        rejection = self._judge(event)
        if rejection is None:
            return
        self._log.warning("stranger_rejected", reason=rejection.reason, **_peer_of(event))
        if rejection is not _NO_REQUEST:
            self._report_intruder(event.assoc.requestor.address, rejection.reason)
            reject(event.assoc, rejection.result, rejection.source, rejection.diagnostic)
        event.assoc.kill()

    def _judge(self, event: evt.Event) -> Rejection | None:
        request = event.assoc.requestor.primitive
        if not isinstance(request, A_ASSOCIATE):
            return _NO_REQUEST
        host = event.assoc.requestor.address
        calling = request.calling_ae_title.strip()
        rejection = self._admission.admit(event.assoc, request.called_ae_title.strip(), calling, host)
        if rejection is None:
            self._log.info("association_requested", **_peer_of(event))
        return rejection

    def _note_abort(self, event: evt.Event) -> None:
        self._log.warning("association_aborted", **_peer_of(event))
        self._end(event.assoc, orderly=False)

    def _end(self, association: threading.Thread, *, orderly: bool) -> None:
        self.associations.end(association, orderly=orderly)
        self._receipts.end(association, orderly=orderly)

    def _report_intruder(self, host: str, reason: str) -> None:
        self._tally.note_stranger()
        self._audit.record(intruder(self._settings.ae_title, host, reason, self._clock.now()))

    def _take_report(self, event: evt.Event) -> tuple[int, None]:
        """Answer an N-EVENT-REPORT; only those of storage commitment have an accepted context."""
        try:
            self._report(report_of(event.event_information))
        except Exception as error:  # noqa: BLE001 - it is asked for again, whatever broke
            self._log.error("commitment_not_noted", error=type(error).__name__, **_peer_of(event))
            return PROCESSING_FAILURE, None
        return SUCCESS, None


def _peer_of(event: evt.Event) -> dict[str, str]:
    """Return title and address of the peer, as far as a log may hold them."""
    title = getattr(event.assoc.requestor.primitive, "calling_ae_title", "")
    return {"ae_title": clean_ae_title(title), "host": event.assoc.requestor.address}
