"""What the clock asks an archive for."""

from datetime import date, timedelta

from node.config import LookFor
from node.domain.archive import ArchiveQuery
from node.domain.wish import Batch, NewWish, Priority, Taken, clock_batch
from node.errors import PermanentError, TransientError
from node.fetch.putting import put_all
from node.fetch.questions import find_all
from node.log import Log
from node.ports import Archive, Clock, WishBook

__all__ = ["ask_by_clock", "query_of"]


def query_of(look_for: LookFor, today: date) -> ArchiveQuery:
    """Return the question that the clock asks.

    Examples
    --------
    >>> query_of(LookFor(days=2, description="*LWS*"), date(2024, 3, 1)).since
    datetime.date(2024, 2, 29)
    """
    first = today - timedelta(days=look_for.days - 1)
    return ArchiveQuery(
        since=first, until=today, description=look_for.description, modality=look_for.modality
    )


def ask_by_clock(archive: Archive, look_for: LookFor, book: WishBook, clock: Clock, log: Log) -> Taken:
    """Ask an archive for the studies of the last days, and put those that are new.

    An archive that does not answer is asked again at the next time; `days` says how far back that reaches.
    """
    now = clock.now()
    # The day where this machine is: archives know no time zones.
    today = now.astimezone().date()
    try:
        found = find_all(archive, query_of(look_for, today))
    except (TransientError, PermanentError) as error:
        log.warning("archive_not_asked", archive=archive.name, reason=str(error))
        return Taken()
    studies = [
        NewWish(one.study_uid, one.study_date, one.images) for one in found if look_for.suits(one.age_years)
    ]
    batch = Batch(clock_batch(archive.name), archive.name, "what the clock asks for", now, Priority.LIVE)
    taken = put_all(book, batch, studies, now, renew=False)
    log.info("archive_asked", archive=archive.name, count=len(found), new=taken.new, grown=taken.renewed)
    return taken
