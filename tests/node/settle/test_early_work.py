"""An early analysis begins when the association closes, and is not sent before the study has settled."""

import json
import time
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from analysis.domain.remoteness import Departure
from node.app import Node
from node.config import AssemblySettings, default
from node.domain.drift import Subject
from node.domain.results import Lineage, Outcome
from node.domain.study import StudyState
from node.settle.early_work import EarlyAnalysis, EarlyWork
from tests.node.analyses import CLASSES, FAULTS, SLOW
from tests.node.nodes import (
    STUDY,
    MovedClock,
    open_association,
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
)
from tests.patience import wait_until

REPORTED = "study_reported"
SETTLES_LATE = AssemblySettings(quiet_s=60, max_wait_s=600)


def early_results(node: Node, study: str = STUDY) -> list[Path]:
    """Return the summary files of the analyses that have finished."""
    return list(node.instance_store.result_folder(study).glob("*/summary.dcm"))


def test_the_analysis_is_done_before_the_quiet_time_is_over_and_sent_only_after(tmp_path: Path) -> None:
    clock = MovedClock()
    with (
        running_pacs() as pacs,
        quick_node(quick(tmp_path, pacs.destination, assembly=SETTLES_LATE), clock=clock) as node,
    ):
        send(node.port, slice_of(1))
        clock.move(seconds=7)
        wait_until(lambda: early_results(node))
        time.sleep(0.3)
        assert state_of(node) is StudyState.RECEIVING
        assert not node.store.results(STUDY)
        assert not pacs.associations
        clock.move(seconds=60)
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        assert len(pacs.received) == len(CLASSES)
        assert len(early_results(node)) == 1, "it was not analysed a second time"


def test_what_was_done_early_is_thrown_away_when_a_scanner_has_left_meanwhile(tmp_path: Path) -> None:
    work, outcome = EarlyWork(), Outcome((), (), {})
    subject, configuration = Subject("One", "ab" * 32, "T1"), default()
    left = Lineage(departures={subject: Departure("T1", 12, 30)})
    for then, now in (
        (Lineage(), left),
        (left, Lineage()),
        (left, replace(left, departures={**left.departures})),
    ):
        work.done("1.1", EarlyAnalysis(2, then, configuration, outcome, tmp_path / "early", 1.0))
        assert (work.claim("1.1", 2, now, configuration) is not None) is (then == now)


@pytest.mark.parametrize("start_early", [True, False])
def test_a_study_settles_at_the_end_of_its_quiet_time_and_not_at_the_next_sweep(
    tmp_path: Path, *, start_early: bool
) -> None:
    assembly = AssemblySettings(quiet_s=2, max_wait_s=4, start_early=start_early)
    with (
        running_pacs() as pacs,
        quick_node(quick(tmp_path, pacs.destination, assembly=assembly), sweep_s=24 * 3600) as node,
    ):
        send(node.port, slice_of(1))
        node._schedule.soon("assemble")  # the one sweep that sees the study come
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)


def test_what_was_done_early_is_thrown_away_when_more_images_come(tmp_path: Path) -> None:
    clock = MovedClock()
    with (
        running_pacs() as pacs,
        quick_node(quick(tmp_path, pacs.destination, assembly=SETTLES_LATE), clock=clock) as node,
    ):
        send(node.port, slice_of(1))
        clock.move(seconds=7)
        wait_until(lambda: early_results(node))
        (first,) = early_results(node)
        send(node.port, slice_of(2))
        clock.move(seconds=7)
        wait_until(lambda: early_results(node) and first not in early_results(node))
        clock.move(seconds=60)
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        assert {dataset.InstanceNumber for dataset in pacs.received} == {2}
        assert len(pacs.received) == len(CLASSES)
        assert len(early_results(node)) == 1


