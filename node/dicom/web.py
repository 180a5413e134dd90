"""What peers of every kind answer by HTTP, and what failures mean."""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import ParseError as XmlError

import requests
from urllib3.exceptions import HTTPError as BodyError
from urllib3.exceptions import LocationParseError, NameResolutionError

from node.dicom.tls import reason_of
from node.domain.delivery import DeliveryResponse, Disposition
from node.domain.http_status import HttpMeaning, http_words, meaning_of, wait_of
from node.errors import BusyError, PermanentError, TransientError

__all__ = [
    "answer_to",
    "body_of",
    "check_found",
    "chunks_of",
    "failure_of",
    "http_failures_as_transient",
]

_CHUNK = 64 * 1024
_UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, RecursionError, XmlError)
"""What parsers of an answer raise."""
_EXPIRED, _OTHER_NAME = 10, 62
"""Codes of OpenSSL, of what speaks against a certificate."""
_WHY_NOT_TRUSTED = {_EXPIRED: "it has expired", _OTHER_NAME: "it is of another name"}


def answer_to(response: requests.Response, more: str = "") -> DeliveryResponse:
    """Return what a response says about what was sent.

    Parameters
    ----------
    response : Response
        The response.
    more : str
        What else the peer said, in words.

    Raises
    ------
    BusyError, TransientError
        If it says nothing about that: everything else would be answered so, too.
    """
    status = response.status_code
    meaning = meaning_of(status)
    if meaning is HttpMeaning.DONE:
        return DeliveryResponse(Disposition.ACCEPTED, status, "")
    if meaning is HttpMeaning.CONTENT:
        told = f"{http_words(status)} ({more})" if more else http_words(status)
        return DeliveryResponse(Disposition.RETRY_A_FEW_TIMES, status, told)
    raise failure_of(response)


def check_found(response: requests.Response) -> None:
    """Check the response to a question.

    Raises
    ------
    PermanentError
        If another attempt would get the same.
    BusyError, TransientError
        If it may get another.
    """
    meaning = meaning_of(response.status_code)
    if meaning in {HttpMeaning.CONTENT, HttpMeaning.ADDRESS}:
        raise PermanentError(http_words(response.status_code))
    if meaning is not HttpMeaning.DONE:
        raise failure_of(response)


def failure_of(response: requests.Response) -> TransientError:
    """Return the error of a response other than success, as one that may be tried again."""
    status, headers = response.status_code, response.headers
    wait_s = wait_of(status, headers.get("Retry-After", ""), headers.get("Date", ""))
    words = http_words(status)
    return TransientError(words) if wait_s is None else BusyError(words, wait_s)


def body_of(
    response: requests.Response, most: int, timeout_s: float, check: Callable[[], None] = lambda: None
) -> bytes | None:
    """Read the body of a response that was opened with `stream`; None if it is longer than `most` bytes.

    `check` is called for each part, and may raise an error that breaks it off.

    Raises
    ------
    TransientError
        If it breaks off, or has not ended after `timeout_s`.
    """
    body, end_s = bytearray(), time.monotonic() + timeout_s
    for chunk in chunks_of(response):
        check()
        body += chunk
        if len(body) > most:
            return None
        if time.monotonic() > end_s:
            raise TransientError("its answer takes too long to come")
    return bytes(body)


def chunks_of(response: requests.Response) -> Iterator[bytes]:
    """Yield the body of a response as it comes, however little that is at a time.

    Raises
    ------
    TransientError
        If it breaks off.
    """
    try:
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            yield chunk
    except (BodyError, OSError):
        raise TransientError("its answer broke off") from None


@contextmanager
def http_failures_as_transient() -> Iterator[None]:
    """Raise a `TransientError` for every HTTP failure; the words of the library would quote the URL."""
    try:
        yield
    except (requests.RequestException, LocationParseError, *_UNREADABLE) as error:
        if isinstance(error, requests.HTTPError) and error.response is not None:
            raise failure_of(error.response) from None
        raise TransientError(_words_of(error)) from None


def _words_of(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return "it gave no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return _why_no_tls(error)
    # `requests` passes on as a `ValueError` what the resolver cannot even encode.
    if isinstance(error, LocationParseError) or _is_unresolved(error):
        return "its host name cannot be resolved"
    is_of_http = isinstance(error, requests.RequestException)
    if is_of_http and not isinstance(error, requests.exceptions.InvalidJSONError):
        return "it cannot be reached"
    return "its answer is no DICOM JSON or XML"


def _is_unresolved(error: Exception) -> bool:
    return isinstance(_cause_of(error), NameResolutionError)


def _cause_of(error: Exception) -> object:
    # `requests` puts its own error around that of urllib3, which tells the reason.
    return getattr(error.args[0], "reason", None) if error.args else None


def _why_no_tls(error: requests.exceptions.SSLError) -> str:
    """Return why TLS failed, without any name that a certificate holds."""
    inner = _cause_of(error)
    cause = inner.args[0] if isinstance(inner, Exception) and inner.args else None
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLCertVerificationError):
        return f"no TLS with it: {reason_of(cause)}"
    code = cause.verify_code if isinstance(cause, ssl.SSLCertVerificationError) else 0
    why = _WHY_NOT_TRUSTED.get(code)
    return f"its certificate is not trusted: {why}" if why else "its certificate is not trusted"
