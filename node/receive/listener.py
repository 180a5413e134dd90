"""The listener: accepts associations, stores received objects and answers each once it is durable.

The way of an image:

1. `Server` accepts the connection, and `Listener` the association, if `AdmissionControl` does.
2. `Connection` reads it, and `DataTransfer` turns its bytes into events; fragments go to a `ReceivedObject`.
3. `StorageScp.store` gets the complete object: it is checked, and goes to the `Ledger` or is refused.
4. `Ledger` makes it durable, together with others.
5. `StorageScp` turns the outcome into a status, and `Connection.answer` sends it.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from pynetdicom import AE, evt
from pynetdicom.pdu_primitives import A_ASSOCIATE

from node.audit import AssociationAudit
from node.config import NodeSettings, Source
from node.dicom.commitment import report_of
from node.dicom.contexts import contexts_answering, storage_contexts
from node.dicom.pynetdicom_internals import block_accept, reject
from node.dicom.tls import server_context
from node.domain.audit import Party, rejected_peer
from node.domain.delivery import CommitmentReport
from node.domain.dimse_status import PROCESSING_FAILURE, SUCCESS
from node.domain.identifiers import clean_ae_title
from node.domain.rules import Rule
from node.log import Log
from node.ports import Audit, Clock, Reception, StagingArea
from node.receive.admission import AdmissionControl, Rejection
from node.receive.associations import AssociationRegister
from node.receive.discards import Discards
from node.receive.intake import ArchiveIntake
from node.receive.ledger import Ledger
from node.receive.selection import RulesInForce
from node.receive.server import Server
from node.receive.side_work import SideWork
from node.receive.socket_reader import SocketReader
from node.receive.storage_scp import StorageScp
from node.receive.traffic import AssociationTraffic
from node.tally import Tally

__all__ = ["Listener"]

_NO_REQUEST = Rejection(1, 1, 1, "it did not begin with an association request")
_CUT_OFF = "cut off"
_UNSEEN_LIMIT = 2**31
"""Disables pynetdicom's own limit, which also counts connections without an association; `AdmissionControl`
counts associations."""


class Listener:
    """Accepts associations and stores the objects that they send.

    Parameters
    ----------
    settings : NodeSettings
        Address, titles, limits.
    sources : iterable of Source
        The peers that may send.
    rules : sequence of Rule
        What of that is taken.
    store, instance_store, ledger : Reception, StagingArea, Ledger
        Where rows and bytes go.
    clock : Clock
        For quarantine entries.
    audit : Audit
        Records what was received, and which peers were rejected.
    report : callable
        Called with each storage commitment report.
    tally : Tally
        Counts the responses and the rejected peers.
    log : Log
        Logs one line per association and per object that was not stored.

    Attributes
    ----------
    associations : AssociationRegister
        Knows which studies are being received.
    intake : ArchiveIntake
        Takes what this node asked archives for.

    Raises
    ------
    ConfigurationError
        If the files for TLS are missing or invalid.
    """

    def __init__(
        self,
        settings: NodeSettings,
        sources: Iterable[Source],
        *,
        rules: Sequence[Rule] = (),
        store: Reception,
        instance_store: StagingArea,
        ledger: Ledger,
        clock: Clock,
        audit: Audit,
        report: Callable[[CommitmentReport], None],
        tally: Tally,
        log: Log,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._audit = audit
        self._receipts = AssociationAudit(
            audit.record, Party(settings.ae_title, "", is_requestor=False), clock
        )
        self._report = report
        self._tally = tally
        self._log = log
        self._admission = AdmissionControl(settings, sources)
        self._side_work = SideWork(log, self._admission.is_shared)
        self._tls = server_context(settings.tls)
        self._server: Server | None = None
        self._reader = SocketReader(log)
        self._thread: threading.Thread | None = None
        self._ae = self._make_ae()
        self.associations = AssociationRegister(store, clock)
        self._traffic = AssociationTraffic(clock, log)
        self.discards = Discards(store, clock, log)
        self._storage = StorageScp(
            settings,
            admission=self._admission,
            associations=self.associations,
            rules=RulesInForce(rules),
            discards=self.discards,
            traffic=self._traffic,
            receipts=self._receipts,
            store=store,
            instance_store=instance_store,
            ledger=ledger,
            side_work=self._side_work,
            clock=clock,
            tally=tally,
            log=log,
        )

        self.intake = ArchiveIntake(
            self._storage,
            associations=self.associations,
            traffic=self._traffic,
            receipts=self._receipts,
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
        """The port it listens on; chosen by the system if the configuration says 0."""
        if self._server is None:
            raise RuntimeError("the listener has not been started")
        return int(self._server.server_address[1])

    @property
    def listening(self) -> bool:
        """Whether it accepts connections, and all its threads run."""
        accepts = self._thread is not None and self._thread.is_alive()
        threads = (self._reader, self._side_work, self._ledger)
        return accepts and all(one.is_running for one in threads)

    @property
    def open_associations(self) -> int:
        """How many associations are open."""
        return self._admission.open_associations

    def replace_sources(self, sources: Iterable[Source]) -> None:
        """Let other peers send from now on; see `AdmissionControl.replace_sources`."""
        self._admission.replace_sources(sources)

    def replace_rules(self, rules: Sequence[Rule]) -> None:
        """Judge what comes over further associations by other rules; those that are open keep theirs."""
        self._storage.rules = RulesInForce(rules)

    def start(self) -> None:
        """Listen; on return the port is open.

        Raises
        ------
        OSError
            If the address is in use or does not belong to this machine.
        """
        self._server = self._ae.make_server(
            (self._settings.host, self._settings.port),
            ae_title=self._settings.ae_title,
            contexts=storage_contexts(),
            evt_handlers=[
                (evt.EVT_REQUESTED, self._admit),
                (evt.EVT_C_ECHO, self._answer_echo),
                (evt.EVT_RELEASED, self._note_release),
                (evt.EVT_N_EVENT_REPORT, self._take_report),
                (evt.EVT_ABORTED, self._note_abort),
                (evt.EVT_CONN_CLOSE, self._note_close),
            ],
            server_class=Server,
            settings=self._settings,
            is_known=self._admission.knows_address,
            tls=self._tls,
            receiver=self._storage,
            reader=self._reader,
            on_rejected=self._report_rejected,
            log=self._log,
        )
        self._reader.start()
        self._side_work.start()
        self._thread = threading.Thread(target=self._server.serve_forever, name="listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Accept no more associations, and abort those that are open; their senders will try again."""
        if self._server is None or self._thread is None:
            return
        left = self._server.stop(self._settings.stop_s / 2)
        if left:
            self._log.warning("associations_left", count=left)
        self._thread.join()
        self._reader.stop()
        self._side_work.stop()

    def _admit(self, event: evt.Event) -> None:
        """Reject a requested association that is not admitted."""
        # Blocked until it is admitted: pynetdicom would accept it if this handler failed.
        block_accept(event.assoc)
        rejection = self._judge(event)
        if rejection is None:
            self._pause(event)
            return
        self._log.warning("stranger_rejected", reason=rejection.reason, **_peer_of(event))
        if rejection is not _NO_REQUEST:
            self._report_rejected(event.assoc.requestor.address, rejection.reason)
            reject(event.assoc, rejection.result, rejection.source, rejection.diagnostic)
        event.assoc.kill()

    def _answer_echo(self, event: evt.Event) -> int:
        self._pause(event)
        return SUCCESS

    def _pause(self, event: evt.Event) -> None:
        """Let an association wait in its own thread if its source asks too often."""
        if pause_s := self._admission.pause_s(event.assoc):
            time.sleep(pause_s)

    def _judge(self, event: evt.Event) -> Rejection | None:
        request = event.assoc.requestor.primitive
        if not isinstance(request, A_ASSOCIATE):
            return _NO_REQUEST
        host = event.assoc.requestor.address
        calling = request.calling_ae_title.strip()
        rejection = self._admission.admit(event.assoc, request.called_ae_title.strip(), calling, host)
        if rejection is None:
            proposed = [str(one.abstract_syntax) for one in request.presentation_context_definition_list]
            event.assoc.acceptor.supported_contexts = contexts_answering(proposed)
            self._log.info("association_requested", **_peer_of(event))
            self._traffic.begin(event.assoc, Party(clean_ae_title(calling), host, is_requestor=True))
        return rejection

    def _note_release(self, event: evt.Event) -> None:
        self._traffic.end(event.assoc, "released")
        self._end(event.assoc, orderly=True)

    def _note_abort(self, event: evt.Event) -> None:
        self._log.warning("association_aborted", **_peer_of(event))
        self._traffic.end(event.assoc, _CUT_OFF)
        self._end(event.assoc, orderly=False)

    def _note_close(self, event: evt.Event) -> None:
        self._traffic.end(event.assoc, _CUT_OFF)  # a release was noted before
        self._receipts.end(event.assoc, orderly=False)

    def _end(self, association: threading.Thread, *, orderly: bool) -> None:
        self.associations.end(association, orderly=orderly)
        self._receipts.end(association, orderly=orderly)

    def _report_rejected(self, host: str, reason: str) -> None:
        self._tally.note_rejected_peer()
        self._audit.record(rejected_peer(self._settings.ae_title, host, reason, self._clock.now()))

    def _take_report(self, event: evt.Event) -> tuple[int, None]:
        """Answer an N-EVENT-REPORT; only those of storage commitment have an accepted context."""
        try:
            self._report(report_of(event.event_information))
        except Exception as error:  # noqa: BLE001 - whatever failed, commitment is requested again
            self._log.error("commitment_not_noted", error=type(error).__name__, **_peer_of(event))
            return PROCESSING_FAILURE, None
        return SUCCESS, None


def _peer_of(event: evt.Event) -> dict[str, str]:
    """Return the title and address of the peer, cleaned for the log."""
    title = getattr(event.assoc.requestor.primitive, "calling_ae_title", "")
    return {"ae_title": clean_ae_title(title), "host": event.assoc.requestor.address}
