from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from node.domain.backoff import Backoff

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
