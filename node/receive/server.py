"""Accepts connections and limits them before any byte is parsed.

pynetdicom 3.0.4 makes the TLS handshake in its accept loop. Here each connection has its own thread from its
first byte, and everything it sends is limited (`node.receive.limits`).
"""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from pynetdicom.association import Association

from node.config import NodeSettings
from node.dicom.pynetdicom_internals import AssociationServer, switch_nagle_off
from node.dicom.tls import reason_of
from node.log import Log
from node.receive.connection import Connection, ObjectReceiver
from node.receive.socket_reader import SocketReader

__all__ = ["Server"]

_SPARE_PLACES = 16
"""Extra connections, beyond `max_associations`, that may be open without having requested an association."""

_BACKLOG = 128
"""Connections that the system holds until they are accepted. With the usual 5, some senders of a burst wait a
second, because the system drops their first packet."""


@dataclass(slots=True, eq=False)
class _PendingConnection:
    """A connection whose peer has not requested an association yet."""

    host: str
    connection: socket.socket
    association: Association | None = None

    @property
    def is_silent(self) -> bool:
        """Whether it is open, and its peer has not requested an association."""
        association = self.association
        if association is None:
            return self.connection.fileno() >= 0
        return bool(association.is_alive() and association.requestor.primitive is None)


class Server(AssociationServer):
    """Accepts connections from known networks; no connection can delay another.

    Parameters
    ----------
    arguments : tuple
        Positional arguments that pynetdicom's `make_server` passes.
    settings : NodeSettings
        Timeouts and maximum number of associations.
    is_known : callable
        Tells whether an address may connect; connections from others are closed unread.
    tls : SSLContext or None
        None for plain DICOM.
    receiver : ObjectReceiver
        Takes the objects.
    reader : SocketReader
        Reads the connections.
    on_rejected : callable
        Called with the address of a rejected connection and the reason.
    log : Log
        Logs one line per rejected connection.
    options : dict
        Keyword arguments that pynetdicom's `make_server` passes.
    """

    request_queue_size = _BACKLOG

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 - passed on unchanged
        settings: NodeSettings,
        is_known: Callable[[str], bool],
        tls: SSLContext | None,
        receiver: ObjectReceiver,
        reader: SocketReader,
        on_rejected: Callable[[str, str], None],
        log: Log,
        **options: Any,  # noqa: ANN401 - passed on unchanged
    ) -> None:
        super().__init__(*arguments, **options)
        self._settings = settings
        self._is_known = is_known
        self._tls = tls
        self._receiver = receiver
        self._reader = reader
        self._on_rejected = on_rejected
        self._log = log
        self._lock = threading.Lock()
        self._pending: list[_PendingConnection] = []

    def verify_request(self, request: socket.socket, client_address: tuple[Any, ...]) -> bool:
        """Reject unknown addresses before anything is read, and hosts with too many silent connections."""
        host = client_address[0]
        if not self._is_known(host):
            self._reject(host, "its address is in no network of [[sources]]")
            return False
        if not self._note_pending(host, request):
            self._reject(host, "too many of its connections have not requested an association")
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
            # The timeout is for the complete handshake, however slowly its bytes arrive.
            secured.settimeout(self._settings.greeting_timeout_s)
            secured.do_handshake()
        except OSError as error:
            self._reject(client_address[0], f"TLS: {reason_of(error)}")
            self.shutdown_request(secured)
            return
        super().finish_request(secured, client_address)

    def handle_error(self, request: socket.socket, client_address: tuple[Any, ...]) -> None:
        """Log that a connection failed before it had an association, without the error's message."""
        del request
        self._log.warning("connection_failed", host=client_address[0])

    def connect(self, association: Association, connection: socket.socket) -> Connection:
        """Make the socket of an association, and record which connection belongs to it."""
        with self._lock:
            for pending in self._pending:
                if pending.connection is connection:
                    pending.association = association
        return Connection(
            association, connection, self._receiver, self._reader, settings=self._settings, log=self._log
        )

    def _note_pending(self, host: str, connection: socket.socket) -> bool:
        """Count a new connection, unless too many are silent."""
        most = self._settings.max_associations + _SPARE_PLACES
        with self._lock:
            self._pending = [pending for pending in self._pending if pending.is_silent]
            theirs = sum(pending.host == host for pending in self._pending)
            # No host may take more than half of the places, so that there is always one for the others.
            if len(self._pending) >= 2 * most or theirs >= most:
                return False
            self._pending.append(_PendingConnection(host, connection))
            return True

    def _replace(self, plain: socket.socket, secured: socket.socket) -> None:
        with self._lock:
            for pending in self._pending:
                if pending.connection is plain:
                    pending.connection = secured

    def _reject(self, host: str, reason: str) -> None:
        self._log.warning("connection_refused", host=host, reason=reason)
        self._on_rejected(host, reason)
