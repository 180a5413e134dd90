"""The conditions of the parts of the node: well, needs a look, out of order."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.backoff import Breaker
from node.domain.delivery import DeliveryState
from node.domain.health import (
    abandoned,
    ago,
    judge_database,
    judge_destination,
    judge_disk,
    judge_failed_studies,
    judge_listener,
    judge_timers,
    judge_workers,
)
from node.domain.records import Study
from node.domain.status import (
    Condition,
    Disk,
    FailedStudies,
    NodeStatus,
    OutboxFigures,
    Station,
    StoreFigures,
    SweepRun,
)
from node.domain.study import StudyState

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@given(st.integers(0, 2**50), st.integers(0, 2**50))
def test_images_are_turned_away_exactly_below_the_watermark(free: int, watermark: int) -> None:
    station = judge_disk(Disk(free, watermark))
    assert station.turns_away == (free < watermark) == (station.condition is Condition.FAULT)


def test_a_full_house_needs_a_look_and_a_closed_one_is_out_of_order() -> None:
    assert judge_listener(listening=True, associations=3, most=20).condition is Condition.WELL
    assert judge_listener(listening=True, associations=20, most=20).condition is Condition.CONCERN
    closed = judge_listener(listening=False, associations=0, most=20)
    assert (closed.condition, closed.turns_away) == (Condition.FAULT, True)


def test_a_database_without_an_answer_turns_images_away() -> None:
    assert judge_database("").condition is Condition.WELL
    assert judge_database("it does not answer").words == "It does not answer."
    assert judge_database("it does not answer").turns_away


def test_workers_that_do_not_keep_up_need_a_look() -> None:
    busy = judge_workers(2, [NOW - 90 * SECOND], NOW - SECOND, NOW)
    assert (busy.condition, busy.words) == (Condition.WELL, "1 of 2 analyses, the longest for 1 min 30 s.")
    assert judge_workers(2, [], None, NOW).words == "0 of 2 analyse."
    late = judge_workers(1, [NOW], NOW - 2 * HOUR, NOW)
    assert late.condition is Condition.CONCERN
    assert "A study has waited 2 h for its turn." in late.words


def test_studies_that_wait_for_a_person_need_a_look_and_turn_no_image_away() -> None:
    def study(hours: int) -> Study:
        at = NOW - hours * HOUR
        return Study("1.2", StudyState.FAILED, "it died", at, at, at, 1, None, at, 3)

    one = judge_failed_studies(FailedStudies(1, [study(2)]), NOW)
    assert (one.condition, one.turns_away) == (Condition.CONCERN, False)
    assert one.words == "1 study has waited for a person for 2 h."
    many = judge_failed_studies(FailedStudies(9, [study(2), study(5)]), NOW)
    assert many.words == "9 studies wait for a person, the last of them for 2 h."


def run(name: str, ended_before: timedelta | None, *, broke: bool = False) -> SweepRun:
    ended = None if ended_before is None else NOW - ended_before
    return SweepRun(name, 0.5, NOW - 3 * HOUR, ended, broke)


@pytest.mark.parametrize(
    ("runs", "condition", "words"),
    [
        ([run("a", SECOND), run("b", None)], Condition.WELL, "All 2 sweeps come round, the last 1 s ago."),
        ([run("a", SECOND), run("b", 5 * 60 * SECOND)], Condition.FAULT, "b for 5 min"),
        ([run("a", SECOND), run("b", SECOND, broke=True)], Condition.CONCERN, "which the log tells: b."),
        ([], Condition.FAULT, "nothing"),
    ],
)
def test_a_sweep_that_stopped_coming_round_is_a_fault_and_a_long_one_is_none(
    runs: list[SweepRun], condition: Condition, words: str
) -> None:
    timers = judge_timers(runs, NOW)
    assert timers.condition is condition
    assert words in timers.words


def test_a_destination_is_judged_by_its_last_try_and_by_how_long_something_waits() -> None:
    waiting = OutboxFigures({DeliveryState.WAITING: 1, DeliveryState.SENT: 9}, NOW - SECOND)
    assert judge_destination(OutboxFigures(), Breaker(), NOW) == (Condition.WELL, "Nothing waits for it.")
    assert judge_destination(waiting, Breaker(), NOW) == (
        Condition.WELL,
        "1 object waits, the oldest for 1 s.",
    )
    down = judge_destination(waiting, Breaker(3, NOW + 40 * SECOND, "it cannot be reached"), NOW)
    assert down[0] is Condition.CONCERN
    assert down[1].startswith("The last 3 tries failed: it cannot be reached.")
    assert down[1].endswith("nothing is lost. Tried again in 40 s.")
    assert (
        judge_destination(OutboxFigures(waiting.counts, NOW - 2 * HOUR), Breaker(), NOW)[0]
        is Condition.CONCERN
    )
    assert abandoned("old", waiting).condition is Condition.CONCERN


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=10_000)))
def test_a_length_of_time_is_told_to_its_second_largest_unit(length: timedelta) -> None:
    units = {"d": 86400, "h": 3600, "min": 60, "s": 1}
    words = ago(length).split()
    told = sum(int(count) * units[unit] for count, unit in zip(words[::2], words[1::2], strict=True))
    assert len(words) <= 4
    assert 0 <= length.total_seconds() - told < max(1, {86400: 3600, 3600: 60}.get(units[words[1]], 1))


def test_the_node_is_as_its_worst_part_and_unready_for_what_turns_images_away_only() -> None:
    well, down = Station("A", Condition.WELL, "a"), Station("B", Condition.FAULT, "b", turns_away=True)
    figures = StoreFigures({StudyState.READY: 2}, {StudyState.READY: NOW})
    status = NodeStatus(NOW, NOW, "AE", "h:1", (well, down), (), figures, Disk(1, 0))
    assert (status.condition, status.unready) == (Condition.FAULT, ("B: b",))
    assert {queue.state for queue in status.queue} == set(StudyState)
    assert [(queue.state, queue.oldest) for queue in status.queue if queue.count] == [(StudyState.READY, NOW)]
