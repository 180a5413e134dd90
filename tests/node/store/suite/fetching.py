"""Laws of studies that are fetched from archives."""

# ruff: noqa: D102 - a test's name is its sentence
from dataclasses import replace
from datetime import date, timedelta

import pytest

from analysis.domain.reason import Reason
from node.domain.study import StudyEvent, StudyState
from node.domain.wish import (
    Batch,
    Eligible,
    NewWish,
    Priority,
    Taken,
    WantedSeries,
    WishEnd,
    WishLease,
    WishState,
    brought_by,
    not_configured,
)
from node.errors import LeaseLostError
from node.ports import Store
from tests.node.store.suite.studies import (
    LEASE,
    PATIENCE,
    SECOND,
    START,
    arrival,
    ready,
    results_of,
    settle,
)

__all__ = ["FetchingLaws"]

BACKLOG = Batch("b", "pacs", "a list", START)
LIVE = Batch("clock-pacs", "pacs", "by the clock", START, Priority.LIVE)
DAY = date(2024, 3, 1)


def wish_for(store: Store, *studies: str, batch: Batch = BACKLOG, renew: bool = True) -> Taken:
    return store.put_wishes(batch, [NewWish(one, DAY) for one in studies], START, renew=renew)


def leased(store: Store, archive: str = "pacs") -> WishLease:
    lease = store.lease_wish(archive, "f", START, START + LEASE)
    assert lease is not None
    return lease


def judged(store: Store, *series: WantedSeries, was_here: bool = False) -> WishLease:
    wanted = series or (WantedSeries("1.1.1", 2), WantedSeries("1.1.2"))
    return store.record_judged(leased(store), wanted, START, was_here=was_here)


def fetched(store: Store, study: str, batch: Batch, *, was_here: bool = False) -> None:
    """Fetch a study, and bring it to the point at which it waits for a worker."""
    wish_for(store, study, batch=batch)
    lease = judged(store, WantedSeries(f"{study}.1", 1), was_here=was_here)
    lease = store.record_series(lease, f"{study}.1", 1, START, START + LEASE)
    store.end_wish(lease, WishState.FETCHED, "", START)
    ready(store, study)


