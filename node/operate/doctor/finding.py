"""What a check finds, and how bad it is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from node.config import Configuration

__all__ = ["Check", "Finding", "Level", "unusable_tls"]


class Level(IntEnum):
    """How bad it is; the values are the exit codes of `osteonode doctor`."""

    GOOD = 0
    WARNING = 4
    FAULT = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    level : Level
        How it is.
    subject : str
        What was looked at.
    message : str
        What was found.
    remedy : str
        How to mend it; empty when it is good.
    """

    level: Level
    subject: str
    message: str
    remedy: str = ""


Check = Callable[[Configuration], Iterator[Finding]]
"""Looks at one part of what a node needs."""


def unusable_tls(subject: str, error: Exception) -> Finding:
    """Return what is found where the files for TLS, of whichever side, cannot be used."""
    return Finding(
        Level.FAULT,
        subject,
        str(error),
        "Let certificate, key and ca name PEM files that this user can read; the key without a password.",
    )