def test_what_is_being_done_early_as_more_images_come_is_thrown_away(tmp_path: Path) -> None:
    clock = MovedClock()
    study = f"{STUDY}.{SLOW}"
    with (
        running_pacs() as pacs,
        quick_node(
            quick(tmp_path, pacs.destination, assembly=SETTLES_LATE), analyse="by_study", clock=clock
        ) as node,
    ):
        send(node.port, slice_of(1, study=study))
        clock.move(seconds=7)
        wait_until(lambda: node._early_work.running() or early_results(node, study))  # type: ignore[union-attr]
        send(node.port, slice_of(2, study=study))
        clock.move(seconds=60)
        wait_until(lambda: state_of(node, study) is StudyState.DELIVERED)
        assert {dataset.InstanceNumber for dataset in pacs.received} == {2}
        assert len(pacs.received) == len(CLASSES)
        assert len(early_results(node, study)) == 1


def test_nothing_is_done_early_while_an_association_is_open_or_after_one_that_was_lost(
    tmp_path: Path,
) -> None:
    clock = MovedClock()
    with quick_node(quick(tmp_path, assembly=SETTLES_LATE), clock=clock) as node:
        association = open_association(node.port, slice_of(1))
        association.send_c_store(slice_of(1))
        clock.move(seconds=7)
        time.sleep(0.5)
        assert not early_results(node)
        association.abort()
        time.sleep(0.5)
        assert not early_results(node)
        send(node.port, slice_of(2))
        clock.move(seconds=7)
        wait_until(lambda: early_results(node))


def test_nothing_is_done_early_where_it_is_switched_off(tmp_path: Path) -> None:
    clock = MovedClock()
    patient = AssemblySettings(quiet_s=60, max_wait_s=600, start_early=False)
    with quick_node(quick(tmp_path, assembly=patient), clock=clock) as node:
        send(node.port, slice_of(1))
        clock.move(seconds=7)
        time.sleep(0.5)
        assert not early_results(node)
        clock.move(seconds=60)
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)


def test_a_fault_in_the_early_analysis_costs_the_study_no_attempt(tmp_path: Path) -> None:
    clock = MovedClock()
    study = f"{STUDY}.{FAULTS}"
    configuration = quick(tmp_path, assembly=SETTLES_LATE)
    with quick_node(configuration, analyse="by_study", processes=True, clock=clock) as node:
        send(node.port, slice_of(1, study=study))
        clock.move(seconds=7)
        wait_until(lambda: node._early_work.was_examined(study, 1))  # type: ignore[union-attr]
        wait_until(lambda: not node._early_work.running())  # type: ignore[union-attr]
        found = node.store.study(study)
        assert found is not None
        assert (found.state, found.attempts) == (StudyState.RECEIVING, 0)


def test_the_log_tells_how_long_an_early_analysis_took(tmp_path: Path, written: StringIO) -> None:
    clock = MovedClock()
    slow = f"{STUDY}.{SLOW}"
    with quick_node(quick(tmp_path, assembly=SETTLES_LATE), analyse="by_study", clock=clock) as node:
        send(node.port, slice_of(1, study=slow))
        clock.move(seconds=7)
        # Its files are there a moment before it counts as done.
        early_work = node._early_work
        wait_until(lambda: early_work is not None and slow in early_work._analyses)
        clock.move(seconds=60)
        wait_until(lambda: state_of(node, slow) is StudyState.DELIVERED)
    (told,) = [line for line in map(json.loads, written.getvalue().splitlines()) if line["event"] == REPORTED]
    assert 1.5 <= told["seconds"] < 60


@pytest.mark.parametrize("is_same", [True, False], ids=["the same", "another"])
def test_an_early_analysis_is_used_only_under_the_configuration_that_it_was_made_with(
    tmp_path: Path,
    *,
    is_same: bool,
) -> None:
    made_with = default()
    now = made_with if is_same else replace(made_with, destinations=())
    folder = tmp_path / "early"
    folder.mkdir()
    outcome = Outcome((), (), {})
    work = EarlyWork()
    work.done("1.1", EarlyAnalysis(2, Lineage(), made_with, outcome, folder, 1.0))
    claimed = work.claim("1.1", 2, Lineage(), now)
    assert (claimed and claimed.outcome) is (outcome if is_same else None)
    assert folder.exists() == is_same
