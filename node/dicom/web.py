"""HTTP to DICOMweb peers: TLS as `node.dicom.tls` wants it, and what failures mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from ssl import SSLContext

import requests
from requests.utils import get_environ_proxies
from urllib3.exceptions import LocationParseError, NameResolutionError

from node.config import TlsSettings
from node.dicom.https import TlsAdapter
from node.errors import TransientError

__all__ = ["code_of", "http_failures_as_transient", "prepare"]

_UNRESOLVED = "its host name cannot be resolved"


def prepare(
    session: requests.Session, url: str, tls: TlsSettings, context: SSLContext | None, authorization: str
) -> None:
    """Let a session use TLS and the credentials of a peer.

    Parameters
    ----------
    session : Session
        A new session.
    url : str
        Address of the peer.
    tls : TlsSettings
        Its files.
    context : SSLContext or None
        Made of these files; None without TLS.
    authorization : str
        Value of the HTTP header; empty for none.
    """
    if context is not None:
        # Otherwise `requests` would prefer REQUESTS_CA_BUNDLE of the environment to the configured `ca`.
        session.trust_env = False
        session.proxies = get_environ_proxies(url)
        session.verify = str(tls.ca)
        session.mount("https://", TlsAdapter(context, tls.server_name))
    if authorization:
        session.headers["Authorization"] = authorization


@contextmanager
def http_failures_as_transient() -> Iterator[None]:
    """Raise a `TransientError` for every HTTP failure, without quoting the message of the library."""
    try:
        yield
    except requests.HTTPError as error:
        raise TransientError(f"it answered HTTP {code_of(error)}") from None
    except requests.Timeout:
        raise TransientError("it gave no answer in time") from None
    except requests.exceptions.SSLError:
        raise TransientError("its certificate is not trusted") from None
    except (requests.exceptions.InvalidJSONError, KeyError, TypeError):
        raise TransientError("its answer is no DICOM JSON or XML") from None
    except LocationParseError:
        # A name that the resolver cannot even encode, which `requests` passes on as a `ValueError`.
        raise TransientError(_UNRESOLVED) from None
    except requests.RequestException as error:
        raise TransientError(_UNRESOLVED if _is_unresolved(error) else "it cannot be reached") from None
    except ValueError:
        raise TransientError("its answer is no DICOM JSON or XML") from None


def code_of(error: requests.HTTPError) -> int:
    """Return the HTTP status of an error; 0 if there is none."""
    return 0 if error.response is None else int(error.response.status_code)


def _is_unresolved(error: requests.RequestException) -> bool:
    # `requests` puts its own error around that of urllib3, which tells the reason.
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NameResolutionError)
