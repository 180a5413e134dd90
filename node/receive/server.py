"""Connections of strangers: taken one by one, bounded in time and size before a byte of them is believed.

pynetdicom 3.0.4 makes the TLS handshake in its accept loop. Here each connection has a thread of its own from
its first byte, and whatever it sends has a limit (`node.receive.limits`).
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from pynetdicom.association import Association
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from node.config import ListenerSettings, Network
from node.dicom.dimse import send_at_once
from node.dicom.tls import reason_of
from node.domain.identifiers import address_of
from node.log import Log, raised_at
from node.ports import StagingFile
from node.receive.incoming import Inflow, Serve
from node.receive.line import Line
from node.receive.reactor import wake_by_events
from node.receive.reader import Reader

__all__ = ["Server"]

_MEGABYTE = 1024 * 1024
_BROKEN = "it broke the rules of the protocol"
_INVALID_PDU = "Evt19"
"""PS3.8 9.2.1: an unrecognised or invalid PDU was received."""
_SPARE_PLACES = 16


class _Handler(RequestHandler):  # type: ignore[misc]  # pynetdicom has no types
    """Makes an association of a connection; see `Line`."""

    server: "Server"

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.dul.socket = None
        association.dul.event_queue.get_nowait()  # "connected"; the new socket says so again
        limit_bytes = self.server.settings.max_instance_mb * _MEGABYTE
        inflow = Inflow(association, self.server.stage, limit_bytes, self.server.serve)
        line = Line(
            association, self.request, inflow, self.server.reader,
            settings=self.server.settings, log=self.server.log,
        )  # fmt: skip
        association.set_socket(line)
        association.inflow = inflow
        wake_by_events(association, line)
        # A sender that waits for our answer is not idle.
        dul, has_been_idle = association.dul, association.dul.idle_timer_expired
        dul.idle_timer_expired = lambda: not inflow.is_serving and has_been_idle()
        # Whatever a stranger's bytes break in these threads ends his association, and is told.
        machine = association.dul.state_machine
        machine.do_action = _or_cut_off(association, machine.do_action, self.server.log)
        line.pump = _or_cut_off(association, line.pump, self.server.log)  # type: ignore[method-assign]
        line.answer = _or_cut_off(association, line.answer, self.server.log)  # type: ignore[method-assign]
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
            fault = {"error": type(error).__name__, "where": raised_at(error)}
            log.warning("sender_cut_off", reason=_BROKEN, host=association.requestor.address, **fault)
            association.is_aborted, association.is_established = True, False
            association._kill = True  # noqa: SLF001 - as pynetdicom ends an association after its own faults
            association.dul.kill_dul()
            with suppress(OSError):
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
    stage: Callable[[bytes], StagingFile]
    serve: Serve
    reader: Reader
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
