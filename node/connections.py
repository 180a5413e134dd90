"""Connections of strangers: taken one by one, bounded in time and size before a byte of them is believed.

pynetdicom 3.0.4 makes the TLS handshake in its accept loop, reads a PDU of any claimed length into memory,
and waits for the rest of it for ever. Here each connection has a thread of its own from its first byte, and
whatever it sends has a limit.
"""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from pynetdicom.association import Association
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from node.config import ListenerSettings, Network
from node.dimse import send_at_once
from node.domain.identifiers import address_of
from node.domain.quota import is_too_slow
from node.incoming import StreamingDimse
from node.observe import Log, place
from node.ports import Staging
from node.reactor import WakefulSocket, wake_by_events
from node.tls import reason_of

__all__ = ["Server"]

_ASSOCIATE_BYTES = 1024 * 1024
"""A request for 128 contexts with every transfer syntax there is has some 300 kB."""
_SLACK_BYTES = 1024
"""Some senders count their headers into the largest PDU, others do not."""
_KILOBYTE = 1024
_MEGABYTE = 1024 * 1024
_PASSED_BY = 2
"""An object over the limit is let pass and answered, see `Incoming`; one of twice the limit is abuse."""
_BROKEN = "it broke the rules of the protocol"
_INVALID_PDU = "Evt19"
"""PS3.8 9.2.1: an unrecognised or invalid PDU was received."""
_SPARE_PLACES = 16
_WAITING_REQUESTS = 2
"""No asynchronous window is negotiated, so a sender waits for each answer; one that does not fills memory."""


class _TooMuchError(ConnectionError):
    """A sender went beyond a limit; its connection is cut, and the text says which."""