class FetchingLaws:
    """Laws of the ports `WishQueue` and `WishBook`, and of what goes first."""

    def test_wishes_of_an_archive_that_is_not_configured_rest_with_the_reason_until_it_is(
        self, store: Store
    ) -> None:
        wish_for(store, "1.1", "1.2")
        elsewhere = replace(BACKLOG, name="c", archive="other")
        wish_for(store, "1.3", batch=elsewhere)
        lease = judged(store)
        assert store.tell_unconfigured({"other"}, START) == {"pacs": 2}
        (left,), (beside,) = store.wishes("1.1"), store.wishes("1.3")
        assert (left.state, left.reason) == (WishState.WAITING, not_configured("pacs"))
        assert beside.reason == ""
        assert {one.reason for one in store.ends_of_batch("b")} == {not_configured("pacs")}
        with pytest.raises(LeaseLostError):
            store.end_wish(lease, WishState.FETCHED, "", START)
        assert store.tell_unconfigured({"other", "pacs"}, START) == {}
        (back,) = store.wishes("1.1")
        assert (back.reason, back.series) == ("", lease.wish.series)
        assert leased(store).wish.state is WishState.FETCHING, "it goes on where it was"

    def test_a_study_is_asked_for_once_whatever_asks_again(self, store: Store) -> None:
        assert wish_for(store, "1.1", "1.2") == Taken(new=2)
        again = replace(BACKLOG, name="c")
        assert wish_for(store, "1.2", "1.3", batch=again) == Taken(new=1, before=1)
        assert wish_for(store, "1.1", batch=replace(BACKLOG, name="d", archive="other")) == Taken(new=1)
        taken = [leased(store).wish.study_uid for _ in range(3)]
        assert taken == ["1.1", "1.2", "1.3"]
        assert store.lease_wish("pacs", "f", START, START + LEASE) is None
        of_b, of_c = (one for one in reversed(store.batches(9)) if one.batch.archive == "pacs")
        assert {of_b.batch.before, of_c.batch.before} == {0, 1}

    def test_the_live_go_first_then_what_was_begun(self, store: Store) -> None:
        wish_for(store, "1.1", "1.2", "1.3")
        begun = judged(store)
        store.put_off_wish(begun, "it broke off", START, START, attempts=1)
        wish_for(store, "1.9", batch=LIVE)
        assert [leased(store).wish.study_uid for _ in range(3)] == ["1.9", "1.1", "1.2"]

    def test_a_backlog_that_is_asked_for_as_live_goes_first(self, store: Store) -> None:
        wish_for(store, "1.1", "1.2")
        wish_for(store, "1.2", batch=LIVE)
        assert leased(store).wish.study_uid == "1.2"

    def test_a_lease_that_expired_goes_to_another_who_continues(self, store: Store) -> None:
        wish_for(store, "1.1")
        first = judged(store)
        first = store.record_series(first, "1.1.1", 2, START, START + LEASE)
        later = START + LEASE
        second = store.lease_wish("pacs", "g", later, later + LEASE)
        assert second is not None
        assert second.wish.series == (WantedSeries("1.1.1", 2, 2), WantedSeries("1.1.2"))
        assert second.wish.study_date == DAY
        for late in (
            lambda: store.record_series(first, "1.1.2", 2, later, later),
            lambda: store.record_judged(first, (), later, was_here=False),
            lambda: store.end_wish(first, WishState.FETCHED, "", later),
            lambda: store.put_off_wish(first, "", later, later, attempts=0),
        ):
            with pytest.raises(LeaseLostError):
                late()

    @pytest.mark.parametrize("is_judged", [False, True])
    def test_a_node_that_stopped_costs_a_wish_nothing(self, store: Store, *, is_judged: bool) -> None:
        wish_for(store, "1.1")
        lease = judged(store) if is_judged else leased(store)
        assert store.release_leases(START) == 1
        (wish,) = store.wishes("1.1")
        assert wish.state is (WishState.FETCHING if is_judged else WishState.WAITING)
        assert leased(store).wish == lease.wish

    def test_a_wish_that_is_put_off_waits(self, store: Store) -> None:
        wish_for(store, "1.1")
        store.put_off_wish(leased(store), "it is down", START, START + SECOND, attempts=0)
        assert store.lease_wish("pacs", "f", START, START + LEASE) is None
        (wish,) = store.wishes("1.1")
        assert (wish.state, wish.reason) == (WishState.WAITING, "it is down")
        assert store.lease_wish("pacs", "f", START + SECOND, START + LEASE) is not None

    def test_what_has_not_begun_may_have_to_wait(self, store: Store) -> None:
        wish_for(store, "1.1", "1.2")
        lease = judged(store)
        store.put_off_wish(lease, "", START, START, attempts=0)
        wish_for(store, "1.3", batch=LIVE)
        for which, expected in (
            (Eligible.BEGUN, "1.1"),
            (Eligible.BEGUN, None),
            (Eligible.LIVE_OR_BEGUN, "1.3"),
            (Eligible.LIVE_OR_BEGUN, None),
        ):
            found = store.lease_wish("pacs", "f", START, START + LEASE, which=which)
            assert (found and found.wish.study_uid) == expected
        assert store.count_begun("pacs", START - SECOND) == 1
        assert store.count_begun("pacs", START) == 0
        assert store.count_begun("other", START - SECOND) == 0

    def test_a_batch_rests_until_it_goes_on(self, store: Store) -> None:
        wish_for(store, "1.1")
        assert store.pause_batches(["b"], paused=True) == 1
        assert store.pause_batches(["b", "none"], paused=True) == 0
        assert store.lease_wish("pacs", "f", START, START + LEASE) is None
        assert store.batches(1)[0].batch.paused
        assert store.pause_batches(["b"], paused=False) == 1
        assert leased(store).wish.study_uid == "1.1"

    def test_what_is_cancelled_is_fetched_no_more_unless_a_person_asks_again(self, store: Store) -> None:
        wish_for(store, "1.1", "1.2")
        lease = judged(store)
        assert store.cancel_wishes(["b"], START) == 2
        with pytest.raises(LeaseLostError):
            store.record_series(lease, "1.1.1", 2, START, START + LEASE)
        assert wish_for(store, "1.1", renew=False) == Taken(before=1)
        assert store.lease_wish("pacs", "f", START, START + LEASE) is None
        assert wish_for(store, "1.1", batch=replace(BACKLOG, name="c")) == Taken(renewed=1)
        again = leased(store)
        assert (again.wish.batch, again.wish.state) == ("c", WishState.FETCHING)
        assert again.wish.series == lease.wish.series, "what came of it counts"

    def test_what_was_not_for_us_is_judged_anew_when_a_person_asks_again(self, store: Store) -> None:
        wish_for(store, "1.1")
        lease = judged(store)
        for series in lease.wish.missing:
            lease = store.record_series(lease, series.series_uid, 0, START, START + LEASE, is_all=True)
        assert not lease.wish.missing
        store.end_wish(lease, WishState.NOT_FOR_US, "the rules discarded it", START)
        assert wish_for(store, "1.1", renew=False) == Taken(before=1)
        assert wish_for(store, "1.1", batch=replace(BACKLOG, name="c")) == Taken(renewed=1)
        again = leased(store)
        assert (again.wish.state, again.wish.series) == (WishState.JUDGING, ())
        again = store.record_judged(again, [WantedSeries("1.1.1", 2, 2)], START, was_here=True)
        assert again.wish.was_here, "it was sent meanwhile"

    def test_a_study_that_has_grown_in_the_archive_is_judged_again_once_it_has_ended(
        self, store: Store
    ) -> None:
        def put(images: int | None) -> Taken:
            return store.put_wishes(LIVE, [NewWish("1.1", DAY, images)], START, renew=False)

        assert put(10) == Taken(new=1)
        lease = judged(store, WantedSeries("1.1.1", 10))
        lease = store.record_series(lease, "1.1.1", 10, START, START + LEASE)
        assert put(20) == Taken(before=1), "it is being fetched"
        store.end_wish(lease, WishState.FETCHED, "", START)
        assert put(10) == put(None) == Taken(before=1)
        assert put(20) == Taken(renewed=1)
        again = leased(store)
        assert (again.wish.state, again.wish.series, again.wish.told) == (WishState.JUDGING, (), 20)
        assert brought_by(store.wishes("1.1")) is not None, "results that are made meanwhile go where it says"
        again = store.record_judged(again, [WantedSeries("1.1.1", 20)], START, was_here=True)
        assert brought_by(store.wishes("1.1")) is not None
        again = store.record_judged(again, [WantedSeries("1.1.1", 10, 10)], START, was_here=True)
        assert not again.wish.was_here, "it came by this wish before"
        assert brought_by(store.wishes("1.1")) is not None

    def test_a_batch_tells_what_became_of_each(self, store: Store) -> None:
        fetched(store, "1.1", BACKLOG)
        wish_for(store, "1.2", "1.3")
        store.end_wish(leased(store), WishState.NOT_FOUND, "it is not there", START)
        missing = replace(BACKLOG, name="m", missing=("line 3",), asked_at=START + SECOND)
        store.put_wishes(missing, (), START, renew=True)
        last, first = store.batches(2)
        assert (last.batch, last.total) == (missing, 0)
        counts = {WishState.FETCHED: 1, WishState.NOT_FOUND: 1, WishState.WAITING: 1}
        assert (dict(first.counts), first.total, first.still_open) == (counts, 3, 1)
        assert store.ends_of_batch("b") == (
            WishEnd("1.1", WishState.FETCHED, "", StudyState.READY, ""),
            WishEnd("1.2", WishState.NOT_FOUND, "it is not there"),
            WishEnd("1.3", WishState.WAITING, ""),
        )
        assert {name: dict(them) for name, them in store.figures(0, 0, START).wishes.items()} == {
            "pacs": counts
        }

    def test_what_was_sent_or_is_live_is_analysed_and_delivered_before_the_backlog(
        self, store: Store
    ) -> None:
        fetched(store, "1.1", BACKLOG)
        fetched(store, "1.2", LIVE)
        fetched(store, "1.3", BACKLOG, was_here=True)
        ready(store, "1.4", START + SECOND)
        now = START + 2 * SECOND
        order = []
        while lease := store.lease_study("w", now, now + LEASE):
            order.append(lease.study_uid)
            store.record_results(lease, results_of(lease.study_uid, 1), {}, now)
        assert order == ["1.2", "1.3", "1.4", "1.1"]
        # The outbox has the study of the backlog first; a live one of later overtakes it.
        store.lease_deliveries("a", "c", now, now + LEASE)
        fetched(store, "1.5", BACKLOG)
        ready(store, "1.6", now)
        for _ in range(2):
            lease = store.lease_study("w", now, now + LEASE)
            assert lease is not None
            store.record_results(lease, results_of(lease.study_uid, 1), {}, now)
        sent = []
        while batch := store.lease_deliveries("a", "c", now, now + LEASE):
            sent.append(batch.study_uid)
        assert sent == ["1.3", "1.4", "1.6", "1.1", "1.5"]

    def test_the_backlog_is_settled_last(self, store: Store) -> None:
        wish_for(store, "1.1")
        store.record_series(judged(store), "1.1.1", 2, START, START + LEASE)
        store.record_arrivals([arrival("1.1", 1)], START, PATIENCE)
        store.record_arrivals([arrival("1.2", 1)], START + SECOND, PATIENCE)
        due = store.due_studies(START + timedelta(minutes=1))
        assert [one.study_uid for one in due] == ["1.2", "1.1"]
        coming = store.coming_studies(START + SECOND)
        assert [one.study_uid for one in coming] == ["1.2", "1.1"]

    def test_refusals_of_the_backlog_are_reported_last(self, store: Store) -> None:
        fetched(store, "1.1", BACKLOG)
        ready(store, "1.2", START + SECOND)
        now = START + 2 * SECOND
        for _ in range(2):
            lease = store.lease_study("w", now, now + LEASE)
            assert lease is not None
            reasons = [Reason("no_body")]
            late = now if lease.study_uid == "1.1" else now + SECOND
            store.record_refusal(lease, reasons, late, reasons_to_report=reasons)
        due = store.due_refusal_reports(now + LEASE)
        assert [one.study.study_uid for one in due] == ["1.2", "1.1"]

    def test_how_much_is_on_its_way_is_known(self, store: Store) -> None:
        assert not store.is_live_arriving(START - SECOND)
        fetched(store, "1.1", BACKLOG)
        store.record_arrivals([arrival("1.1", 2)], START, PATIENCE)
        assert not store.is_live_arriving(START - SECOND), "only what was asked for came"
        store.record_arrivals([arrival("1.2", 1)], START, PATIENCE)
        assert store.is_live_arriving(START - SECOND)
        assert not store.is_live_arriving(START)
        assert store.count_unfinished_fetched() == 1
        settle(store, StudyEvent.FOUND_HALF)
        assert store.count_unfinished_fetched() == 0

    def test_only_what_came_by_a_wish_alone_was_brought_by_it(self, store: Store) -> None:
        fetched(store, "1.1", BACKLOG)
        fetched(store, "1.2", BACKLOG, was_here=True)
        wish = brought_by(store.wishes("1.1"))
        assert wish is not None
        assert (wish.batch, wish.images) == ("b", 1)
        assert brought_by(store.wishes("1.2")) is None
        assert brought_by(store.wishes("1.3")) is None
