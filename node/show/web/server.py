"""The web server of the status page, in a thread of its own."""

import asyncio
import os
import socket
import threading
from ssl import SSLContext
from typing import Any

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from node.config import WebSettings
from node.errors import PermanentError
from node.log import Log
from node.show.node_status import StatusReader
from node.show.web.gate import Guarded
from node.show.web.pages import application

__all__ = ["WebServer"]

_MOST_CONNECTIONS = 64
_SILENCE_S = 5
_STOP_S = 10.0


class WebServer:
    """Answers on [web] host and port from `start` to `stop`.

    Parameters
    ----------
    settings : WebSettings
        The address and the host names that are answered.
    status_reader : StatusReader
        Gives the status of the node.
    log : Log
        Logs one line per error in a page, with its type and place.
    guarded : Guarded or None
        What is for those only who log in; None where nobody does.
    context : SSLContext or None
        For HTTPS; None for HTTP.

    Raises
    ------
    PermanentError
        If the address cannot be listened on.
    """

    def __init__(
        self,
        settings: WebSettings,
        status_reader: StatusReader,
        log: Log,
        *,
        guarded: Guarded | None = None,
        context: SSLContext | None = None,
    ) -> None:
        self._socket = _listen(settings)
        self._server = _server(application(settings, status_reader, log, guarded), context)
        self._thread = threading.Thread(target=self._run, name="status-page", daemon=True)

    def start(self) -> None:
        """Start to answer requests."""
        self._thread.start()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(self._server.serve([self._socket]))

    def stop(self) -> None:
        """Finish the responses in progress, and close the socket."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_STOP_S)
        self._socket.close()


def _listen(settings: WebSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        # `strerror` of the error repeats the address; an unknown host has a negative errno without a text.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise PermanentError(
            f"the status page cannot listen on {settings.host}:{settings.port}: {reason}. "
            "Another program may have the port: let [web] port be a free one, or 0 for no page"
        ) from None


class _Loop(asyncio.SelectorEventLoop):
    """Ends a TLS handshake that stays silent as soon as other silent connections; the default is a minute."""

    async def create_server(self, *arguments: Any, **options: Any) -> asyncio.Server:  # noqa: ANN401 - passed on
        """See `asyncio.loop.create_server`."""
        if options.get("ssl"):
            options["ssl_handshake_timeout"] = _SILENCE_S
        server: asyncio.Server = await super().create_server(*arguments, **options)
        return server


class _LimitedProtocol(H11Protocol):
    """Limits the number of connections and closes silent ones: descriptors are needed to receive images."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
        """Accept a connection, or close it at once if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > _MOST_CONNECTIONS:
            transport.abort()
            return
        # uvicorn waits for the first request without limit; its own timeout starts after the first response.
        self.timeout_keep_alive_task = self.loop.call_later(_SILENCE_S, self.timeout_keep_alive_handler)


def _server(pages: ASGIApp, context: SSLContext | None) -> Server:
    config = Config(
        pages,
        loop="asyncio",
        http=_LimitedProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        # Errors go to the log of the node; an access log with addresses and study UIDs is not wanted.
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_SILENCE_S,
        timeout_graceful_shutdown=1,
    )
    config.load()
    # uvicorn would read the files once, and a renewed certificate would need a restart.
    config.ssl = context
    return Server(config)
