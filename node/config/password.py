"""Passwords are kept as hashes only: Argon2id, in the PHC string format.

References
----------
RFC 9106, Argon2; OWASP Password Storage Cheat Sheet, for the costs.
"""

import os
import re

__all__ = ["SHORTEST", "hash_of", "is_hash", "is_right"]

SHORTEST = 12
"""Characters of the shortest password that is taken."""

_MEMORY_KIB, _ITERATIONS, _LANES = 19 * 1024, 2, 1
_SALT_BYTES, _HASH_BYTES = 16, 32
_HASH = re.compile(r"\$argon2id\$v=19\$m=\d{1,7},t=\d{1,2},p=\d{1,2}\$[A-Za-z0-9+/]{16,}\$[A-Za-z0-9+/]{22,}")


def hash_of(password: str) -> str:
    """Return the hash of a password, with a salt of its own and all that is needed to compare it."""
    # Imported here, because nobody without users needs it.
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    return Argon2id(
        salt=os.urandom(_SALT_BYTES),
        length=_HASH_BYTES,
        iterations=_ITERATIONS,
        lanes=_LANES,
        memory_cost=_MEMORY_KIB,
    ).derive_phc_encoded(password.encode())


def is_right(password: str, hashed: str) -> bool:
    """Tell whether a password is the one of a hash."""
    from cryptography.exceptions import InvalidKey
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        Argon2id.verify_phc_encoded(password.encode(), hashed)
    except InvalidKey:
        return False
    return True


def is_hash(text: str) -> bool:
    """Tell whether a text is a hash as `hash_of` returns it.

    Examples
    --------
    >>> is_hash("secret"), is_hash(f"$argon2id$v=19$m=19456,t=2,p=1${'a' * 22}${'b' * 43}")
    (False, True)
    """
    return _HASH.fullmatch(text) is not None
