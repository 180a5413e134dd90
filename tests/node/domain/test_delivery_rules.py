from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.delivery import Breaker, Disposition, back_off, judge_status

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST, LONGEST = timedelta(seconds=5), timedelta(minutes=15)


@pytest.mark.parametrize(
    ("status", "disposition"),
    [
        (0x0000, Disposition.ACCEPTED),
        (0xB000, Disposition.ACCEPTED),
        (0xB006, Disposition.ACCEPTED),
        (0xB007, Disposition.ACCEPTED),
        (0xA700, Disposition.RETRY),
        (0xA702, Disposition.RETRY),
        (0xA900, Disposition.GIVE_UP),
        (0xC000, Disposition.RETRY_A_FEW_TIMES),
        (0xCFFF, Disposition.RETRY_A_FEW_TIMES),
        (0x0122, Disposition.NOT_ACCEPTED),
        (0x0124, Disposition.GIVE_UP),
    ],
)
def test_a_status_of_the_standard_means_what_the_standard_says(status: int, disposition: Disposition) -> None:
    assert judge_status(status) is disposition


@given(st.integers(0, 0xFFFF))
def test_every_status_has_a_meaning_and_only_success_and_warnings_are_accepted(status: int) -> None:
    accepted = judge_status(status) is Disposition.ACCEPTED
    assert accepted == (status in {0x0000, 0x0001, 0x0107, 0x0111, 0x0116} or status >> 8 == 0xB0)


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_a_back_off_stays_between_its_bounds(attempts: int, jitter: float) -> None:
    pause = back_off(attempts, FIRST, LONGEST, jitter)
    assert FIRST * 0.75 <= pause <= LONGEST


@given(st.integers(1, 1000), st.floats(0, 1))
def test_a_later_attempt_waits_no_shorter_than_an_earlier_one(attempts: int, jitter: float) -> None:
    assert back_off(attempts, FIRST, LONGEST, jitter) <= back_off(attempts + 1, FIRST, LONGEST, jitter)


def test_a_breaker_that_opened_lets_one_attempt_through_when_its_time_is_over() -> None:
    breaker = Breaker().after_failure(NOW, FIRST, LONGEST, 0.0)
    assert Breaker().allows(NOW)
    assert not breaker.allows(NOW + FIRST / 2)
    assert breaker.allows(NOW + FIRST)


def test_each_failure_opens_the_breaker_for_longer() -> None:
    once = Breaker().after_failure(NOW, FIRST, LONGEST, 0.0)
    twice = once.after_failure(NOW, FIRST, LONGEST, 0.0)
    assert once.open_until is not None
    assert twice.open_until is not None
    assert twice.open_until > once.open_until
