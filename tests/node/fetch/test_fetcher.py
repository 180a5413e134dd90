"""What a fetcher does with each answer of an archive; the archives themselves are tested beside them."""

# ruff: noqa: D102 - steps of the tests

from datetime import date, time, timedelta
from threading import Event

import pytest

from node.config import FetchLimits, LookFor
from node.domain.archive import FoundStudy, Retrieved
from node.domain.backoff import Backoff
from node.domain.rules import AgeRange, Rule, TextCondition
from node.domain.wish import Batch, NewWish, Priority, Wish, WishState, clock_batch
from node.errors import BusyError, PermanentError, TransientError
from node.fetch.fetcher import Fetcher
from node.fetch.holding import HeldOpen
from node.log import get_log
from tests.node.fetch.scripted import ScriptedArchive, pair
from tests.node.nodes import MovedClock
from tests.node.store.memory import MemoryStore, Tables
from tests.node.store.suite.studies import PATIENCE, SECOND, arrival

ATTEMPTS = 3
REST = 60.0


class Station:
    """A fetcher with its store and archive, and a clock that moves when it is told to."""

    def __init__(self, *studies: str, limits: FetchLimits = FetchLimits(), day_time: time = time(12)) -> None:  # noqa: B008 - frozen
        self.tables = Tables()
        self.store = MemoryStore(self.tables)
        self.clock = MovedClock()
        self.archive = ScriptedArchive({uid: pair(uid) for uid in studies})
        self.stopping = Event()
        self.day_time = day_time
        self.rules: tuple[Rule, ...] = ()
        self.fetcher = self.made(limits)
        self.wish(*studies)

    def made(self, limits: FetchLimits) -> Fetcher:
        return Fetcher(
            self.archive,
            limits,
            LookFor(),
            queue=self.store,
            clock=self.clock,
            backoff=Backoff.of_seconds(REST, 8 * REST),
            attempts=ATTEMPTS,
            owner="n",
            stopping=self.stopping,
            log=get_log(),
            day_time=lambda _moment: self.day_time,
            rules=lambda: self.rules,
        )

    def wish(self, *studies: str, priority: Priority = Priority.BACKLOG, name: str = "b") -> None:
        batch = Batch(name, "pacs", "", self.clock.now(), priority)
        self.store.put_wishes(batch, [NewWish(one) for one in studies], self.clock.now(), renew=True)

    def of(self, study: str) -> Wish:
        (wish,) = self.store.wishes(study)
        return wish

    def state(self, study: str) -> WishState:
        return self.of(study).state

    def arrive(self, study: str, *numbers: int) -> None:
        arrivals = [arrival(study, number) for number in numbers]
        self.store.record_arrivals(arrivals, self.clock.now(), PATIENCE)


def test_only_the_series_that_matter_are_fetched_once() -> None:
    station = Station("1.1", "1.2")
    assert station.fetcher.sweep() == 2
    assert station.archive.retrieved == [
        ("1.1", "1.1.1"),
        ("1.1", "1.1.2"),
        ("1.2", "1.2.1"),
        ("1.2", "1.2.2"),
    ]
    station.wish("1.1", name="another")
    assert station.fetcher.sweep() == 0
    assert station.state("1.1") is WishState.FETCHED


def test_an_outage_costs_no_study_an_attempt_and_one_study_tests_the_archive() -> None:
    station = Station("1.1", "1.2", "1.3")
    station.archive.is_down = True
    for _ in range(2 * ATTEMPTS):
        assert station.fetcher.sweep() == 1
        assert station.fetcher.sweep() == 0, "the breaker is open"
        station.clock.move(seconds=13 * REST)
    assert station.fetcher.state.breaker.reason == "it is down"
    station.archive.is_down = False
    assert station.fetcher.sweep() == 3
    assert {station.state(one) for one in ("1.1", "1.2", "1.3")} == {WishState.FETCHED}
    assert not station.fetcher.state.breaker.failures


