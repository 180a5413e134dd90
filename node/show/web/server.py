"""The web server in a thread of its own, beside the listener and in nobody's way."""

import asyncio
import os
import socket
import threading

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from node.config import WebSettings
from node.errors import PermanentError
from node.log import Log
from node.show.survey import Survey
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
        Where.
    survey : Survey
        What there is to tell.
    log : Log
        Gets the kind and place of a fault.

    Raises
    ------
    PermanentError
        If the address cannot be listened on.
    """

    def __init__(self, settings: WebSettings, survey: Survey, log: Log) -> None:
        self._socket = _listen(settings)
        self._server = _server(application(settings, survey, log))
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="status-page", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the answers under way, and close."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_STOP_S)
        self._socket.close()


def _listen(settings: WebSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        # `create_server` adds the address, which is told already; an unknown host has no errno of the system.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise PermanentError(
            f"the status page cannot listen on {settings.host}:{settings.port}: {reason}. "
            "Another program may have the port: let [web] port be a free one, or 0 for no page"
        ) from None


class _BriefProtocol(H11Protocol):
    """Few connections, closed when they stay silent: each is a descriptor, and those are for images."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
        """Take a connection, or close it at once when there are too many."""
        super().connection_made(transport)
        if len(self.connections) > _MOST_CONNECTIONS:
            transport.abort()
            return
        # uvicorn waits for the first request without end; its own time-out begins after the first answer.
        self.timeout_keep_alive_task = self.loop.call_later(_SILENCE_S, self.timeout_keep_alive_handler)


def _server(pages: ASGIApp) -> Server:
    return Server(
        Config(
            pages,
            loop="asyncio",
            http=_BriefProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            # Our log tells of faults; addresses and paths of every look at the page are nobody's business.
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_SILENCE_S,
            timeout_graceful_shutdown=1,
        )
    )
