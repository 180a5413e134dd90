"""The check of how long the certificates are still valid."""

from collections.abc import Iterator
from datetime import timedelta

from node.clock import SystemClock
from node.config import Configuration
from node.dicom.certificates import endings
from node.operate.doctor.result import CheckResult, Severity

__all__ = ["certificates"]

_SOON, _VERY_SOON = timedelta(days=30), timedelta(days=7)
_RENEW = "Replace the file by a renewed one; the node reads it at the next connection, without a restart."


def certificates(configuration: Configuration) -> Iterator[CheckResult]:
    """Check that no certificate, authority or revocation list has ended or ends soon."""
    now = SystemClock().now()
    for ending in endings(configuration):
        day = f"{ending.at:%Y-%m-%d}"
        if ending.at <= now:
            yield CheckResult(Severity.FAULT, ending.of, f"ended on {day}: no connection succeeds", _RENEW)
        elif ending.at - now < _SOON:
            severity = Severity.FAULT if ending.at - now < _VERY_SOON else Severity.WARNING
            days = (ending.at - now).days
            yield CheckResult(severity, ending.of, f"ends on {day}, in {days} days", _RENEW)
        else:
            yield CheckResult(Severity.GOOD, ending.of, f"is valid until {day}")