@pytest.mark.parametrize(
    "answer",
    [TransientError("it broke off"), Retrieved(1, 1, reason="out of resources"), Retrieved(1), Retrieved(0)],
)
def test_half_a_series_is_asked_for_again_and_then_given_up_with_the_reason(
    answer: Retrieved | Exception,
) -> None:
    station = Station("1.1")
    station.archive.answers = [Retrieved(2), *ATTEMPTS * [answer]]
    for _ in range(ATTEMPTS):
        assert station.fetcher.sweep() == 1
        station.clock.move(seconds=9 * REST)
    assert station.archive.retrieved == [("1.1", "1.1.1")] + ATTEMPTS * [("1.1", "1.1.2")]
    wish = station.of("1.1")
    assert wish.state is WishState.FAILED
    assert wish.reason in {
        "it broke off",
        "1 of 2 images of a series came: out of resources",
        "1 of 2 images of a series came",
        "0 of 2 images of a series came",
    }
    station.wish("1.1", name="again")
    assert station.fetcher.sweep() == 1
    assert station.archive.retrieved[-1] == ("1.1", "1.1.2"), "what came counts"
    assert station.state("1.1") is WishState.FETCHED


def test_what_the_rules_discard_is_no_failure_and_is_judged_anew_when_a_person_asks_again() -> None:
    studies = [f"1.{number}" for number in range(1, 6)]
    station = Station(*studies)
    station.archive.answers = [Retrieved(0, discarded=2, rules=frozenset({"children"}))] * 10
    assert station.fetcher.sweep() == len(studies)
    assert {station.state(one) for one in studies} == {WishState.NOT_FOR_US}
    assert station.of("1.1").reason == "the rules discarded all of its images: children"
    assert not station.of("1.1").images
    assert not station.fetcher.state.breaker.failures
    station.wish("1.1", name="after other rules came in force")
    assert station.fetcher.sweep() == 1
    assert (station.state("1.1"), station.of("1.1").images) == (WishState.FETCHED, 4)


def test_a_series_of_which_a_part_was_discarded_is_not_asked_for_again() -> None:
    station = Station("1.1")
    part = Retrieved(1, discarded=1, rules=frozenset({"children"}))
    station.archive.answers = [part, Retrieved(0, failed=1, discarded=1)]
    station.fetcher.sweep()
    assert station.state("1.1") is WishState.FETCHING, "half of the other series is still to come"
    station.clock.move(seconds=2 * REST)
    station.archive.answers = [part]
    station.fetcher.sweep()
    assert (station.state("1.1"), station.of("1.1").images) == (WishState.FETCHED, 2)
    assert [series for _, series in station.archive.retrieved] == ["1.1.1", "1.1.2", "1.1.2"]


def test_half_a_series_that_comes_in_full_the_next_time_is_whole() -> None:
    station = Station("1.1")
    station.archive.answers = [Retrieved(1)]
    station.fetcher.sweep()
    station.clock.move(seconds=2 * REST)
    station.fetcher.sweep()
    assert station.state("1.1") is WishState.FETCHED
    assert station.of("1.1").is_whole


def test_one_study_that_is_refused_fails_alone() -> None:
    station = Station("1.1", "1.2")
    station.archive.answers = [PermanentError("no such series")]
    assert station.fetcher.sweep() == 2
    assert (station.state("1.1"), station.state("1.2")) == (WishState.FAILED, WishState.FETCHED)


@pytest.mark.parametrize(
    ("answer", "failed"), [(PermanentError("move destination unknown"), 3), (TransientError("no answer"), 2)]
)
def test_an_archive_that_serves_nobody_does_not_use_up_the_backlog(answer: Exception, failed: int) -> None:
    studies = [f"1.{number}" for number in range(1, 10)]
    station = Station(*studies)
    station.archive.answers = [answer] * 7
    for _ in range(20):
        station.fetcher.sweep()
        station.clock.move(seconds=13 * REST)
    states = [station.state(one) for one in studies]
    assert states.count(WishState.FAILED) <= failed
    assert states.count(WishState.FETCHED) >= 9 - failed


