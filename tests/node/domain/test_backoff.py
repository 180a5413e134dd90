from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from node.domain.backoff import Backoff, Breaker

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST, LONGEST = timedelta(seconds=5), timedelta(minutes=15)


class Fixed(Random):
    """Draws one number only."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self._number = number

    def random(self) -> float:  # noqa: D102 - see `Random`
        return self._number


JITTER = st.floats(0, 1)


@given(st.integers(1, 10**6), JITTER)
def test_a_pause_stays_between_three_quarters_of_the_first_and_the_longest(
    failures: int, jitter: float
) -> None:
    pause = Backoff(FIRST, LONGEST, Fixed(jitter)).pause(failures)
    assert FIRST * 0.75 <= pause <= LONGEST


@given(st.integers(1, 1000), JITTER)
def test_a_later_pause_is_no_shorter_than_an_earlier_one(failures: int, jitter: float) -> None:
    backoff = Backoff(FIRST, LONGEST, Fixed(jitter))
    assert backoff.pause(failures) <= backoff.pause(failures + 1)


def test_attempts_that_failed_together_do_not_return_together() -> None:
    backoff = Backoff.of_seconds(5, 900)
    assert len({backoff.pause(1) for _ in range(20)}) > 1


def test_two_backoffs_of_the_same_lengths_are_equal() -> None:
    assert Backoff(FIRST, LONGEST) == Backoff.of_seconds(5, 900)


class NoJitter(Random):
    """Draws 0 only, so that a pause has its full length."""

    def random(self) -> float:  # noqa: D102 - see `Random`
        return 0.0


BACKOFF = Backoff(FIRST, LONGEST, NoJitter())


def test_a_breaker_that_opened_lets_one_attempt_through_when_its_time_is_over() -> None:
    breaker = Breaker().after_failure(NOW, BACKOFF, "")
    assert Breaker().allows(NOW)
    assert not breaker.allows(NOW + FIRST / 2)
    assert breaker.allows(NOW + FIRST)


def test_each_failure_opens_the_breaker_for_longer() -> None:
    once = Breaker().after_failure(NOW, BACKOFF, "")
    twice = once.after_failure(NOW, BACKOFF, "")
    assert once.open_until is not None
    assert twice.open_until is not None
    assert twice.open_until > once.open_until
