"""How the C library keeps the memory that this process has freed."""

import ctypes
from contextlib import suppress

__all__ = ["give_back", "keep_one_heap"]

_ARENA_MAX = -8
"""M_ARENA_MAX of glibc's malloc.h."""


def keep_one_heap() -> None:
    """Let all threads that start from now on share one heap, where the C library can do so (glibc).

    Otherwise each thread gets a heap of its own, and what one has freed is not used by the others.
    """
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def give_back() -> None:
    """Give the free memory of the C library back to the system, where the library can do so (glibc).

    It keeps freed blocks for later ones. After the segmentation these are tens of megabytes that no later
    step uses.
    """
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