def test_an_archive_that_is_busy_is_left_alone_for_as_long_as_it_asks_and_no_study_is_charged() -> None:
    station = Station("1.1")
    station.archive.answers = [BusyError("it is asked too often", wait_s=100 * REST)] * (2 * ATTEMPTS)
    for _ in range(2 * ATTEMPTS):
        assert station.fetcher.sweep() == 1
        station.clock.move(seconds=99 * REST)
        assert station.fetcher.sweep() == 0
        station.clock.move(seconds=60 * REST)
    assert station.of("1.1").attempts == 0
    assert station.fetcher.sweep() == 1
    assert station.state("1.1") is WishState.FETCHED


def test_rules_about_the_patient_and_the_study_decide_before_anything_is_fetched() -> None:
    """Archives tell the date of birth and the description of a study at the level of studies only."""
    young, old, silent = (
        FoundStudy("1.1", study_date=date(2024, 3, 1), birth_date=date(2010, 1, 1)),
        FoundStudy("1.2", study_date=date(2024, 3, 1), birth_date=date(1960, 1, 1), description="MR brain"),
        FoundStudy("1.3"),
    )
    station = Station("1.1", "1.2", "1.3")
    station.archive.told = {one.study_uid: one for one in (young, old, silent)}
    station.rules = (
        Rule("children", take=False, conditions=(AgeRange(below=18),)),
        Rule("brain", take=False, conditions=(TextCondition("description", ("*brain*",)),)),
    )
    assert station.fetcher.sweep() == 3
    assert [station.state(one) for one in ("1.1", "1.2", "1.3")] == [
        WishState.NOT_FOR_US, WishState.NOT_FOR_US, WishState.FETCHED,
    ]  # fmt: skip
    assert "the rule children discards it" in station.of("1.1").reason
    assert {study for study, _ in station.archive.retrieved} == {"1.3"}


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_restart_goes_on_where_it_was(at: int) -> None:
    station = Station("1.1", "1.2")

    def kill(_study: str, _series: str) -> None:
        if len(station.archive.retrieved) == at:
            raise KeyboardInterrupt

    station.archive.on_retrieve = kill
    with pytest.raises(KeyboardInterrupt):
        station.fetcher.sweep()
    station.archive.on_retrieve = lambda _study, _series: None
    station.store.release_leases(station.clock.now())
    station.made(FetchLimits()).sweep()
    assert {station.state(one) for one in ("1.1", "1.2")} == {WishState.FETCHED}
    twice = station.archive.retrieved[at - 1]
    assert len(station.archive.retrieved) == 5
    assert sorted(station.archive.retrieved).count(twice) == 2, "only what was cut off is asked for again"


def test_a_series_that_was_cut_off_counts_as_whole_once_the_archive_has_no_more_of_it() -> None:
    """As when the node is killed after the last image, and before the end of the transfer is noted."""
    station = Station("1.1")
    station.store.record_arrivals(
        [arrival("1.1", number, association="lost") for number in (1, 2)], station.clock.now(), PATIENCE
    )
    station.store.cut_off_associations(station.clock.now())
    assert station.store.cut_off_series("1.1") == {"1.1.1"}
    station.clock.move(seconds=30)
    station.fetcher.sweep()
    assert not station.store.cut_off_series("1.1")


def test_a_study_that_is_here_is_not_fetched_and_one_that_is_here_in_part_is_completed() -> None:
    station = Station("1.1", "1.2", "1.3")
    station.arrive("1.1", 1, 2)  # its T1
    for study in ("1.2", "1.3"):
        station.archive.studies[study] = pair(study)[:1]
        station.arrive(study, 1, 2)
    forgotten = station.store.study("1.3")
    assert forgotten is not None
    station.store.forget_originals(forgotten, lambda _images: None)
    station.clock.move(seconds=30)
    station.fetcher.sweep()
    assert station.archive.retrieved == [("1.1", "1.1.2")]
    assert station.state("1.1") is WishState.FETCHED
    assert station.of("1.1").was_here
    assert (station.of("1.2").state, station.of("1.3").state) == (WishState.HERE, WishState.HERE)
    assert "not kept any more" in station.of("1.3").reason