class _BoundedSocket(WakefulSocket):
    """pynetdicom's socket, with an end to every wait and every length."""

    settings: ListenerSettings
    log: Log
    _connected_s = 0.0
    _deadline_s = 0.0
    _message_s = 0.0
    _message_bytes = 0

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes: the six of a header, or the rest of a PDU; fewer where the peer has gone.

        Raises
        ------
        OSError
            If a limit is passed; pynetdicom ends the association then.
        """
        try:
            if nr_bytes == 6:
                self._begin_pdu()
            self._refuse_excess(nr_bytes)
            return self._read(nr_bytes)
        except (TimeoutError, _TooMuchError) as error:
            reason = str(error) if isinstance(error, _TooMuchError) else "it stopped in the middle of a PDU"
            self.log.warning("sender_cut_off", reason=reason, host=self.assoc.requestor.address)
            raise

    def _begin_pdu(self) -> None:
        now = time.monotonic()
        settings = self.settings
        self._deadline_s = now + settings.idle_timeout_s
        if self.assoc.requestor.primitive is None:
            self._deadline_s = min(self._deadline_s, self._connected_s + settings.greeting_timeout_s)
        if self.assoc.dimse.message is None:  # no object is half received
            self._message_s = now
            self._message_bytes = 0
        if is_too_slow(
            self._message_bytes,
            now - self._message_s,
            grace_s=settings.idle_timeout_s,
            bytes_per_s=settings.slowest_kb_per_s * _KILOBYTE,
        ):
            raise _TooMuchError("its object comes slower than [node] slowest_kb_per_s")
        if self.assoc.dimse.msg_queue.qsize() > _WAITING_REQUESTS:
            raise _TooMuchError("it sends requests without waiting for answers")

    def _refuse_excess(self, nr_bytes: int) -> None:
        greeted = self.assoc.requestor.primitive is not None
        most = self.settings.max_pdu_bytes + _SLACK_BYTES if greeted else _ASSOCIATE_BYTES
        if nr_bytes > most:
            raise _TooMuchError("its PDU is longer than was agreed")
        self._message_bytes += nr_bytes
        if self._message_bytes > self.settings.max_instance_mb * _MEGABYTE * _PASSED_BY:
            raise _TooMuchError("its object is larger than [node] max_instance_mb")

    def _read(self, nr_bytes: int) -> bytearray:
        buffer = bytearray(nr_bytes)
        view = memoryview(buffer)
        got = 0
        try:
            while got < nr_bytes:
                left = self._deadline_s - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self.socket.settimeout(left)
                count = self.socket.recv_into(view[got:])
                if count == 0:
                    break
                got += count
        finally:
            view.release()
            # For what is sent next: a peer that reads no answer is no better than one that sends nothing.
            self.socket.settimeout(self.settings.idle_timeout_s)
        del buffer[got:]
        return buffer


class _Handler(RequestHandler):  # type: ignore[misc]  # pynetdicom has no types
    """Makes an association of a connection; see `_BoundedSocket`."""

    server: "Server"

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.dul.socket = None
        association.dul.event_queue.get_nowait()  # "connected"; the new socket says so again
        bounded = _BoundedSocket(association, client_socket=self.request)
        bounded.settings = self.server.settings
        bounded.log = self.server.log
        bounded._connected_s = time.monotonic()  # noqa: SLF001 - our own class
        association.set_socket(bounded)
        association.dimse = StreamingDimse(
            association, self.server.stage, self.server.settings.max_instance_mb * _MEGABYTE
        )
        wake_by_events(association, bounded)
        # Whatever a stranger's bytes break in these two threads ends his association, and is told.
        machine = association.dul.state_machine
        machine.do_action = _or_cut_off(association, machine.do_action, self.server.log)
        association.run = _or_cut_off(association, association.run, self.server.log)
        association._serve_request = _refusing_the_incomplete(association._serve_request)  # noqa: SLF001
        self.server.introduce(self.request, association)
        return association


def _or_cut_off(association: Association, work: Callable[..., None], log: Log) -> Callable[..., None]:
    """Wrap work for an association so that a fault in it ends the association and nothing else."""

    def run(*arguments: object) -> None:
        if arguments == (_INVALID_PDU,) and not association.is_aborted:
            association.is_aborted = True
            log.warning("sender_cut_off", reason=_BROKEN, host=association.requestor.address)
        try:
            work(*arguments)
        except Exception as error:  # noqa: BLE001 - pynetdicom raises whatever its parsers meet
            fault = {"error": type(error).__name__, "where": place(error)}
            log.warning("sender_cut_off", reason=_BROKEN, host=association.requestor.address, **fault)
            association.is_aborted, association.is_established = True, False
            association._kill = True  # noqa: SLF001 - as pynetdicom ends an association after its own faults
            association.dul.kill_dul()
            association.dul.socket.close()

    return run


def _refusing_the_incomplete(serve: Callable[..., None]) -> Callable[..., None]:
    """Wrap the service of requests: pynetdicom gives no answer to one that lacks what it must have."""

    def run(message: Any, context: int) -> None:  # noqa: ANN401 - one of pynetdicom's many classes
        if not message.is_valid_request:
            raise ValueError("a request lacks what it must have, or is none")
        serve(message, context)

    return run


@dataclass(slots=True, eq=False)
class _Guest:
    """A connection that has not been admitted yet."""

    host: str
    connection: socket.socket
    association: Association | None = None

    @property
    def waits(self) -> bool:
        association = self.association
        if association is None:
            return self.connection.fileno() >= 0
        return bool(association.is_alive() and association.requestor.primitive is None)


class Server(ThreadedAssociationServer):  # type: ignore[misc]  # pynetdicom has no types
    """pynetdicom's server, for the networks we know, where no connection can hold up another."""

    daemon_threads = True
    settings: ListenerSettings
    log: Log
    stage: Callable[[bytes], Staging]
    networks: tuple[Network, ...] = ()
    tls: SSLContext | None = None
    on_intruder: Callable[[str, str], None] = staticmethod(lambda _host, _reason: None)

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - passed on as they came
        super().__init__(*arguments, request_handler=_Handler, **options)
        self._lock = threading.Lock()
        self._guests: list[_Guest] = []

    def verify_request(self, request: socket.socket, client_address: tuple[Any, ...]) -> bool:
        """Turn a stranger away before anything is read, and a host with too many silent connections."""
        host = client_address[0]
        if not any(address_of(host) in network for network in self.networks):
            self._turn_away(host, "its address is in no network of [[sources]]")
            return False
        if not self._note_guest(host, request):
            self._turn_away(host, "too many of its connections have not said who they are")
            return False
        send_at_once(request)
        return True

    def finish_request(self, request: socket.socket, client_address: tuple[Any, ...]) -> None:
        """Make the handshake, then the association; in the connection's own thread."""
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        secured = self.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        self._replace(request, secured)
        try:
            # One time-out over the whole handshake, however slowly its bytes drip.
            secured.settimeout(self.settings.greeting_timeout_s)
            secured.do_handshake()
        except OSError as error:
            self._turn_away(client_address[0], f"TLS: {reason_of(error)}")
            self.shutdown_request(secured)
            return
        super().finish_request(secured, client_address)

    def handle_error(self, request: socket.socket, client_address: tuple[Any, ...]) -> None:
        """Tell of a connection that broke before it was an association; never with its message."""
        del request
        self.log.warning("connection_failed", host=client_address[0])

    def introduce(self, connection: socket.socket, association: Association) -> None:
        """Remember which association a connection became."""
        with self._lock:
            for guest in self._guests:
                if guest.connection is connection:
                    guest.association = association

    def _note_guest(self, host: str, connection: socket.socket) -> bool:
        """Count a connection that has said nothing yet, unless there are too many of its kind."""
        most = self.settings.max_associations + _SPARE_PLACES
        with self._lock:
            self._guests = [guest for guest in self._guests if guest.waits]
            theirs = sum(guest.host == host for guest in self._guests)
            # No host may take more than half of the places, so that the others always find one.
            if len(self._guests) >= 2 * most or theirs >= most:
                return False
            self._guests.append(_Guest(host, connection))
            return True

    def _replace(self, plain: socket.socket, secured: socket.socket) -> None:
        with self._lock:
            for guest in self._guests:
                if guest.connection is plain:
                    guest.connection = secured

    def _turn_away(self, host: str, reason: str) -> None:
        self.log.warning("connection_refused", host=host, reason=reason)
        self.on_intruder(host, reason)
