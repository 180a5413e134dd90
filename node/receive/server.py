"""The server of the listener: accepts connections one by one, with limits before a byte of them is believed.

pynetdicom 3.0.4 makes the TLS handshake in its accept loop. Here each connection has a thread of its own from
its first byte, and whatever it sends has a limit (`node.receive.limits`).
"""

import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from pynetdicom.association import Association

from node.config import ListenerSettings, Network
from node.dicom.pynetdicom_internals import AssociationServer, switch_nagle_off
from node.dicom.tls import reason_of
from node.domain.identifiers import address_of
from node.log import Log
from node.receive.connection import Connection, ObjectReceiver
from node.receive.socket_reader import SocketReader

__all__ = ["Server"]

_SPARE_PLACES = 16
"""Connections that may be silent beside as many as there may be associations."""


@dataclass(slots=True, eq=False)
class _Stranger:
    """A connection whose peer has not requested its association yet."""

    host: str
    connection: socket.socket
    association: Association | None = None

    @property
    def is_silent(self) -> bool:
        """Whether it is open, and has still not requested it."""
        association = self.association
        if association is None:
            return self.connection.fileno() >= 0
        return bool(association.is_alive() and association.requestor.primitive is None)


class Server(AssociationServer):
    """Accepts connections from known networks, where no connection can hold up another.

    Parameters
    ----------
    arguments : tuple
        What pynetdicom's `make_server` gives to each server.
    settings : ListenerSettings
        Limits.
    networks : sequence of Network
        Connections from elsewhere are closed unread.
    tls : SSLContext or None
        None for plain DICOM.
    receiver : ObjectReceiver
        Takes the objects.
    reader : SocketReader
        Reads them.
    on_intruder : callable
        Gets the address of a refused connection, and why.
    log : Log
        Gets a line for each refused connection.
    options : dict
        What pynetdicom's `make_server` gives to each server.
    """

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 - passed on as they came
        settings: ListenerSettings,
        networks: Sequence[Network],
        tls: SSLContext | None,
        receiver: ObjectReceiver,
        reader: SocketReader,
        on_intruder: Callable[[str, str], None],
        log: Log,
        **options: Any,  # noqa: ANN401 - passed on as they came
    ) -> None:
        super().__init__(*arguments, **options)
        self._settings = settings
        self._networks = tuple(networks)
        self._tls = tls
        self._receiver = receiver
        self._reader = reader
        self._on_intruder = on_intruder
        self._log = log
        self._lock = threading.Lock()
        self._strangers: list[_Stranger] = []

    def verify_request(self, request: socket.socket, client_address: tuple[Any, ...]) -> bool:
        """Refuse unknown addresses before anything is read, and hosts with too many silent connections."""
        host = client_address[0]
        if not any(address_of(host) in network for network in self._networks):
            self._turn_away(host, "its address is in no network of [[sources]]")
            return False
        if not self._note_stranger(host, request):
            self._turn_away(host, "too many of its connections have not said who they are")
            return False
        switch_nagle_off(request)
        return True

    def finish_request(self, request: socket.socket, client_address: tuple[Any, ...]) -> None:
        """Make the TLS handshake, then the association, in the connection's own thread."""
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        secured = self._tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        self._replace(request, secured)
        try:
            # The timeout is of the whole handshake, however slowly its bytes come.
            secured.settimeout(self._settings.greeting_timeout_s)
            secured.do_handshake()
        except OSError as error:
            self._turn_away(client_address[0], f"TLS: {reason_of(error)}")
            self.shutdown_request(secured)
            return
        super().finish_request(secured, client_address)

    def handle_error(self, request: socket.socket, client_address: tuple[Any, ...]) -> None:
        """Log that a connection failed before it was an association, without the error's message."""
        del request
        self._log.warning("connection_failed", host=client_address[0])

    def connect(self, association: Association, connection: socket.socket) -> Connection:
        """Make the socket of an association, and remember which connection the association came by."""
        with self._lock:
            for stranger in self._strangers:
                if stranger.connection is connection:
                    stranger.association = association
        return Connection(
            association, connection, self._receiver, self._reader, settings=self._settings, log=self._log
        )

    def _note_stranger(self, host: str, connection: socket.socket) -> bool:
        """Count a new connection, unless too many are silent."""
        most = self._settings.max_associations + _SPARE_PLACES
        with self._lock:
            self._strangers = [stranger for stranger in self._strangers if stranger.is_silent]
            theirs = sum(stranger.host == host for stranger in self._strangers)
            # No host may take more than half of the places, so that there is always one for the others.
            if len(self._strangers) >= 2 * most or theirs >= most:
                return False
            self._strangers.append(_Stranger(host, connection))
            return True

    def _replace(self, plain: socket.socket, secured: socket.socket) -> None:
        with self._lock:
            for stranger in self._strangers:
                if stranger.connection is plain:
                    stranger.connection = secured

    def _turn_away(self, host: str, reason: str) -> None:
        self._log.warning("connection_refused", host=host, reason=reason)
        self._on_intruder(host, reason)
