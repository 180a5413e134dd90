"""The connection of an association: read by pynetdicom at its beginning and end, by `Reader` in between."""

import socket
import ssl
import threading

from pynetdicom.association import Association

from node.config import ListenerSettings
from node.log import Log
from node.receive.incoming import Inflow
from node.receive.limits import Bounds, TooMuchError
from node.receive.pdata import P_DATA_TF, PDU_HEADER, MalformedMessageError
from node.receive.reactor import WakefulSocket
from node.receive.reader import Reader

__all__ = ["Line"]

_READY = "Sta6"
_CLOSED, _INVALID = "Evt17", "Evt19"
"""PS3.8 table 9-10: association established and ready for data transfer; transport connection closed;
unrecognised or invalid PDU received."""
_IN_A_ROW = 16
"""Headers and contents of one sender after which the others have their turn."""


class Line(WakefulSocket):
    """pynetdicom's socket for an acceptor, which is lent to a `Reader` while images may come.

    What to do with a PDU depends on the state of the association, which belongs to the thread of
    pynetdicom's upper layer. In the state for data transfer (PS3.8 table 9-10, Sta6) a P-DATA-TF PDU changes
    nothing of it, so these are read elsewhere; at the first other PDU the socket goes back, with its header.

    Parameters
    ----------
    association : Association
        An acceptor that has not started.
    connection : socket
        As it was accepted.
    inflow : Inflow
        Takes what P-DATA-TF PDUs hold.
    reader : Reader
        Reads them.
    settings : ListenerSettings
        Limits of what is waited for and believed.
    log : Log
        Gets a line when one is passed.
    """

    def __init__(
        self,
        association: Association,
        connection: socket.socket,
        inflow: Inflow,
        reader: Reader,
        *,
        settings: ListenerSettings,
        log: Log,
    ) -> None:
        super().__init__(association, client_socket=connection)
        self._inflow = inflow
        self._reader = reader
        # A peer that reads no answer is no better than one that sends nothing; and those that come after the
        # greeting are so short that nobody who reads them makes us wait at all.
        self._send_wait_s = settings.idle_timeout_s
        self._bounds = Bounds(settings)
        self._log = log
        # Guards all that follows, and the socket, which TLS does not let two threads use at once.
        self._lock = threading.RLock()
        self._descriptor = connection.fileno()
        self._is_lent = False
        self._is_over = False
        self._is_paused = False
        self._header = bytearray(PDU_HEADER.size)
        self._returned = b""
        self._buffer = bytearray()
        self._part = memoryview(self._header)
        self._got = 0

    # For the thread of pynetdicom's upper layer

    @property
    def ready(self) -> bool:
        """Whether there is something for pynetdicom to read, as soon as there is, or after a while."""
        if self._state == _READY:
            self._lend()
        else:
            self._take_back()
        if self._is_lent:
            self.wait()
            return False
        if self._is_in_a_pdu or (self._is_over and self._state == _READY):
            return False  # nothing that follows is of use; a state that waits for the end closes now
        return bool(self._returned) or super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes: the six of a header, or the rest of a PDU; fewer where the peer has gone.

        Raises
        ------
        OSError
            If a limit is passed; pynetdicom ends the association then.
        """
        if self._returned:
            header, self._returned = bytearray(self._returned), b""
            return header
        try:
            if nr_bytes == PDU_HEADER.size:
                self._begin_pdu()
            else:
                self._bounds.expect(nr_bytes, greeted=self._is_greeted)
            return self._read(nr_bytes)
        except (TimeoutError, TooMuchError) as error:
            self._tell(error)
            raise

    def send(self, bytestream: bytes) -> None:
        """Send a PDU."""
        with self._lock:
            super().send(bytestream)

    def _shutdown_socket(self) -> None:
        # By this name the table of states closes it, too; a descriptor that is closed may soon be another's.
        with self._lock:
            self._take_back()
            self._is_over = True
            super()._shutdown_socket()

    def _read(self, nr_bytes: int) -> bytearray:
        buffer = bytearray(nr_bytes)
        got = 0
        try:
            while got < nr_bytes:
                self.socket.settimeout(self._bounds.time_left())
                count = self.socket.recv_into(memoryview(buffer)[got:])
                if count == 0:
                    break
                got += count
        finally:
            self.socket.settimeout(self._send_wait_s)
        return buffer[:got]

    def _lend(self) -> None:
        with self._lock:
            if self._is_lent or self._is_over or self._returned or self.socket is None:
                return
            self.socket.setblocking(False)
            self._reader.watch(self._descriptor, self)
            self._is_lent = True
            self._send_wait_s = 0.0
            self._tell_of_read_ahead()

    def _take_back(self) -> None:
        with self._lock:
            if not self._is_lent:
                return
            if not self._is_paused:
                self._reader.forget(self._descriptor)
            self._is_lent = self._is_paused = False

    # For the thread of the reader

    def pump(self) -> None:
        """Read what has come, without waiting, as far as it is images."""
        try:
            with self._lock:
                self._pump()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass  # all has been read
        except MalformedMessageError:
            self._end(_INVALID)
        except OSError as error:
            if isinstance(error, TooMuchError):
                self._tell(error)
            self._end(_CLOSED)

    def _pump(self) -> None:
        for _ in range(_IN_A_ROW):
            if not self._is_lent or self._is_paused:
                return
            if self._inflow.is_serving:
                # The peer sends on without waiting for its answer, or has gone; it waits in the network.
                self._is_paused = True
                self._reader.forget(self._descriptor)
                return
            self._fill()
            if self._part.obj is self._header:
                self._take_header()
            else:
                self._take_content()
            if self._inflow.is_serving:
                return
        self._tell_of_read_ahead()

    def _tell_of_read_ahead(self) -> None:
        """See that what TLS has read ahead is read, of which the system knows nothing any more."""
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            self._reader.nudge(self)

    def _fill(self) -> None:
        """Read what is missing of a header or of a content."""
        while self._got < len(self._part):
            count = self.socket.recv_into(self._part[self._got :])
            if count == 0:
                raise ConnectionError("the peer has gone")
            if not self._got and self._part.obj is self._header:
                self._begin_pdu()
            self._got += count

    def _take_header(self) -> None:
        kind, length = PDU_HEADER.unpack(self._header)
        if kind != P_DATA_TF or self._state != _READY:
            self._returned = bytes(self._header)
            self._expect_header()
            self._take_back()
            self.ring()
            return
        self._bounds.expect(length, greeted=True)
        if len(self._buffer) < length:
            self._buffer = bytearray(length)
        self._part, self._got = memoryview(self._buffer)[:length], 0

    def _take_content(self) -> None:
        content = self._part
        self._expect_header()
        self._inflow.take(content)
        self.assoc.dul._idle_timer.restart()  # noqa: SLF001 - as pynetdicom does after each PDU

    def _expect_header(self) -> None:
        self._part, self._got = memoryview(self._header), 0

    # For the thread that has made an object durable, or found that it cannot be

    def answer(self, pdu: bytes) -> None:
        """Send the answer that a sender waits for, and read on."""
        if self._is_over:
            return
        with self._lock:
            self.assoc.dul._idle_timer.restart()  # noqa: SLF001 - it was we who kept the sender waiting
            self._inflow.is_serving = False
            if not self._is_lent or self._state != _READY:  # it has been aborted meanwhile
                return
            self.send(pdu)
            if self._is_paused:
                self._is_paused = False
                self._reader.watch(self._descriptor, self)
            self._tell_of_read_ahead()

    # For all of them

    @property
    def _state(self) -> str:
        state: str = self.assoc.dul.state_machine.current_state
        return state

    @property
    def _is_in_a_pdu(self) -> bool:
        return bool(self._got) or self._part.obj is not self._header

    @property
    def _is_greeted(self) -> bool:
        return self.assoc.requestor.primitive is not None

    def _begin_pdu(self) -> None:
        self._bounds.begin_pdu(
            greeted=self._is_greeted,
            midway=self._inflow.is_midway,
            waiting=len(self.assoc.dimse.msg_queue.queue),
        )

    def _end(self, event: str) -> None:
        """Tell the state machine of the end of this connection, once."""
        with self._lock:
            self._take_back()
            if not self._is_over:
                self._is_over = True
                self.event_queue.put(event)
        self.ring()

    def _tell(self, error: Exception) -> None:
        reason = str(error) if isinstance(error, TooMuchError) else "it stopped in the middle of a PDU"
        self._log.warning("sender_cut_off", reason=reason, host=self.assoc.requestor.address)
