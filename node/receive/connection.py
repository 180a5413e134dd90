"""The connection of an association, read by pynetdicom at its beginning and end and here in between.

What to do with a PDU depends on the state of the association, which belongs to pynetdicom's thread of the
upper layer. In the state for data transfer (PS3.8 table 9-10, Sta6) a P-DATA-TF PDU does not change that
state, so these PDUs are read here. At the first other PDU the connection is handed back to pynetdicom,
together with the header of that PDU.

Four threads use a `Connection`; all but the last take its lock before they use the socket or the state:

- the upper layer's thread of the association asks `ready`, sends and receives all other PDUs, and closes;
- the reader's single thread calls `read_available`, which creates, fills and hands in received objects;
- the ledger's single thread calls `answer`, once an object is durable or known not to be;
- the association's other thread reads the attribute `is_answering` before it treats the peer as idle.

While pynetdicom reads (`Reading.PYNETDICOM`) only the upper layer's thread reads from the socket, so `recv`
waits there without the lock.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Protocol

from pynetdicom.association import Association

from node.config import NodeSettings
from node.dicom.contexts import is_storage
from node.dicom.pynetdicom_internals import AcceptorSocket, UpperLayer
from node.domain.identifiers import plain_ae_title
from node.log import Log, raised_at
from node.receive.data_transfer import (
    DatasetFragment,
    DataTransfer,
    Event,
    LimitExceeded,
    Malformed,
    OtherFragment,
    StoreRequested,
)
from node.receive.limits import ConnectionLimits, LimitExceededError
from node.receive.pdata import PDU_HEADER, StoreRequest, store_response
from node.receive.received_object import ReceivedObject
from node.receive.selection import Selection
from node.receive.socket_reader import TURN_S, SocketReader
from node.receive.transfer_states import Reading, Step

__all__ = ["Connection", "ObjectReceiver"]

_READS_IN_A_ROW = 32
"""Reads of one connection in a row, before the other connections are read; see `TURN_S`, too."""
_ASSOCIATE_RQ = 0x01
_TITLES = (slice(4, 20), slice(20, 36))
"""Where the called and the calling AE title stand in a request, behind its header (PS3.8 9.3.2)."""
_BROKE_RULES = "it broke the rules of the protocol"


class ObjectReceiver(Protocol):
    """Takes the objects of all associations."""

    def source_of(self, association: Association) -> Hashable:
        """Return which source has opened an association."""
        ...

    def selection_of(self, association: Association) -> Selection:
        """Return what of an association is taken; called once, in the reader's thread."""
        ...

    def begin(self, request: StoreRequest, transfer_syntax_uid: str, selection: Selection) -> ReceivedObject:
        """Return the object that the dataset of a request is written to; called in the reader's thread."""
        ...

    def store(
        self,
        association: Association,
        source: Hashable,
        received: ReceivedObject,
        answer: Callable[[int], None],
    ) -> None:
        """Take a complete object of a source; called in the reader's thread.

        `answer` must be called with the status, now or later, in any thread. Until then nothing more is read
        of the association.
        """
        ...


