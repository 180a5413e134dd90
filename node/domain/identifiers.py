"""Identifiers that peers send, and safe names made of them."""

import re
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address

__all__ = [
    "UID_LENGTH",
    "address_of",
    "clean_ae_title",
    "clean_uid",
    "folder_name",
    "is_loopback",
    "is_uid",
    "plain_ae_title",
]

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
UID_LENGTH = 64
"""Length of the longest valid UID in characters, PS3.5 9.1."""
_FOLDER_NAME_LENGTH = 32
_UNKNOWN, _BACKSLASH, _DELETE = ord("?"), ord("\\"), 0x7F
_AE_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")


def address_of(host: str) -> IPv4Address | IPv6Address:
    """Parse the address of a peer; an IPv4 address mapped into IPv6 becomes an IPv4 address again.

    Examples
    --------
    >>> address_of("::ffff:10.1.2.3")
    IPv4Address('10.1.2.3')
    """
    address = ip_address(host)
    return getattr(address, "ipv4_mapped", None) or address


def is_loopback(host: str) -> bool:
    """Tell whether an address or host name can be reached from this machine only.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def is_uid(text: str) -> bool:
    """Tell whether a text is a UID: numbers joined by dots, at most 64 characters.

    Leading zeros, which PS3.5 forbids, are accepted: some modalities write them, and they do no harm.

    References
    ----------
    DICOM PS3.5 9.1, UID Encoding Rules.

    Examples
    --------
    >>> is_uid("1.2.840.10008.1.1"), is_uid("../../etc/passwd"), is_uid("")
    (True, False, False)
    """
    return len(text) <= UID_LENGTH and _UID.fullmatch(text) is not None


def clean_uid(raw: bytes) -> str:
    """Decode a UID from a dataset, without its padding.

    Raises
    ------
    ValueError
        If it is not a UID.
    """
    text = raw.rstrip(b"\0 ").decode("ascii", errors="replace")
    if not is_uid(text):
        raise ValueError("not a UID")
    return text


def clean_ae_title(text: str) -> str:
    r"""Make an AE title safe to log: printable ASCII without backslash, or "?" for anything else.

    Examples
    --------
    >>> clean_ae_title("MR1 "), clean_ae_title("a\x1b[2Jb")
    ('MR1', '?')
    """
    stripped = text.strip(" ")
    return stripped if _AE_TITLE.fullmatch(stripped) else "?"


def plain_ae_title(encoded: bytes) -> bytes:
    r"""Make an AE title of a request one that can be compared: padding becomes spaces, what is no text "?".

    Titles of other bytes are thus judged, and rejected, as any other title is.

    Examples
    --------
    >>> plain_ae_title(b"MR1".ljust(16, b"\0")), plain_ae_title("MÜ\\1".encode("latin-1").ljust(16))
    (b'MR1             ', b'M??1            ')
    >>> plain_ae_title(b" " * 16)
    b'?               '
    """
    text = encoded.rstrip(b"\0 ")
    plain = bytes(byte if ord(" ") <= byte < _DELETE and byte != _BACKSLASH else _UNKNOWN for byte in text)
    return (plain or bytes((_UNKNOWN,))).ljust(len(encoded))


def folder_name(uid: str) -> str:
    """Return the name of the folder or file of a UID: a digest, so that nothing from a sender reaches a path.

    Examples
    --------
    >>> folder_name("1.2.3")
    'c47f5b18b8a430e698b9fe15e51f6119'
    """
    return sha256(uid.encode()).hexdigest()[:_FOLDER_NAME_LENGTH]
