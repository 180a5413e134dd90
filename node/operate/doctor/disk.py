"""The check of the disk for the days to come."""

from collections.abc import Iterator
from contextlib import closing
from math import inf

from node.clock import SystemClock
from node.config import Configuration, StorageSettings
from node.domain.growth import LEAST_DAYS
from node.errors import PermanentError, TransientError
from node.operate.doctor.result import CheckResult, Severity
from node.show.disk import disk_lasts
from node.store import is_there, open_database, store_url

__all__ = ["disk"]


def disk(configuration: Configuration) -> Iterator[CheckResult]:
    """Check that the disk lasts for [storage] disk_days at the rate of the last week.

    Nothing is told where folder or database are missing or faulty, which other checks tell.
    """
    settings = configuration.storage
    try:
        if not settings.directory.is_dir() or not is_there(store_url(configuration)):
            return
        with closing(open_database(configuration)) as store:
            days = disk_lasts(store, settings, SystemClock().now())
    except (PermanentError, TransientError):
        return
    yield _judged(days, settings)


def _judged(days: float | None, settings: StorageSettings) -> CheckResult:
    """Judge for how many days the disk lasts."""
    subject = f"disk of {settings.directory}"
    if days is None:
        words = f"how long it lasts is told after {LEAST_DAYS + 1} days of work"
        return CheckResult(Severity.GOOD, subject, words)
    if days == inf:
        words = "it lasts at the rate of the last week: by the time it would be full, as much goes as comes"
        return CheckResult(Severity.GOOD, subject, words)
    words = f"at the rate of the last week, the watermark is reached in {days:.1f} days"
    if days >= 2 * settings.disk_days:
        return CheckResult(Severity.GOOD, subject, words)
    severity = Severity.FAULT if days < settings.disk_days else Severity.WARNING
    remedy = "Free or add disk, or shorten [storage] retention_days; [storage] disk_days is the limit."
    return CheckResult(severity, subject, words, remedy)
