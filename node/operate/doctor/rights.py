"""Whether other users of the machine can read or enter a file or folder."""

from pathlib import Path

__all__ = ["is_open_to_others"]

_FOR_OTHERS = 0o077
"""Rights of the group and of all others."""


def is_open_to_others(path: Path) -> bool:
    """Tell whether anyone but its owner has a right on a file or folder."""
    return bool(path.stat().st_mode & _FOR_OTHERS)
