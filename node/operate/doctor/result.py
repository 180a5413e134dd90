"""The result of a check, with its severity."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from node.config import Configuration

__all__ = ["Check", "CheckResult", "Severity", "unusable_tls"]


class Severity(IntEnum):
    """How serious a result is; the values are the exit codes of `osteonode doctor`."""

    GOOD = 0
    WARNING = 4
    FAULT = 5


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found out about one subject.

    Attributes
    ----------
    severity : Severity
        How serious it is.
    subject : str
        What was checked.
    message : str
        What was found.
    remedy : str
        How to repair it; empty if it is good.
    """

    severity: Severity
    subject: str
    message: str
    remedy: str = ""


Check = Callable[[Configuration], Iterator[CheckResult]]
"""A function that checks one part of what a node needs."""


def unusable_tls(subject: str, error: Exception) -> CheckResult:
    """Return the result for TLS files, of a server or a client, that cannot be used."""
    return CheckResult(
        Severity.FAULT,
        subject,
        str(error),
        "Set certificate, key and ca to PEM files that this user can read, and a key without a password.",
    )