class Connection(AcceptorSocket):
    """Joins the socket of an accepted association, the state of what its peer sends, and pynetdicom.

    Parameters
    ----------
    association : Association
        An acceptor that has not started.
    connection : socket
        As it was accepted.
    receiver : ObjectReceiver
        Takes the objects.
    reader : SocketReader
        Reads the connection while the peer may send messages.
    settings : NodeSettings
        Timeouts and size limits.
    log : Log
        Logs one line when the peer is cut off.
    """

    def __init__(
        self,
        association: Association,
        connection: socket.socket,
        receiver: ObjectReceiver,
        reader: SocketReader,
        *,
        settings: NodeSettings,
        log: Log,
    ) -> None:
        super().__init__(association, connection)
        self._receiver = receiver
        self._source: tuple[Hashable, str] | None = None
        self._selection: Selection | None = None
        self._reader = reader
        self._log = log
        self._upper_layer = upper_layer = UpperLayer(association, is_storage)
        self._limits = ConnectionLimits(settings, lambda: upper_layer.unserved_messages)
        # A peer that does not read its responses is cut off like one that sends nothing. While the reader's
        # thread reads, sending does not block: the responses are so short that they fit into any peer's
        # receive window.
        self._send_wait_s = settings.idle_timeout_s
        self._descriptor = connection.fileno()
        # A TLS socket may not be used by two threads at once. Re-entrant: a read may close the socket.
        self._lock = threading.RLock()
        self._transfer = DataTransfer(self._limits, upper_layer.storage_syntax)
        self._context = 0
        self._first_pdu = 0
        self._received: ReceivedObject | None = None

    # In the upper layer's thread

    @property
    def ready(self) -> bool:
        """Wait up to `_TICK_S` for data for pynetdicom; return whether there is any."""
        is_ready_for_data = self._upper_layer.is_ready_for_data
        if is_ready_for_data:
            self._take_over()
        else:
            self._hand_back()
        transfer = self._transfer
        if transfer.is_ours:
            self.wait()
            return False
        if transfer.is_within_pdu or (transfer.reading is Reading.ENDED and is_ready_for_data):
            return False  # the rest is not used; in a state that waits for the end, pynetdicom closes now
        return transfer.has_unread or super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        """Read this number of bytes, a PDU header or the rest of a PDU; fewer at the end of the connection.

        Raises
        ------
        OSError
            If a limit is exceeded; pynetdicom ends the association then.
        """
        read_ahead = self._transfer.take_unread(nr_bytes)
        requested = self._upper_layer.is_requested
        try:
            if nr_bytes != PDU_HEADER.size:
                self._limits.expect(nr_bytes, requested=requested)
            elif not read_ahead:
                self._limits.begin_pdu(requested=requested, within_message=self._transfer.is_within_message)
            content = bytearray(read_ahead) + self._read_all(nr_bytes - len(read_ahead))
            return content if requested else self._with_plain_titles(content)
        except LimitExceededError as error:
            self._tell(str(error))
            raise
        except TimeoutError:
            self._tell("it stopped in the middle of a PDU")
            raise

    def _with_plain_titles(self, content: bytearray) -> bytearray:
        """Return a PDU before the association is requested, with AE titles that pynetdicom can read.

        It would abort a request with other bytes in a title; we judge each by our own rules.
        """
        if len(content) == PDU_HEADER.size:
            self._first_pdu = content[0]
        elif self._first_pdu == _ASSOCIATE_RQ and len(content) >= _TITLES[-1].stop:
            for title in _TITLES:
                content[title] = plain_ae_title(bytes(content[title]))
        return content

    def send(self, bytestream: bytes) -> None:
        """Send a PDU."""
        with self._lock:
            super().send(bytestream)

    def shut_down(self) -> None:
        """Close the connection, and discard an incomplete object."""
        with self._lock:
            # Unregister first: the system may reuse a closed descriptor.
            self._hand_back()
            self._transfer.step(Step.ENDED)
            super().shut_down()
            self._discard_part()

    def _read_all(self, nr_bytes: int) -> bytearray:
        buffer = bytearray(nr_bytes)
        got = 0
        try:
            while got < nr_bytes:
                self.socket.settimeout(self._limits.time_left())
                count = self.socket.recv_into(memoryview(buffer)[got:])
                if count == 0:
                    break
                got += count
        finally:
            self.socket.settimeout(self._send_wait_s)
        return buffer[:got]

    def _take_over(self) -> None:
        with self._lock:
            transfer = self._transfer
            if transfer.reading is not Reading.PYNETDICOM or transfer.has_unread or self.socket is None:
                return
            self.socket.setblocking(False)
            self._send_wait_s = 0.0
            self._reader.watch(self._descriptor, self)
            transfer.step(Step.ESTABLISHED)
            self._look_for_read_ahead()

    def _hand_back(self) -> None:
        with self._lock:
            if self._transfer.is_ours:
                self._reader.forget(self._descriptor)
                self._transfer.step(Step.HANDED_BACK)

    # In the reader's thread

    @property
    def source(self) -> Hashable:
        """Whose time its reads take: the configured source, and the address."""
        if self._source is None:
            source = self._receiver.source_of(self.assoc)
            if source is None:  # not admitted yet
                return None, self.assoc.requestor.address
            self._source = source, self.assoc.requestor.address
        return self._source

    def read_available(self) -> None:
        """Read what has arrived, without waiting, as long as it is P-DATA-TF."""
        try:
            with self._lock:
                self._read_in_turn()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass  # all has been read
        except OSError:
            self._end(self._upper_layer.note_closed)
        except Exception as error:  # noqa: BLE001 - an error that a peer's bytes cause must end its association only
            self.cut_off(error)

    def _read_in_turn(self) -> None:
        end_s = time.perf_counter() + TURN_S
        for _ in range(_READS_IN_A_ROW):
            if self._transfer.reading is Reading.ANSWERING:
                # More data, or the end of the connection: handled after the response.
                self._reader.forget(self._descriptor)
                self._transfer.step(Step.MORE_DATA_BEFORE_ANSWER)
            if self._transfer.reading is not Reading.DATA_TRANSFER:
                return
            self._read_once()
            if self._transfer.is_answering:
                return
            if time.perf_counter() > end_s:
                break
        self._look_for_read_ahead()

    def _read_once(self) -> None:
        transfer = self._transfer
        count = 0
        if not transfer.has_read_ahead:
            count = self.socket.recv_into(transfer.next_buffer())
            if count == 0:
                raise ConnectionError("the peer closed the connection")
        events = transfer.received(count)
        for event in events:
            self._act_on(event)
        if events or not transfer.is_within_pdu:
            self._upper_layer.restart_idle_timer()

    def _act_on(self, event: Event) -> None:
        match event:
            case DatasetFragment(content, is_last):
                self._take_dataset(content, is_last=is_last)
            case StoreRequested(context, request, transfer_syntax_uid):
                if self._selection is None:
                    self._selection = self._receiver.selection_of(self.assoc)
                self._context = context
                self._received = self._receiver.begin(request, transfer_syntax_uid, self._selection)
            case OtherFragment(context, control, content):
                self._upper_layer.take_fragment(context, control, content)
            case Malformed():
                self._end(self._upper_layer.note_invalid_pdu)
            case LimitExceeded(error):
                self._tell(str(error))
                self._end(self._upper_layer.note_closed)
            case _:  # a PDU other than P-DATA-TF, which pynetdicom reads
                self._reader.forget(self._descriptor)
                self.wake()

    def _take_dataset(self, content: memoryview, *, is_last: bool) -> None:
        received, context = self._received, self._context
        assert received is not None  # noqa: S101 - for the type checker; `StoreRequested` came first
        received.write(content)
        if is_last:
            self._received = None
            self._receiver.store(
                self.assoc,
                self.source,
                received,
                lambda status: self.answer(store_response(context, received.request, status)),
            )

    def _look_for_read_ahead(self) -> None:
        """Schedule another read if bytes wait here or in TLS: epoll does not report those."""
        in_tls = isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()
        if in_tls or self._transfer.has_read_ahead:
            self._reader.read_soon(self)

    # In the ledger's thread, or in the reader's if an object is refused at once

    def answer(self, pdu: bytes) -> None:
        """Send the response that the peer waits for, and continue to read."""
        try:
            with self._lock:
                self._answer(pdu)
        except Exception as error:  # noqa: BLE001 - as in `read_available`
            self.cut_off(error)

    def _answer(self, pdu: bytes) -> None:
        was = self._transfer.reading
        if was is not Reading.ENDED:
            self._upper_layer.restart_idle_timer()  # the peer waited for this node
        self._transfer.step(Step.ANSWERED)
        if self._transfer.reading is not Reading.DATA_TRANSFER or not self._upper_layer.is_ready_for_data:
            return  # the association was aborted, or its connection lost
        self.send(pdu)
        if was is Reading.PAUSED:
            self._reader.watch(self._descriptor, self)
        self._look_for_read_ahead()

    # In any of these threads

    @property
    def is_answering(self) -> bool:
        """Whether the peer waits for our response to an object and so does not count as idle."""
        return self._transfer.is_answering

    def note_invalid_pdu(self) -> None:
        """Log that the peer violated the protocol."""
        self._tell(_BROKE_RULES)

    def cut_off(self, error: Exception) -> None:
        """End the association after an error.

        Only the type and place of the error are logged, because its message may quote a dataset.
        """
        self._tell(_BROKE_RULES, error=type(error).__name__, where=raised_at(error))
        self._upper_layer.end()
        with suppress(OSError):
            self.close()

    def _end(self, note: Callable[[], None]) -> None:
        """Stop reading, and notify pynetdicom of the end of this connection."""
        with self._lock:
            self._reader.forget(self._descriptor)
            self._transfer.step(Step.ENDED)
            self._discard_part()
        note()
        self.wake()

    def _discard_part(self) -> None:
        """Discard an incomplete object; the lock is held."""
        if self._received is not None:
            self._received.close()
            self._received = None

    def _tell(self, reason: str, **fault: str) -> None:
        self._log.warning("sender_cut_off", reason=reason, host=self.assoc.requestor.address, **fault)
