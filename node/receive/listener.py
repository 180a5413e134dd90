"""The listener: bytes from the network to disk and ledger, and an honest answer. No science, no decoding."""

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import NoReturn

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE

from node.audit import AssociationAudit
from node.config import ListenerSettings, Source
from node.dicom.commitment import report_of
from node.dicom.dimse import storage_contexts
from node.dicom.tls import server_context
from node.domain.audit import Party, intruder
from node.domain.delivery import CommitmentReport
from node.domain.header import HEADER_BYTES, InstanceIdentity, UnreadableHeaderError, read_identity
from node.domain.identifiers import clean_ae_title, is_uid
from node.domain.records import CONFLICT, Arrival, ArrivalOutcome, Instance, QuarantineEntry
from node.errors import InstanceRejectedError, StorageFullError
from node.log import Log
from node.ports import Audit, Clock, InstanceStore, Store
from node.receive.gate import Gate, Rejection
from node.receive.incoming import Incoming
from node.receive.ledger import Ledger
from node.receive.pdata import StoreRequest
from node.receive.reader import Reader
from node.receive.server import Server
from node.receive.traffic import OpenTransfers
from node.tally import Tally

__all__ = ["Listener"]

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
PROCESSING_FAILURE = 0x0110
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
CONFLICTING = 0xC111
"""In the range "cannot understand", so that the sender's operator hears of it and nobody resends for ever."""

