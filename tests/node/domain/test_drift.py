"""The judgement of a scanner, from how many of its studies lie far from the training."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.domain.remoteness import Departure, TrainingDistance
from node.domain.conditions import changes, of_scanners
from node.domain.drift import (
    EXPECTED_SHARE,
    LEAST,
    WINDOW,
    Observation,
    ScannerRange,
    ScannerState,
    Subject,
    by_month,
    follow,
    tail,
)
from node.domain.notice import NoticeKind

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SUBJECT = Subject("Scanner works, One, 1.5 T", "ab" * 32, "T1")


def judged(far: list[bool]) -> list[ScannerRange]:
    """Follow a scanner from its first study; return its range after each of them."""
    there, found = ScannerRange(), []
    for number in range(1, len(far) + 1):
        there = follow(there, far[max(0, number - WINDOW) : number], NOON + timedelta(hours=number))
        found.append(there)
    return found


def test_nothing_is_said_of_few_studies() -> None:
    assert {one.state for one in judged([True] * (LEAST - 1))} == {ScannerState.UNKNOWN}


def test_a_scanner_whose_studies_are_all_far_has_left_once_it_can_be_judged() -> None:
    last = judged([True] * LEAST)[-1]
    assert (last.state, last.far, last.studies) == (ScannerState.LEFT, LEAST, LEAST)
    assert last.departure("T1") == Departure("T1", LEAST, LEAST)


def test_what_is_told_of_a_scanner_stays_until_it_comes_back() -> None:
    states = judged([True] * LEAST + [False] * WINDOW)
    back = next(n for n, one in enumerate(states) if n >= LEAST and one.state is not ScannerState.LEFT)
    assert len(set(states[LEAST - 1 : back])) == 1
    assert states[back].state is ScannerState.INSIDE
    assert states[back].far <= EXPECTED_SHARE * WINDOW + 2
    assert back >= LEAST + 15


def test_leaving_is_told_before_a_scanner_has_left() -> None:
    states = [one.state for one in judged([False] * WINDOW + [True] * 12)]
    assert states.index(ScannerState.LEAVING) < states.index(ScannerState.LEFT)


def test_a_scanner_that_a_person_accepted_is_counted_anew_and_may_leave_again() -> None:
    accepted = judged([True] * LEAST)[-1].accepted(NOON)
    assert (accepted.state, accepted.departure("T1")) == (ScannerState.UNKNOWN, None)
    again = follow(accepted, [True] * LEAST, NOON)
    assert again.state is ScannerState.LEFT
    assert again.accepted_at == NOON


@given(st.lists(st.booleans(), max_size=60))
def test_the_state_depends_on_the_studies_and_on_nothing_else(far: list[bool]) -> None:
    assert judged(far) == judged(far)
    for one in judged(far):
        assert 0 <= one.far <= one.studies <= WINDOW


@given(st.integers(LEAST, WINDOW), st.data())
def test_more_far_studies_never_look_better(studies: int, data: st.DataObject) -> None:
    order = [ScannerState.INSIDE, ScannerState.LEAVING, ScannerState.LEFT]
    far = data.draw(st.integers(0, studies - 1))
    fewer, more = (
        follow(ScannerRange(), [True] * count + [False] * (studies - count), NOON).state
        for count in (far, far + 1)
    )
    assert order.index(fewer) <= order.index(more)


def test_the_tail_is_that_of_a_binomial_distribution() -> None:
    from scipy.stats import binom

    for studies in (LEAST, 20, WINDOW):
        for far in range(studies + 1):
            assert tail(far, studies) == pytest.approx(binom.sf(far - 1, studies, EXPECTED_SHARE), abs=1e-12)


def test_a_scanner_like_the_training_rarely_leaves_and_a_shifted_one_soon() -> None:
    chance = random.Random(7)

    def first_left(share: float, studies: int) -> int | None:
        states = judged([chance.random() < share for _ in range(studies)])
        return next((n for n, one in enumerate(states) if one.state is ScannerState.LEFT), None)

    assert sum(first_left(EXPECTED_SHARE, 1000) is not None for _ in range(20)) <= 1
    assert all((first_left(0.76, 60) or 60) < 40 for _ in range(20))


@pytest.mark.parametrize(
    ("distance", "in_protocol", "is_far", "is_outside"),
    [(3.9, True, False, False), (4.1, True, True, False), (5.1, True, True, True), (1.0, False, True, True)],
)
def test_a_study_is_far_beyond_the_usual_distance_and_outside_beyond_the_limit(
    distance: float, *, in_protocol: bool, is_far: bool, is_outside: bool
) -> None:
    found = TrainingDistance("T1", distance, 5.0, 4.0, in_protocol)
    assert (found.is_far, found.is_outside) == (is_far, is_outside)


def test_studies_are_counted_by_month() -> None:
    january, march = NOON, NOON + timedelta(days=70)
    distances = [(january, 1.0), (january, 4.5), (march, 6.0)]
    told = by_month(
        Observation(str(n), SUBJECT, at, TrainingDistance("T1", distance, 5.0, 4.0, in_protocol=True))
        for n, (at, distance) in enumerate(distances)
    )
    assert [(one.month, one.studies, one.far, one.outside) for one in told] == [
        ("2030-01", 2, 1, 0),
        ("2030-03", 1, 1, 1),
    ]
    assert told[0].distance == pytest.approx(0.55)


def test_it_is_told_once_that_a_scanner_left_and_once_that_it_is_back() -> None:
    long = Subject("x" * 192, SUBJECT.bundle, "T1")
    left, inside = (
        ScannerRange(ScannerState.LEFT, NOON, 12, 30),
        ScannerRange(ScannerState.INSIDE, NOON, 2, 30),
    )
    seen = list(of_scanners({SUBJECT: left, long: inside}, SUBJECT.bundle))
    assert max(len(one.subject) for one in seen) <= 200
    first = changes({}, seen, NOON)
    assert [(one.kind, one.facts["far"]) for one in first.news] == [(NoticeKind.SCANNER_LEFT, 12)]
    assert not changes(first.put, seen, NOON).news
    back = changes(first.put, list(of_scanners({SUBJECT: inside}, SUBJECT.bundle)), NOON)
    assert [one.kind for one in back.news] == [NoticeKind.SCANNER_BACK]
    assert not list(of_scanners({SUBJECT: left}, "another model"))
