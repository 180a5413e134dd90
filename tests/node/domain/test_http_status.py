"""Whatever a peer writes into its headers, the node reads a moment and a wait, or nothing."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.http_status import date_in, wait_of

NOON = "Mon, 05 Jan 2026 12:00:00 GMT"
NUMBERS = st.one_of(st.integers(), st.integers(0, 99), st.sampled_from((10**18, -(10**18), 9999)))
DATES = st.builds(
    "Mon, {} Jan {} {}:{}:00 {}{}".format, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.sampled_from("+- "), NUMBERS
)
VALUES = st.one_of(DATES, st.text(max_size=40), st.integers().map(str), st.floats().map(str))


@given(st.sampled_from((429, 503)), VALUES, VALUES)
def test_any_header_gives_a_wait_within_a_day_or_none(status: int, retry_after: str, date: str) -> None:
    wait_s = wait_of(status, retry_after, date)
    assert wait_s is None or 0 <= wait_s <= 86_400


@given(VALUES)
def test_any_date_is_a_moment_in_utc_or_none(told: str) -> None:
    date = date_in(told)
    assert date is None or date.tzinfo is UTC


@pytest.mark.parametrize(
    ("retry_after", "wait_s"),
    [("-5", None), ("1.5", None), ("Mon, 05 Jan 2026 11:00:00 GMT", 0), ("Mon Jan  5 12:00:30 2026", 30)],
    ids=["negative", "with a fraction", "in the past", "in the form of asctime"],
)
def test_what_is_no_number_of_seconds_asks_for_nothing(retry_after: str, wait_s: float | None) -> None:
    assert wait_of(503, retry_after, NOON) == wait_s


@pytest.fixture
def tokyo() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_a_date_without_a_zone_is_in_gmt() -> None:
    assert date_in("Mon Jan  5 12:00:00 2026") == datetime(2026, 1, 5, 12, tzinfo=UTC)
