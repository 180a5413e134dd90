"""UIDs that are derived from what they identify."""

import json
from hashlib import sha256
from uuid import UUID

__all__ = ["derive_uid"]


def derive_uid(*parts: str) -> str:
    """Derive a UID from texts, the same for the same texts in the same order.

    Parameters
    ----------
    *parts : str
        What the UID identifies.

    Returns
    -------
    str
        Under the root 2.25, at most 44 characters: a UUID of version 8, whose bits RFC 9562 leaves to
        applications.

    References
    ----------
    DICOM PS3.5 B.2, UUID derived UIDs; RFC 9562 section 5.8, UUID version 8.

    Examples
    --------
    >>> derive_uid("a", "b") == derive_uid("a", "b") != derive_uid("ab")
    True
    """
    digest = bytearray(sha256(json.dumps(parts).encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return f"2.25.{UUID(bytes=bytes(digest)).int}"
