"""What the nodes of one database know of each other, and what becomes of the studies of those that vanish."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from node.clock import SystemClock
from node.domain.nodes import REMEMBERED, NodeEntry, NodeRole
from node.domain.study import StudyEvent, StudyState
from node.errors import LeaseLostError
from node.store import tables as t
from node.store.nodes import SqlNodes
from node.store.sql import SqlStore
from tests.node.store.suite.studies import LEASE, START, ready

MAIN = NodeEntry("m", "hall", NodeRole.MAIN, START)
ONE = NodeEntry("one", "left", NodeRole.ANALYSE, START, {"program": "1"}, waits="it waits")
TWO = replace(ONE, owner="two", name="right", waits="")
LASTS, GONE = timedelta(hours=1), timedelta(seconds=-1)


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    opened = SqlStore(url)
    yield opened
    opened.close()


@pytest.fixture
def book(store: SqlStore, url: str) -> Iterator[SqlNodes]:
    opened = SqlNodes(t.open_engine(url))
    yield opened
    opened.close()
    del store


def names(book: SqlNodes) -> list[str]:
    return [one.entry.name for one in book.nodes()]


def test_what_a_node_tells_of_itself_is_read_back_the_main_one_first(store: SqlStore, book: SqlNodes) -> None:
    for entry in (TWO, ONE, MAIN):
        book.sign(entry, LASTS, START)
    book.note_early("m", ["1.9", "1.8"])
    ready(store)
    assert store.lease_study("two", START, START + LEASE)
    main, one, two = book.nodes()
    assert main.entry == replace(MAIN, early=("1.8", "1.9"))
    assert (one.entry, two.entry) == (ONE, TWO)
    assert (one.studies, len(two.studies)) == ((), 1)
    assert all(it.is_alive and it.silent_for < LASTS for it in (main, one, two))


def test_the_studies_of_a_node_that_vanished_are_free_and_its_late_result_is_refused(
    store: SqlStore, book: SqlNodes
) -> None:
    ready(store)
    book.sign(ONE, GONE, START)
    lease = store.lease_study("one", START, START + LEASE)
    assert lease is not None
    book.sign(TWO, LASTS, START)
    assert book.free_vanished(TWO, START) == 1
    step = store.history(lease.study_uid)[-1]
    assert (step.event, step.reason) == (StudyEvent.BROKE, "the node that analysed it vanished")
    again = store.lease_study("two", START, START + LEASE)
    assert again is not None
    assert again.study_uid == lease.study_uid
    assert again.attempt == 1, "it counts no attempt"
    with pytest.raises(LeaseLostError):
        store.record_results(lease, [], {}, START)
    with pytest.raises(LeaseLostError):
        store.record_refusal(lease, ["no"], START)
    with pytest.raises(LeaseLostError):
        store.record_broken(lease, "it died", START, START)
    store.record_results(again, [], {}, START)


def test_how_far_a_clock_is_ahead_of_that_of_the_database_is_told(book: SqlNodes) -> None:
    for entry, ahead in ((MAIN, timedelta()), (ONE, timedelta(hours=1)), (TWO, timedelta(hours=-1))):
        book.sign(entry, LASTS, SystemClock().now() + ahead)
    assert [round(one.ahead_s / 60) for one in book.nodes()] == [0, 60, -60]


def test_a_node_that_is_alive_keeps_its_studies(store: SqlStore, book: SqlNodes) -> None:
    ready(store)
    book.sign(ONE, LASTS, START)
    lease = store.lease_study("one", START, START + LEASE)
    assert book.free_vanished(TWO, START) == 0
    assert store.lease_study("two", START + 2 * LEASE, START + 3 * LEASE) is None, "clocks may differ"
    assert lease is not None
    store.record_results(lease, [], {}, START)


def test_a_node_may_take_its_own_expired_lease(store: SqlStore, book: SqlNodes) -> None:
    ready(store)
    book.sign(ONE, LASTS, START)
    assert store.lease_study("one", START, START + LEASE)
    assert store.lease_study("one", START + 2 * LEASE, START + 3 * LEASE)


@pytest.mark.parametrize(
    ("entry", "lasts", "freed"), [(ONE, LASTS, 0), (ONE, GONE, 1), (MAIN, LASTS, 1), (None, LASTS, 1)]
)
def test_a_main_node_that_starts_frees_the_leases_of_the_dead_only(
    store: SqlStore, book: SqlNodes, entry: NodeEntry | None, lasts: timedelta, freed: int
) -> None:
    ready(store)
    if entry is not None:
        book.sign(entry, lasts, START)
    assert store.lease_study(entry.owner if entry else "old", START, START + LEASE)
    assert store.release_leases(START) == freed


def test_a_node_that_stops_frees_its_studies_and_is_forgotten(store: SqlStore, book: SqlNodes) -> None:
    ready(store)
    book.sign(ONE, LASTS, START)
    book.sign(TWO, LASTS, START)
    lease = store.lease_study("one", START, START + LEASE)
    assert lease is not None
    assert book.leave("two", START) == 0
    assert book.leave("one", START) == 1
    assert names(book) == []
    found = store.study(lease.study_uid)
    assert found is not None
    assert found.state is StudyState.READY


def test_one_that_vanished_is_told_until_its_name_is_back(book: SqlNodes) -> None:
    book.sign(ONE, GONE, START)
    book.sign(MAIN, LASTS, START)
    book.free_vanished(MAIN, START)
    assert names(book) == ["hall", "left"]
    back = replace(ONE, owner="new")
    book.sign(back, LASTS, START)
    book.free_vanished(back, START)
    assert [one.entry.owner for one in book.nodes()] == ["m", "new"]


def test_one_that_vanished_beside_another_of_its_name_is_told(book: SqlNodes) -> None:
    book.sign(ONE, GONE, START)
    beside = replace(ONE, owner="new")
    book.sign(beside, LASTS, START)
    book.free_vanished(beside, START + timedelta(hours=1))
    assert sorted(one.entry.owner for one in book.nodes()) == ["new", "one"]


def test_what_the_last_main_node_said_is_kept_until_another_one_says_it(book: SqlNodes) -> None:
    book.sign(MAIN, GONE, START)
    book.sign(ONE, LASTS, START)
    book.free_vanished(ONE, START)
    assert names(book) == ["hall", "left"]
    next_one = replace(MAIN, owner="n", name="cellar")
    book.sign(next_one, LASTS, START)
    book.free_vanished(next_one, START)
    assert names(book) == ["cellar", "left"]


def test_one_that_vanished_long_ago_is_forgotten(book: SqlNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    book.sign(ONE, GONE, START)
    book.free_vanished(MAIN, START)
    assert names(book) == ["left"]
    monkeypatch.setattr("node.store.nodes.REMEMBERED", -REMEMBERED)
    book.free_vanished(MAIN, START)
    assert names(book) == []
