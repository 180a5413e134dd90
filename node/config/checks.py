"""Checks of configuration values. A check returns what is wrong with a value ("must be …"), or None."""

import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

__all__ = [
    "PASSWORD_IN_URL",
    "AETitle",
    "Host",
    "ae_title",
    "between",
    "host",
    "named",
    "names_host",
    "one_of",
    "short_name",
    "web_address",
]

PASSWORD_IN_URL = re.compile(r"://[^/@:]*:[^@]+@")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_WEB_ADDRESS = re.compile(r"https?://[^/\s]+(/\S*)?")

_AE_TITLE = re.compile(r"(?! )[\x20-\x5b\x5d-\x7e]{1,16}(?<! )")

_HOST = re.compile(rb"[A-Za-z0-9._:%-]+")


def between(low: float, high: float) -> Callable[[float], str | None]:
    """Return a check that a number lies between `low` and `high`, both included."""
    return lambda value: None if low <= value <= high else f"must be between {low} and {high}"


def one_of(*words: str) -> Callable[[str], str | None]:
    """Return a check that a text is one of `words`."""
    return lambda value: None if value in words else f"must be one of {', '.join(words)}"


def ae_title(value: str) -> str | None:
    """Check an AE title (DICOM PS3.5 table 6.2-1, value representation AE)."""
    return None if _AE_TITLE.fullmatch(value) else "must be 1 to 16 printable characters without backslash"


def named(what: str) -> Callable[[str], str | None]:
    """Return a check that a text is not blank; `what` says in the message what it must name."""
    return lambda value: None if value and not value.isspace() else f"must name {what}"


def host(value: str) -> str | None:
    """Check a host name or address; whether it exists is found out when it is called.

    Examples
    --------
    >>> host("pacs.hospital.example"), host("fe80::1"), host("pacs..example")
    (None, None, 'must name a host')
    """
    try:
        # As the resolver encodes it: no empty part, none longer than 63 bytes.
        encoded = value.encode("idna")
    except UnicodeError:
        encoded = b""
    return None if _HOST.fullmatch(encoded) else "must name a host"


def names_host(url: str) -> bool:
    """Tell whether a URL has a host that `host` accepts."""
    try:
        return host(urlsplit(url).hostname or "") is None
    except ValueError:  # brackets of an IPv6 address that do not match
        return False


def short_name(value: str) -> str | None:
    """Check the name that the configuration gives to something."""
    return None if _NAME.fullmatch(value) else "must be lower-case letters, digits, - and _"


def web_address(value: str) -> str | None:
    """Check the URL of a peer; it may be empty."""
    if PASSWORD_IN_URL.search(value):
        return "holds a password; name it in authorization"
    if not value:
        return None
    is_address = _WEB_ADDRESS.fullmatch(value) and names_host(value) and _has_port(value)
    return None if is_address else "must be an http:// or https:// address"


def _has_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:  # no number, or none of a port
        return False


AETitle = Annotated[str, ae_title]
Host = Annotated[str, host]
