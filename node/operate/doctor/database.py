"""What the database tells: whether it answers, and whether something in it waits for a person."""

from collections.abc import Iterator

from node.clock import SystemClock
from node.config import Configuration
from node.domain.health import WAIT_FOR_A_PERSON
from node.errors import PermanentError
from node.operate.doctor.finding import Finding, Level
from node.store import is_there, open_database, store_url

__all__ = ["database"]

_NAMED = 3
_SUBJECT = "database"


def database(configuration: Configuration) -> Iterator[Finding]:
    """Tell whether the database can be worked with, if there is one yet, and what was set aside in it."""
    try:
        if not is_there(store_url(configuration)):
            yield Finding(Level.GOOD, _SUBJECT, "is empty; `osteonode serve` makes its tables")
            return
        store = open_database(configuration)
    except PermanentError as error:
        yield Finding(Level.FAULT, _SUBJECT, str(error), "Mend [store] url, or do as it says.")
        return
    try:
        waiting = store.set_aside(SystemClock().now() - WAIT_FOR_A_PERSON, _NAMED)
    finally:
        store.close()
    if not waiting.count:
        yield Finding(Level.GOOD, _SUBJECT, "answers, and no study in it waits for a person")
        return
    named = ", ".join(study.study_uid for study in waiting.latest)
    more = ", ..." if waiting.count > _NAMED else ""
    yield Finding(
        Level.WARNING,
        _SUBJECT,
        f"answers; {waiting.count} of the studies in it wait for a person: {named}{more}",
        "Mend the cause that `osteonode why` tells, and `osteonode retry`; or `osteonode purge --failed`.",
    )
