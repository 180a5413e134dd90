"""What an HTTP status means for what is done next, the same for every peer that is reached by HTTP.

References
----------
RFC 9110 15, Status Codes, and 10.2.3, Retry-After; RFC 6585, Additional HTTP Status Codes.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from math import ceil

__all__ = ["HttpMeaning", "date_in", "http_words", "meaning_of", "wait_of"]


class HttpMeaning(StrEnum):
    """What a status is about, and so what to do next."""

    DONE = "done"
    CONTENT = "content"
    """What was sent or asked for: the same would be answered so again, and others may succeed."""
    ADDRESS = "address"
    """The address or the permission: everything is answered so, until somebody mends the cause."""
    BUSY = "busy"
    """Too much is asked: everything waits for as long as Retry-After says."""
    PASSING = "passing"
    """A fault of the peer, which may be gone the next time."""


_LONGEST_WAIT_S = 86_400.0
_SERVICE_UNAVAILABLE = 503
_BY_STATUS = (
    dict.fromkeys((400, 406, 409, 411, 412, 413, 414, 415, 416, 417, 422, 431), HttpMeaning.CONTENT)
    | dict.fromkeys((408, 421, 423, 424, 425), HttpMeaning.PASSING)
    | {429: HttpMeaning.BUSY}
)
"""All others between 300 and 499 are about the address or the permission."""
_WORDS = {
    401: "it does not accept the authorization of this node",
    403: "it does not let this node do so",
    404: "nothing is at this address",
    405: "this address does not take such requests",
    407: "a proxy on the way wants a password",
    410: "nothing is at this address any more",
    413: "it is more than it takes at once",
    429: "it is asked too often",
}


def meaning_of(status: int) -> HttpMeaning:
    """Return what a status means.

    Examples
    --------
    >>> [meaning_of(status).value for status in (204, 302, 401, 422, 429, 500)]
    ['done', 'address', 'address', 'content', 'busy', 'passing']
    """
    if 200 <= status < 300:
        return HttpMeaning.DONE
    if status < 300 or status >= 500:
        return HttpMeaning.PASSING
    return _BY_STATUS.get(status, HttpMeaning.ADDRESS)


def http_words(status: int) -> str:
    """Return what a status other than success says, in words.

    Examples
    --------
    >>> http_words(404), http_words(500)
    ('it answered HTTP 404: nothing is at this address', 'it answered HTTP 500')
    """
    if 300 <= status < 400:
        return f"it answered HTTP {status}, which leads to another address"
    why = _WORDS.get(status)
    return f"it answered HTTP {status}: {why}" if why else f"it answered HTTP {status}"


def wait_of(status: int, retry_after: str, date: str) -> float | None:
    """Return for how many seconds a peer asks to be left alone, at most a day; None if it does not ask.

    Parameters
    ----------
    status : int
        The status: 429 always asks, 503 if it says for how long.
    retry_after : str
        Value of the header, in seconds or as a date; empty if there is none.
    date : str
        Value of the header Date, the peer's own time.

    Examples
    --------
    >>> noon = "Mon, 05 Jan 2026 12:00:00 GMT"
    >>> wait_of(429, "", noon), wait_of(503, "", noon), wait_of(500, "60", noon)
    (0.0, None, None)
    >>> wait_of(503, "120", ""), wait_of(503, "Mon, 05 Jan 2026 12:01:00 GMT", noon)
    (120.0, 60.0)
    >>> wait_of(429, "soon", noon), wait_of(429, "9" * 9999, noon), wait_of(503, "0000000000060", noon)
    (0.0, 86400.0, 60.0)
    """
    told_s = _seconds(retry_after.strip(), date)
    if meaning_of(status) is HttpMeaning.BUSY:
        return told_s or 0.0
    return told_s if status == _SERVICE_UNAVAILABLE else None


def date_in(told: str) -> datetime | None:
    """Return the moment that a header tells, in UTC; None if that is no date.

    Examples
    --------
    >>> date_in("Mon, 05 Jan 2026 12:00:00 +0100").isoformat()
    '2026-01-05T11:00:00+00:00'
    >>> date_in("soon"), date_in("Mon, 05 Jan 2026 12:00:00 +99999999999999"), date_in("-5")
    (None, None, None)
    """
    try:
        date = parsedate_to_datetime(told)
        # All dates of HTTP are in GMT, also those of the obsolete forms that do not say so.
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    # Numbers without end, and years beyond those that Python counts, overflow.
    except (ValueError, TypeError, OverflowError):
        return None


def _seconds(told: str, date: str) -> float | None:
    if told.isascii() and told.isdecimal():
        return min(_LONGEST_WAIT_S, float(told))
    # Compared with the time that the peer tells itself: its clock may be wrong.
    until, now = date_in(told), date_in(date)
    if until is None or now is None:
        return None
    return float(min(_LONGEST_WAIT_S, max(0, ceil((until - now).total_seconds()))))
