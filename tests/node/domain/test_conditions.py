"""A condition that lasts is told once when it begins and at most once when it ends, whatever is seen."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from node.domain.backoff import Breaker
from node.domain.conditions import Ongoing, changes, of_certificate, of_destination, of_disk
from node.domain.notice import NoticeKind
from node.domain.status import Disk

START = datetime(2030, 1, 1, tzinfo=UTC)
PATIENCE = timedelta(minutes=3)


@given(st.lists(st.sampled_from([True, False, None]), max_size=40))
def test_news_of_a_destination_alternate_and_are_as_few_as_its_outages(seen: list[bool | None]) -> None:
    """One look a minute. None is a node that has just started, which knows of no attempt."""
    known: dict[str, Ongoing] = {}
    told = []
    for minute, reached in enumerate(seen):
        look = of_destination("pacs", Breaker(), reached=reached, patience=PATIENCE)
        found = changes(known, [look], START + timedelta(minutes=minute))
        known = {name: there for name, there in {**known, **found.put}.items() if name not in found.forgotten}
        told += [one.kind for one in found.news]
        # What was told must be known from then on, or it would be told again.
        assert not found.news or found
    down, up = NoticeKind.DESTINATION_DOWN, NoticeKind.DESTINATION_UP
    assert told == [(down, up)[number % 2] for number in range(len(told))]
    assert told.count(down) == long_outages(seen)


def long_outages(seen: list[bool | None]) -> int:
    """Count the outages that were still seen after the patience was over."""
    count, since, told = 0, None, False
    for minute, reached in enumerate(seen):
        if reached:
            since, told = None, False
        elif reached is False:
            since = minute if since is None else since
            if not told and minute - since >= 3:
                count, told = count + 1, True
    return count


def test_a_destination_that_is_no_longer_configured_is_forgotten_in_silence() -> None:
    found = changes({"destination pacs": Ongoing(START, told=True)}, [], START)
    assert found.forgotten == {"destination pacs"}
    assert not found.news


def test_a_certificate_is_told_three_times_and_a_renewed_one_starts_anew() -> None:
    """Whatever the hour of the looks; one that ends soon when it is first seen is told once."""
    end = START + timedelta(days=60, hours=5)
    for first_day, expected in ((0, [29, 6, 0]), (57, [3, 0]), (61, [0])):
        known: dict[str, Ongoing] = {}
        left = []
        for hour in range(first_day * 24, 62 * 24):
            now = START + timedelta(hours=hour)
            found = changes(known, list(of_certificate("ca of node.tls", end, 30, now)), now)
            known = {
                name: there for name, there in {**known, **found.put}.items() if name not in found.forgotten
            }
            left += [one.facts["days_left"] for one in found.news]
        assert left == expected
    renewed = list(of_certificate("ca of node.tls", end + timedelta(days=365), 30, end))
    assert not changes(known, renewed, end).news


@given(st.lists(st.integers(0, 400), min_size=1, max_size=60))
def test_a_disk_that_goes_up_and_down_is_told_only_after_it_had_room_again(free: list[int]) -> None:
    known: dict[str, Ongoing] = {}
    told: Counter[NoticeKind] = Counter()
    for minute, left in enumerate(free):
        looks = list(of_disk(Disk(left, 100), None, 7.0))
        found = changes(known, looks, START + timedelta(minutes=minute))
        known = {name: there for name, there in {**known, **found.put}.items() if name not in found.forgotten}
        told.update(one.kind for one in found.news)
    for kind, limit in ((NoticeKind.DISK_FILLS, 200), (NoticeKind.DISK_FULL, 100)):
        below, times = False, 0
        for left in free:
            if left < limit:
                times, below = times + (not below), True
            elif left >= 1.25 * limit:
                below = False
        assert told[kind] == times


def test_a_disk_that_will_be_full_soon_is_told_while_there_is_room() -> None:
    (fills, full) = of_disk(Disk(10**12, 10**9), 3.0, 7.0)
    assert (fills.is_bad, full.is_bad) == (True, False)
    (fills, _) = of_disk(Disk(10**12, 10**9), 8.0, 7.0)
    assert fills.is_bad is None


@given(st.integers(0, 10**12), st.none() | st.floats(0.0))
def test_what_is_told_of_a_disk_is_json(free: int, days_left: float | None) -> None:
    for one in of_disk(Disk(free, 10**9), days_left, 7.0):
        json.dumps(one.facts, allow_nan=False)