def test_what_the_archive_does_not_have_or_this_node_does_not_analyse_ends_with_a_reason() -> None:
    station = Station("1.1", "1.2")
    del station.archive.studies["1.1"]
    station.archive.studies["1.2"] = pair("1.2")[2:]
    station.fetcher.sweep()
    assert station.state("1.1") is WishState.NOT_FOUND
    assert station.state("1.2") is WishState.NOT_FOR_US
    assert "none of its 1 series can be analysed" in station.of("1.2").reason
    assert not station.archive.retrieved


@pytest.mark.parametrize(
    ("limits", "day_time", "fetched"),
    [
        (FetchLimits(), time(12), {"1.1", "1.2", "1.9"}),
        (FetchLimits(window="18:00 to 06:00"), time(12), {"1.9"}),
        (FetchLimits(window="18:00 to 06:00"), time(5), {"1.1", "1.2", "1.9"}),
        (FetchLimits(studies_per_hour=2), time(12), {"1.1", "1.9"}),
    ],
)
def test_the_limits_are_kept_and_the_live_go_first(
    limits: FetchLimits, day_time: time, fetched: set[str]
) -> None:
    station = Station("1.1", "1.2", limits=limits, day_time=day_time)
    station.archive.studies["1.9"] = pair("1.9")
    station.wish("1.9", priority=Priority.LIVE, name=clock_batch("pacs"))
    station.fetcher.sweep()
    assert {study for study, _ in station.archive.retrieved} == fetched
    assert station.archive.retrieved[0][0] == "1.9"
    if limits.studies_per_hour:
        station.clock.move(minutes=61)
        station.fetcher.sweep()
        assert {study for study, _ in station.archive.retrieved} == {"1.1", "1.2", "1.9"}


def test_the_backlog_stays_ahead_of_the_analysis_by_so_many_studies_only() -> None:
    station = Station("1.1", "1.2", "1.3", limits=FetchLimits(ahead=2))
    station.archive.on_retrieve = lambda study, _series: station.arrive(study, 1)
    assert station.fetcher.sweep() == 2
    assert station.state("1.3") is WishState.WAITING
    assert "2 fetched studies wait" in station.fetcher.state.rests


def test_fetching_stands_back_while_images_are_sent() -> None:
    station = Station("1.1", "1.2")

    def send_meanwhile(study: str, series: str) -> None:
        if (study, series) == ("1.1", "1.1.1"):
            station.arrive("1.7", 1)

    station.archive.on_retrieve = send_meanwhile
    station.fetcher.sweep()
    assert station.archive.retrieved == [("1.1", "1.1.1")]
    assert station.of("1.1").state is WishState.FETCHING
    station.archive.studies["1.9"] = pair("1.9")
    station.wish("1.9", priority=Priority.LIVE, name="urgent")
    assert station.fetcher.sweep() == 1, "what is urgent need not stand back"
    del station.archive.retrieved[1:]
    station.clock.move(seconds=30)
    station.fetcher.sweep()
    assert station.archive.retrieved[1:] == [("1.1", "1.1.2"), ("1.2", "1.2.1"), ("1.2", "1.2.2")]
    assert station.of("1.1").attempts == 0


def test_a_batch_that_is_cancelled_meanwhile_ends_at_the_next_series() -> None:
    station = Station("1.1", "1.2")

    def cancel(_study: str, _series: str) -> None:
        station.store.cancel_wishes(["b"], station.clock.now())

    station.archive.on_retrieve = cancel
    station.fetcher.sweep()
    assert station.archive.retrieved == [("1.1", "1.1.1")]
    assert {station.state(one) for one in ("1.1", "1.2")} == {WishState.CANCELLED}


def test_a_study_is_held_open_until_all_of_it_is_fetched_but_not_for_ever() -> None:
    station = Station("1.1")

    class Nothing:
        def is_open(self, _study: str, _gone_on: timedelta) -> bool:
            return False

    held = HeldOpen(Nothing(), station.store, station.clock)
    assert not held.is_open("1.1", SECOND)
    station.archive.answers = [Retrieved(2), TransientError("it broke off")]
    station.fetcher.sweep()
    assert held.is_open("1.1", SECOND)
    station.clock.move(hours=7)
    assert not held.is_open("1.1", SECOND)
    station.fetcher.sweep()
    assert not held.is_open("1.1", SECOND)
