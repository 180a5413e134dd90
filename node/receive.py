"""The listener: bytes from the network to disk and ledger, and an honest answer. No science, no decoding."""

import socket
import threading
from collections import defaultdict
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any
from weakref import WeakSet

from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dsutils import create_file_meta
from pynetdicom.transport import ThreadedAssociationServer

from node.config import ListenerSettings, Source
from node.dimse import IMAGE_CLASSES, send_at_once, storage_contexts
from node.domain.header import Identity, UnreadableHeaderError, read_identity
from node.domain.identifiers import clean_ae_title, is_uid
from node.domain.records import Arrival, Instance, Intake, QuarantineEntry, Staged
from node.errors import InstanceRejectedError, StorageFullError
from node.instance_store import digest
from node.ledger import CONFLICT, Ledger
from node.observe import Log
from node.ports import Clock, InstanceStore, Store

__all__ = ["Listener"]

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
CONFLICTING = 0xC111
"""In the range "cannot understand", so that the sender's operator hears of it and nobody resends for ever."""

_REJECTED_PERMANENTLY, _BY_USER, _CALLING_AE_UNKNOWN = 1, 1, 3


class _OpenStudies:
    """Which associations have brought instances of which study; the `Traffic` port."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._senders: dict[str, WeakSet[Association]] = defaultdict(WeakSet)

    def note(self, study_uid: str, association: Association) -> None:
        """Remember who is sending."""
        with self._lock:
            self._senders[study_uid].add(association)

    def is_open(self, study_uid: str) -> bool:
        """Tell whether one of its senders is still connected."""
        with self._lock:
            if any(sender.is_established for sender in self._senders.get(study_uid, ())):
                return True
            self._senders.pop(study_uid, None)
            return False


class _Server(ThreadedAssociationServer):  # type: ignore[misc]  # pynetdicom has no types
    """pynetdicom's server, for the networks we know and without Nagle's delay."""

    networks: tuple[Any, ...] = ()

    def verify_request(self, request: socket.socket, client_address: tuple[Any, ...]) -> bool:
        """Turn a stranger's connection away before anything of it is read."""
        address = ip_address(client_address[0])
        known = any(address in network for network in self.networks)
        if known:
            send_at_once(request)
        return known


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
    log : Log
        Gets one line for each association and each object that was not kept.
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
        log: Log,
    ) -> None:
        self._settings = settings
        self._sources = tuple(sources)
        self._store = store
        self._instance_store = instance_store
        self._ledger = ledger
        self._clock = clock
        self._log = log
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._ae = self._make_ae()
        self.traffic = _OpenStudies()

    def _make_ae(self) -> AE:
        ae = AE(self._settings.ae_title)
        ae.maximum_pdu_size = self._settings.max_pdu_bytes
        ae.maximum_associations = self._settings.max_associations
        ae.require_called_aet = True
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = self._settings.idle_timeout_s
        return ae

    @property
    def port(self) -> int:
        """The port it listens on; the system's choice where the configuration says 0."""
        if self._server is None:
            raise RuntimeError("the listener has not been started")
        return int(self._server.server_address[1])

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
                (evt.EVT_C_STORE, self._store_one),
                (evt.EVT_C_ECHO, lambda _event: SUCCESS),
            ],
            server_class=_Server,
        )
        self._server.networks = tuple(source.network for source in self._sources)
        self._ae._servers.append(self._server)  # noqa: SLF001 - as start_server does; shutdown looks for it there
        self._thread = threading.Thread(target=self._server.serve_forever, name="listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more associations, and abort those that are open: their senders will try again."""
        if self._server is None or self._thread is None:
            return
        self._ae.shutdown()
        self._thread.join()

    def _admit(self, event: evt.Event) -> None:
        """Reject a calling AE title that no source has at that address."""
        title = event.assoc.requestor.primitive.calling_ae_title.strip()
        host = event.assoc.requestor.address
        if any(
            source.ae_title in {"*", title} and ip_address(host) in source.network for source in self._sources
        ):
            self._log.info("association_requested", ae_title=clean_ae_title(title), host=host)
            return
        self._log.warning("stranger_rejected", ae_title=clean_ae_title(title), host=host)
        event.assoc.acse.send_reject(_REJECTED_PERMANENTLY, _BY_USER, _CALLING_AE_UNKNOWN)
        event.assoc.is_rejected = True
        event.assoc.kill()

    def _store_one(self, event: evt.Event) -> int:
        """Answer one C-STORE request."""
        host = event.assoc.requestor.address
        calling_ae = clean_ae_title(event.assoc.requestor.ae_title)
        try:
            self._keep(event, calling_ae, host)
        except InstanceRejectedError as error:
            self._log.warning("instance_rejected", reason=error.reason, ae_title=calling_ae, host=host)
            return error.status
        except StorageFullError as error:
            self._log.error("storage_full", reason=str(error), ae_title=calling_ae)
            return OUT_OF_RESOURCES
        except Exception as error:  # noqa: BLE001 - whatever broke, nothing was promised, and the sender may retry
            self._log.error("instance_not_stored", error=type(error).__name__, ae_title=calling_ae)
            return OUT_OF_RESOURCES
        return SUCCESS

    def _keep(self, event: evt.Event, calling_ae: str, host: str) -> None:
        dataset = event.request.DataSet.getbuffer()
        transfer_syntax = str(event.context.transfer_syntax)
        limit = self._settings.max_instance_mb * 1024 * 1024
        if len(dataset) > limit:
            raise InstanceRejectedError(OUT_OF_RESOURCES, "larger than [node] max_instance_mb")
        requested = str(event.request.AffectedSOPInstanceUID)
        header = _file_header(str(event.request.AffectedSOPClassUID), requested, transfer_syntax)
        staged = self._instance_store.stage([header, dataset])
        try:
            identity = _identify(dataset, transfer_syntax, event)
        except InstanceRejectedError as error:
            self._put_aside(staged, requested, error.reason, calling_ae, host)
            raise
        instance = Instance(
            sop_uid=identity.sop_instance_uid,
            series_uid=identity.series_uid,
            study_uid=identity.study_uid,
            sop_class_uid=identity.sop_class_uid,
            transfer_syntax_uid=transfer_syntax,
            sha256=digest([dataset]),
            size=len(dataset),
            patient_key=identity.patient_key,
        )
        self.traffic.note(instance.study_uid, event.assoc)
        matters = instance.sop_class_uid in IMAGE_CLASSES
        if self._ledger.enter(staged, Arrival(instance, calling_ae, host, matters)) is Intake.CONFLICT:
            raise InstanceRejectedError(CONFLICTING, CONFLICT)

    def _put_aside(self, staged: Staged, requested: str, reason: str, calling_ae: str, host: str) -> None:
        name = self._instance_store.quarantine(staged)
        sop_uid = requested if is_uid(requested) else ""
        self._store.record_quarantine(
            QuarantineEntry(name, sop_uid, reason, calling_ae, host, self._clock.now())
        )


def _identify(dataset: memoryview, transfer_syntax: str, event: evt.Event) -> Identity:
    """Read who the object says it is, and hold it against what the request said."""
    try:
        identity = read_identity(dataset, transfer_syntax)
    except UnreadableHeaderError as error:
        raise InstanceRejectedError(CANNOT_UNDERSTAND, str(error)) from error
    said = (str(event.request.AffectedSOPClassUID), str(event.request.AffectedSOPInstanceUID))
    if said != (identity.sop_class_uid, identity.sop_instance_uid):
        raise InstanceRejectedError(DOES_NOT_MATCH, "the request names another object than the dataset")
    return identity


def _file_header(sop_class_uid: str, sop_instance_uid: str, transfer_syntax: str) -> bytes:
    """Preamble and file meta information of a Part 10 file.

    References
    ----------
    DICOM PS3.10 7.1, DICOM File Meta Information.
    """
    meta = create_file_meta(
        sop_class_uid=UID(sop_class_uid),
        sop_instance_uid=UID(sop_instance_uid),
        transfer_syntax=UID(transfer_syntax),
    )
    buffer = DicomBytesIO()
    buffer.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(buffer, meta)
    return buffer.getvalue()
