"""The check of the database."""

from collections.abc import Iterator

from node.clock import SystemClock
from node.config import Configuration
from node.domain.health import WAIT_FOR_OPERATOR
from node.errors import PermanentError
from node.operate.doctor.result import CheckResult, Severity
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
    try:
        waiting = store.failed_studies(SystemClock().now() - WAIT_FOR_OPERATOR, _NAMED)
    finally:
        store.close()
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
