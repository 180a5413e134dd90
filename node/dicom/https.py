"""HTTP and HTTPS of `requests`, with what the library lacks: our contexts, and an end to each wait."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, socket
from ssl import SSLContext
from threading import Event, Timer
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection

from node.config import TlsSettings
from node.domain.http_status import http_words
from node.errors import TransientError

__all__ = ["open_session"]


class _PeerSession(requests.Session):
    """A session that follows no redirection, whatever a request says.

    A redirection could lead patient data, and our credentials, to an address that nobody configured.
    """

    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())
        # Libraries take any status below 400 for success.
        self.hooks["response"].append(_refuse_redirection)


def _refuse_redirection(response: requests.Response, **_: Any) -> None:  # noqa: ANN401 - of requests
    if 300 <= response.status_code < 400:
        # Nobody else gets it to close it.
        response.close()
        raise TransientError(http_words(response.status_code))


class _Adapter(HTTPAdapter):
    """Waits for the beginning of an answer no longer than the timeout of the request."""

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - passed on
        """Return a pool of connections that end in time."""
        pool: Any = super().get_connection_with_tls_context(*arguments, **options)
        pool.ConnectionCls = _HttpsConnection if pool.scheme == "https" else _HttpConnection
        return pool


class _HttpConnection(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as that of urllib3
        with _all_within(self.timeout, self.sock):
            return super().getresponse()


class _HttpsConnection(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as that of urllib3
        with _all_within(self.timeout, self.sock):
            return super().getresponse()


@contextmanager
def _all_within(timeout_s: float | None, connection: socket | None) -> Iterator[None]:
    """Shut a connection from which the block has not read all in time.

    The timeout of a socket begins anew with each byte, so headers that come byte by byte would never end.
    """
    if timeout_s is None or connection is None:
        yield
        return
    is_late = Event()

    def end() -> None:
        is_late.set()
        with suppress(OSError):
            connection.shutdown(SHUT_RDWR)

    timer = Timer(timeout_s, end)
    timer.start()
    try:
        yield
    except Exception:
        if not is_late.is_set():
            raise
    finally:
        timer.cancel()
    # The headers until then may read as if they were all.
    if is_late.is_set():
        raise TimeoutError


class _TlsAdapter(_Adapter):
    """HTTPS with a given context: BCP 195, revocation lists.

    Parameters
    ----------
    context : SSLContext
        Of every connection.
    server_name : str
        The name that is sent as SNI and that the certificate must hold; empty for the host of the URL.
    """

    def __init__(self, context: SSLContext, server_name: str) -> None:
        named = {"server_hostname": server_name} if server_name else {}
        self._options: dict[str, Any] = {"ssl_context": context, **named}
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - passed on
        """Open direct connections with the context."""
        super().init_poolmanager(*arguments, **{**options, **self._options})

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401 - passed on
        """Open connections through a proxy with the context too; it secures the tunnel to the server."""
        return super().proxy_manager_for(proxy, **{**options, **self._options})


def open_session(
    url: str, tls: TlsSettings, context: SSLContext | None, authorization: str = ""
) -> requests.Session:
    """Open a session to one peer, for which the environment says nothing but its proxies.

    Otherwise REQUESTS_CA_BUNDLE and .netrc of the environment would have a say.

    Parameters
    ----------
    url : str
        Address of the peer.
    tls : TlsSettings
        Its files.
    context : SSLContext or None
        Made of these files; None for what `requests` does by itself.
    authorization : str
        Value of the HTTP header; empty for none.
    """
    session = _PeerSession()
    session.trust_env = False
    session.proxies = get_environ_proxies(url)
    if context is not None:
        if tls.ca is not None:
            session.verify = str(tls.ca)
        session.mount("https://", _TlsAdapter(context, tls.server_name))
    if authorization:
        session.headers["Authorization"] = authorization
    return session
