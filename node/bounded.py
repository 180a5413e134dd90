"""The socket of an association, with an end to every wait and every length.

pynetdicom 3.0.4 reads a PDU of any claimed length into memory, and waits for the rest of it for ever.
"""

import socket
import ssl
import time
from struct import Struct

from pynetdicom.association import Association

from node.config import ListenerSettings
from node.domain.quota import is_too_slow
from node.incoming import Inflow
from node.observe import Log
from node.reactor import WakefulSocket

__all__ = ["BoundedSocket"]

_HEADER_BYTES = 6
_ASSOCIATE_BYTES = 1024 * 1024
"""A request for 128 contexts with every transfer syntax there is has some 300 kB."""
_SLACK_BYTES = 1024
"""Some senders count their headers into the largest PDU, others do not."""
_KILOBYTE = 1024
_MEGABYTE = 1024 * 1024
_PASSED_BY = 2
"""An object over the limit is let pass and answered, see `Incoming`; one of twice the limit is abuse."""
_WAITING_REQUESTS = 2
"""No asynchronous window is negotiated, so a sender waits for each answer; one that does not fills memory."""
_TIMEVAL = Struct("@ll")
_SHORTER, _MUCH_SHORTER = 0.9, 0.5
"""The system waits for this share of what is left, and is told anew only below the other share of it: telling
it costs as much as reading does."""
_SHORTEST_S = 0.01


class _TooMuchError(ConnectionError):
    """A sender went beyond a limit; its connection is cut, and the text says which."""


class BoundedSocket(WakefulSocket):
    """pynetdicom's socket, whose peer is waited for and believed within limits.

    Parameters
    ----------
    association : Association
        An acceptor.
    connection : socket
        As it was accepted.
    inflow : Inflow
        Knows whether a message is half received.
    settings : ListenerSettings
        The limits.
    log : Log
        Gets a line when one is passed.
    """

    def __init__(
        self,
        association: Association,
        connection: socket.socket,
        inflow: Inflow,
        settings: ListenerSettings,
        log: Log,
    ) -> None:
        super().__init__(association, client_socket=connection)
        self._inflow = inflow
        self._settings = settings
        self._log = log
        self._connected_s = time.monotonic()
        self._deadline_s = 0.0
        self._message_s = 0.0
        self._message_bytes = 0
        self._given_back = bytearray()
        self._buffer = bytearray()
        self._wait_s = 0.0
        self._is_plain = not isinstance(connection, ssl.SSLSocket)
        # For what is sent as well: a peer that reads no answer is no better than one that sends nothing.
        if self._is_plain:
            connection.settimeout(None)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(settings.idle_timeout_s))
        else:
            connection.settimeout(settings.idle_timeout_s)

    def give_back(self, header: bytearray) -> None:
        """Let the header of a PDU be read once more."""
        self._given_back = header

    def recv(self, nr_bytes: int) -> bytearray:
        """Read as `read` does, into memory of its own."""
        if self._given_back:
            header, self._given_back = self._given_back, bytearray()
            return header
        return bytearray(self.read(nr_bytes))

    def read(self, nr_bytes: int) -> memoryview:
        """Read so many bytes: the six of a header, or the rest of a PDU; fewer where the peer has gone.

        They are valid until more is read.

        Raises
        ------
        OSError
            If a limit is passed; pynetdicom ends the association then.
        """
        try:
            if nr_bytes == _HEADER_BYTES:
                self._begin_pdu()
            self._refuse_excess(nr_bytes)
            return self._read(nr_bytes)
        except (TimeoutError, _TooMuchError) as error:
            reason = str(error) if isinstance(error, _TooMuchError) else "it stopped in the middle of a PDU"
            self._log.warning("sender_cut_off", reason=reason, host=self.assoc.requestor.address)
            raise

    def _begin_pdu(self) -> None:
        now = time.monotonic()
        settings = self._settings
        self._deadline_s = now + settings.idle_timeout_s
        if self.assoc.requestor.primitive is None:
            self._deadline_s = min(self._deadline_s, self._connected_s + settings.greeting_timeout_s)
        if not self._inflow.is_midway:
            self._message_s = now
            self._message_bytes = 0
        if is_too_slow(
            self._message_bytes,
            now - self._message_s,
            grace_s=settings.idle_timeout_s,
            bytes_per_s=settings.slowest_kb_per_s * _KILOBYTE,
        ):
            raise _TooMuchError("its object comes slower than [node] slowest_kb_per_s")
        if len(self.assoc.dimse.msg_queue.queue) > _WAITING_REQUESTS:
            raise _TooMuchError("it sends requests without waiting for answers")

    def _refuse_excess(self, nr_bytes: int) -> None:
        greeted = self.assoc.requestor.primitive is not None
        most = self._settings.max_pdu_bytes + _SLACK_BYTES if greeted else _ASSOCIATE_BYTES
        if nr_bytes > most:
            raise _TooMuchError("its PDU is longer than was agreed")
        self._message_bytes += nr_bytes
        if self._message_bytes > self._settings.max_instance_mb * _MEGABYTE * _PASSED_BY:
            raise _TooMuchError("its object is larger than [node] max_instance_mb")

    def _read(self, nr_bytes: int) -> memoryview:
        if len(self._buffer) < nr_bytes:
            self._buffer = bytearray(nr_bytes)
        view = memoryview(self._buffer)[:nr_bytes]
        got = 0
        read = self._read_plain if self._is_plain else self._read_secured
        while got < nr_bytes:
            count = read(view[got:], self._time_left())
            if count == 0:
                break
            got += count
        return view[:got]

    def _time_left(self) -> float:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def _read_plain(self, view: memoryview, left_s: float) -> int:
        """Wait in one call of the system until all is there; each return from one wakes the interpreter."""
        if not left_s * _MUCH_SHORTER <= self._wait_s <= left_s:
            self._wait_s = max(left_s * _SHORTER, _SHORTEST_S)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(self._wait_s))
        try:
            return int(self.socket.recv_into(view, 0, socket.MSG_WAITALL))
        except BlockingIOError:  # nothing came; perhaps the time is not up yet
            return self._read_plain(view, self._time_left())

    def _read_secured(self, view: memoryview, left_s: float) -> int:
        self.socket.settimeout(left_s)
        try:
            return int(self.socket.recv_into(view))
        finally:
            self.socket.settimeout(self._settings.idle_timeout_s)


def _timeval(seconds: float) -> bytes:
    whole = int(seconds)
    return _TIMEVAL.pack(whole, int((seconds - whole) * 1e6))
