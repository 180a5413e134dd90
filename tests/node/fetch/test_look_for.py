"""What the clock asks an archive for, and how questions are divided whose answers are too long."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import pytest

from node.config import LookFor
from node.domain.archive import ArchiveQuery, FoundStudy
from node.domain.wish import Batch, NewWish, Priority, Taken, WishState
from node.errors import TooManyFoundError, TransientError
from node.fetch.look_for import ask_by_clock
from node.fetch.questions import find_all
from node.log import get_log
from tests.node.fetch.scripted import ScriptedArchive
from tests.node.store.memory import MemoryStore, Tables

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


@dataclass
class Dated(ScriptedArchive):
    """An archive that answers with so many studies at most, as many archives do."""

    dated: list[FoundStudy] = field(default_factory=list)
    limit: int = 100
    asked: list[ArchiveQuery] = field(default_factory=list)

    def find_studies(self, query: ArchiveQuery, most: int) -> Sequence[FoundStudy]:
        """See `node.ports.Archive`."""
        self.reach()
        self.asked.append(query)
        found = [one for one in self.dated if one.study_date and query.since <= one.study_date <= query.until]  # type: ignore[operator]
        if len(found) > min(most, self.limit):
            raise TooManyFoundError("more than it returns at once")
        return found


class Noon:
    """A clock that stands still."""

    def now(self) -> datetime:
        """See `node.ports.Clock`."""
        return NOON


def studies_of(days: int, each: int) -> list[FoundStudy]:
    return [
        FoundStudy(f"1.{day}.{number}", study_date=NOON.date() - timedelta(days=day), images=10)
        for day in range(days)
        for number in range(each)
    ]


def test_a_range_with_too_many_studies_is_divided_until_each_answer_is_whole() -> None:
    archive = Dated(dated=studies_of(60, 3), limit=20)
    query = ArchiveQuery(since=NOON.date() - timedelta(days=59), until=NOON.date())
    found = find_all(archive, query)
    assert sorted(one.study_uid for one in found) == sorted(one.study_uid for one in archive.dated)


def test_too_many_studies_of_one_day_are_told_and_not_left_out() -> None:
    archive = Dated(dated=studies_of(1, 30), limit=20)
    with pytest.raises(TooManyFoundError):
        find_all(archive, ArchiveQuery(since=date(2026, 3, 1), until=date(2026, 3, 5)))


def test_the_clock_puts_new_studies_as_live_and_those_that_have_grown_once_more() -> None:
    archive, store = Dated(dated=studies_of(3, 2)), MemoryStore(Tables())
    look_for = LookFor(days=2, oldest=60)
    archive.dated[0] = replace(archive.dated[0], birth_date=date(1950, 1, 1))
    assert ask_by_clock(archive, look_for, store, Noon(), get_log()) == Taken(new=3)
    assert ask_by_clock(archive, look_for, store, Noon(), get_log()) == Taken(before=3)
    lease = store.lease_wish("pacs", "n", NOON, NOON + timedelta(hours=1))
    assert lease is not None
    assert lease.wish.priority is Priority.LIVE
    store.end_wish(lease, WishState.NOT_FOR_US, "it is a knee", NOON)
    archive.dated = [
        replace(one, images=20) if one.study_uid == lease.wish.study_uid else one for one in archive.dated
    ]
    assert ask_by_clock(archive, look_for, store, Noon(), get_log()) == Taken(renewed=1, before=2)
    assert archive.asked[0] == ArchiveQuery(since=date(2026, 3, 4), until=date(2026, 3, 5))


def test_a_long_order_is_put_in_short_transactions_and_counted_once() -> None:
    archive, store = Dated(dated=studies_of(2, 130), limit=1000), MemoryStore(Tables())
    sizes = []
    put = store.put_wishes

    def noted(batch: Batch, studies: Sequence[NewWish], now: datetime, *, renew: bool) -> Taken:
        sizes.append(len(studies))
        return put(batch, studies, now, renew=renew)

    store.put_wishes = noted  # type: ignore[method-assign]
    assert ask_by_clock(archive, LookFor(), store, Noon(), get_log()) == Taken(new=260)
    assert max(sizes) <= 100
    assert store.batches(1)[0].total == 260


def test_an_archive_that_does_not_answer_the_clock_is_asked_the_next_time() -> None:
    archive, store = Dated(dated=studies_of(1, 1), is_down=True), MemoryStore(Tables())
    assert ask_by_clock(archive, LookFor(), store, Noon(), get_log()) == Taken()
    archive.is_down = False
    assert ask_by_clock(archive, LookFor(), store, Noon(), get_log()) == Taken(new=1)
    with pytest.raises(TransientError):
        Dated(is_down=True).reach()
