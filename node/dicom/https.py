"""HTTPS of `requests` with a context of `node.dicom.tls`, for what the library lacks."""

from ssl import SSLContext
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from node.config import TlsSettings
from node.domain.http_status import http_words
from node.errors import TransientError

__all__ = ["PeerSession", "TlsAdapter", "open_session"]


class PeerSession(requests.Session):
    """A session that follows no redirection, whatever a request says.

    A redirection could lead patient data, and our credentials, to an address that nobody configured.
    """

    def __init__(self) -> None:
        super().__init__()
        # Libraries take any status below 400 for success.
        self.hooks["response"].append(_refuse_redirection)


def _refuse_redirection(response: requests.Response, **_: Any) -> None:  # noqa: ANN401 - of requests
    if 300 <= response.status_code < 400:
        # Nobody else gets it to close it.
        response.close()
        raise TransientError(http_words(response.status_code))


class TlsAdapter(HTTPAdapter):
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
    session = PeerSession()
    session.trust_env = False
    session.proxies = get_environ_proxies(url)
    if context is not None:
        if tls.ca is not None:
            session.verify = str(tls.ca)
        session.mount("https://", TlsAdapter(context, tls.server_name))
    if authorization:
        session.headers["Authorization"] = authorization
    return session