_NO_REQUEST = Rejection(1, 1, 1, "it did not begin with an association request")
_UNSEEN_LIMIT = 2**31
"""pynetdicom would count connections that have not said who they are; `Gate` counts those it let in."""


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
        Is told what came, and who was turned away.
    report : callable
        Gets what archives report of storage commitment.
    tally : Tally
        Counts the answers, and who was turned away.
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
        self._store = store
        self._instance_store = instance_store
        self._ledger = ledger
        self._clock = clock
        self._audit = audit
        self._receipts = AssociationAudit(
            audit.record, Party(settings.ae_title, "", is_requestor=False), clock
        )
        self._report = report
        self._tally = tally
        self._log = log
        self._gate = Gate(settings, self._sources)
        self._tls = server_context(settings.tls)
        self._server: Server | None = None
        self._reader = Reader(log)
        self._thread: threading.Thread | None = None
        self._ae = self._make_ae()
        self.traffic = OpenTransfers(store, clock)

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
        """The port it listens on; the system's choice where the configuration says 0."""
        if self._server is None:
            raise RuntimeError("the listener has not been started")
        return int(self._server.server_address[1])

    @property
    def listening(self) -> bool:
        """Whether it takes connections."""
        accepts = self._thread is not None and self._thread.is_alive()
        return accepts and self._reader.is_running and self._ledger.is_running

    @property
    def open_associations(self) -> int:
        """How many senders are in."""
        return self._gate.open_associations

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
                (evt.EVT_CONN_CLOSE, self._abandon),
            ],
            server_class=Server,
        )
        self._server.reader = self._reader
        self._server.settings, self._server.log, self._server.tls = self._settings, self._log, self._tls
        self._server.stage, self._server.serve = self._instance_store.stage, self._store_one
        self._server.on_intruder = self._report_intruder
        self._server.networks = tuple(source.network for source in self._sources)
        self._ae._servers.append(self._server)  # noqa: SLF001 - as start_server does; shutdown looks for it there
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
        """Reject whom the gate does not let in; nobody is in before it has said so."""
        # Until the gate says otherwise: pynetdicom would go on with the association if this handler broke.
        event.assoc.is_rejected = True
        rejection = self._judge(event)
        if rejection is None:
            return
        self._log.warning("stranger_rejected", reason=rejection.reason, **_who(event))
        if rejection is not _NO_REQUEST:
            self._report_intruder(event.assoc.requestor.address, rejection.reason)
            event.assoc.acse.send_reject(rejection.result, rejection.source, rejection.diagnostic)
        event.assoc.kill()

    def _judge(self, event: evt.Event) -> Rejection | None:
        request = event.assoc.requestor.primitive
        if not isinstance(request, A_ASSOCIATE):
            return _NO_REQUEST
        host = event.assoc.requestor.address
        calling = request.calling_ae_title.strip()
        rejection = self._gate.admit(event.assoc, request.called_ae_title.strip(), calling, host)
        if rejection is None:
            self._log.info("association_requested", **_who(event))
        return rejection

    def _note_abort(self, event: evt.Event) -> None:
        self._log.warning("association_aborted", **_who(event))
        self._end(event.assoc, orderly=False)

    def _abandon(self, event: evt.Event) -> None:
        """Drop what an association had sent the half of when it ended, and audit what it brought whole."""
        event.assoc.inflow.abandon()
        self._receipts.end(event.assoc, orderly=False)

    def _end(self, association: threading.Thread, *, orderly: bool) -> None:
        self.traffic.end(association, orderly=orderly)
        self._receipts.end(association, orderly=orderly)

    def _report_intruder(self, host: str, reason: str) -> None:
        self._tally.note_stranger()
        self._audit.record(intruder(self._settings.ae_title, host, reason, self._clock.now()))

    def _store_one(self, association: Association, incoming: Incoming, answer: Callable[[int], None]) -> None:
        """Take one object that came whole, and answer once it is durable, or cannot be."""
        sender = Party(
            clean_ae_title(association.requestor.ae_title), association.requestor.address, is_requestor=True
        )

        def settle(outcome: ArrivalOutcome | Exception) -> None:
            status = self._status_of(outcome, sender)
            self._tally.note_answer(status)
            answer(status)

        try:
            self._keep(association, incoming, sender, settle)
        except Exception as error:  # noqa: BLE001 - whatever broke, nothing was promised, and the sender may retry
            settle(error)

    def _status_of(self, outcome: ArrivalOutcome | Exception, sender: Party) -> int:
        """Return the status that the sender of an object is to get."""
        if outcome is ArrivalOutcome.CONFLICT:
            outcome = InstanceRejectedError(CONFLICTING, CONFLICT)
        if isinstance(outcome, InstanceRejectedError):
            who = {"ae_title": sender.ae_title, "host": sender.host}
            self._log.warning("instance_rejected", reason=outcome.reason, **who)
            return outcome.status
        if isinstance(outcome, StorageFullError):
            self._log.error("storage_full", reason=str(outcome), ae_title=sender.ae_title)
            return OUT_OF_RESOURCES
        if isinstance(outcome, Exception):
            self._log.error("instance_not_stored", error=type(outcome).__name__, ae_title=sender.ae_title)
            return OUT_OF_RESOURCES
        return SUCCESS

    def _keep(
        self,
        association: Association,
        incoming: Incoming,
        sender: Party,
        settle: Callable[[ArrivalOutcome | Exception], None],
    ) -> None:
        incoming.check()
        if spent := self._gate.charge(association, incoming.size):
            incoming.close()
            raise InstanceRejectedError(OUT_OF_RESOURCES, spent)
        try:
            identity = _identify(incoming)
            _hold_against(identity, incoming.request)
        except InstanceRejectedError as error:
            self._ledger.hand_in(partial(self._put_aside, incoming, error, sender), settle)
            return
        staged = incoming.finish()
        instance = Instance.of(identity, incoming.transfer_syntax_uid, size=staged.size, sha256=staged.sha256)
        name = self.traffic.note(association, instance.study_uid, instance.series_uid)
        arrival = Arrival(instance, sender.ae_title, sender.host, name)

        def note(outcome: ArrivalOutcome | Exception) -> None:
            try:
                if outcome is ArrivalOutcome.STORED or outcome is ArrivalOutcome.DUPLICATE:
                    self._receipts.note(association, sender, identity)
                self.traffic.landed(association)
            finally:
                settle(outcome)

        self._ledger.hand_in(lambda: (staged, arrival), note)

    def _take_report(self, event: evt.Event) -> tuple[int, None]:
        """Answer an N-EVENT-REPORT; the only ones there are report on storage commitment."""
        try:
            self._report(report_of(event.event_information))
        except Exception as error:  # noqa: BLE001 - it is asked for again, whatever broke
            self._log.error("commitment_not_noted", error=type(error).__name__, **_who(event))
            return PROCESSING_FAILURE, None
        return SUCCESS, None

    def _put_aside(self, incoming: Incoming, error: InstanceRejectedError, sender: Party) -> NoReturn:
        """Put an object in quarantine, and raise what its sender is to be told."""
        name = self._instance_store.quarantine(incoming.finish())
        requested = incoming.request.sop_instance_uid
        sop_uid = requested if is_uid(requested) else ""
        self._store.record_quarantine(
            QuarantineEntry(name, sop_uid, error.reason, sender.ae_title, sender.host, self._clock.now())
        )
        raise error


def _who(event: evt.Event) -> dict[str, str]:
    """Tell who is at the other end, as far as a log may hold it."""
    title = getattr(event.assoc.requestor.primitive, "calling_ae_title", "")
    return {"ae_title": clean_ae_title(title), "host": event.assoc.requestor.address}


def _identify(incoming: Incoming) -> InstanceIdentity:
    """Read who an object says it is, from its first fragment, or from more of it where that does not do."""
    try:
        return incoming.identity or read_identity(incoming.head(HEADER_BYTES), incoming.transfer_syntax_uid)
    except UnreadableHeaderError as error:
        raise InstanceRejectedError(CANNOT_UNDERSTAND, str(error)) from error


def _hold_against(identity: InstanceIdentity, request: StoreRequest) -> None:
    """Refuse an object that is not the one its request names."""
    said = (request.sop_class_uid, request.sop_instance_uid)
    if said != (identity.sop_class_uid, identity.sop_instance_uid):
        raise InstanceRejectedError(DOES_NOT_MATCH, "the request names another object than the dataset")
