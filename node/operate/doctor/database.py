"""The check of the database, and of what it tells about the disk in the days to come."""

from collections.abc import Iterator
from math import inf

from node.clock import SystemClock
from node.config import Configuration, StorageSettings
from node.domain.growth import LEAST_DAYS
from node.domain.health import WAIT_FOR_OPERATOR
from node.errors import PermanentError
from node.operate.doctor.result import CheckResult, Severity
from node.show.disk import disk_lasts
from node.store import is_there, open_database, store_url

__all__ = ["database"]

_NAMED = 3
_SUBJECT = "database"


def database(configuration: Configuration) -> Iterator[CheckResult]:
    """Check that the database can be used, if there is one yet, and that no study in it was set aside."""
    try:
        if not is_there(store_url(configuration)):
            yield CheckResult(Severity.GOOD, _SUBJECT, "is empty; `osteonode serve` makes its tables")
            return
        store = open_database(configuration)
    except PermanentError as error:
        yield CheckResult(
            Severity.FAULT, _SUBJECT, str(error), "Correct [store] url, or do what the message says."
        )
        return
    now = SystemClock().now()
    try:
        waiting = store.failed_studies(now - WAIT_FOR_OPERATOR, _NAMED)
        # With a database server the folder may be missing, which the check of the storage tells.
        there = configuration.storage.directory.is_dir()
        lasts = disk_lasts(store, configuration.storage, now) if there else None
    finally:
        store.close()
    if there:
        yield _disk(lasts, configuration.storage)
    if not waiting.count:
        yield CheckResult(Severity.GOOD, _SUBJECT, "answers, and no study in it waits for a person")
        return
    named = ", ".join(study.study_uid for study in waiting.latest)
    more = ", ..." if waiting.count > _NAMED else ""
    yield CheckResult(
        Severity.WARNING,
        _SUBJECT,
        f"answers; {waiting.count} of the studies in it wait for a person: {named}{more}",
        "Repair the cause that `osteonode why` names, then `osteonode retry`; or `osteonode purge --failed`.",
    )


def _disk(days: float | None, settings: StorageSettings) -> CheckResult:
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
