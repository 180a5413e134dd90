"""Whether a study is complete is judged by how it arrived, too; over real associations."""

import os
import signal
import threading
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom.association import Association

from node.app import Node
from node.config import AssemblySettings
from node.domain.study import StudyState
from node.operate.database import open_store
from node.operate.retry import restart_study
from node.show.why import explain
from tests.node.analyses import CLASSES
from tests.node.app.test_crash import node_process
from tests.node.nodes import (
    MovedClock,
    Pacs,
    open_association,
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
)
from tests.patience import PATIENCE_S, wait_until

CUT_OFF = "the association that brought it was cut off"


def a_series(study: str, series: str = "1", slices: int = 3) -> list[Dataset]:
    return [slice_of(number, study=study, series=series) for number in range(slices)]


def reached(node: Node, study: str, state: StudyState) -> None:
    wait_until(lambda: state_of(node, study) is state)


def reason(node: Node, study: str) -> str:
    return node.store.study(study).reason  # type: ignore[union-attr]


def sent_of(pacs: Pacs, study: str) -> list[str]:
    return [dataset.SOPInstanceUID for dataset in pacs.received if dataset.StudyInstanceUID == study]


def send_and_lose(node: Node, datasets: list[Dataset], lose: Callable[[Association], None]) -> None:
    """Send instances successfully, then end the association without a release."""
    association = open_association(node.port, *datasets)
    assert [association.send_c_store(dataset).Status for dataset in datasets] == [0] * len(datasets)
    lose(association)


def hang_up(association: Association) -> None:
    association.dul.socket.socket.shutdown(2)


LOSSES = [
    pytest.param(lambda association: association.abort(), id="aborted"),
    pytest.param(hang_up, id="connection lost"),
]


@pytest.mark.parametrize("lose", LOSSES)
def test_an_interrupted_series_is_never_analysed_as_whole(
    node: Node, pacs: Pacs, study: str, lose: Callable[[Association], None]
) -> None:
    """The slices look like a complete series of three; only the lost association shows otherwise."""
    send_and_lose(node, a_series(study), lose)
    reached(node, study, StudyState.REFUSED)
    assert CUT_OFF in explain(node.store, study)
    assert not sent_of(pacs, study)


def test_an_interrupted_series_that_is_sent_again_is_whole(node: Node, pacs: Pacs, study: str) -> None:
    """All images sent again are already stored; only the orderly end shows that none is missing."""
    send_and_lose(node, a_series(study), Association.abort)
    reached(node, study, StudyState.REFUSED)
    send(node.port, *a_series(study))
    reached(node, study, StudyState.DELIVERED)
    assert len(sent_of(pacs, study)) == len(CLASSES)
    reasons = {step.reason for step in node.store.history(study)}
    assert "a series that was cut off was sent again" in reasons


def test_what_was_missing_comes_over_another_association(node: Node, pacs: Pacs, study: str) -> None:
    images = a_series(study, slices=6)
    send_and_lose(node, images[:3], Association.abort)
    send(node.port, *images[3:])
    reached(node, study, StudyState.DELIVERED)
    assert {dataset.InstanceNumber for dataset in pacs.received if dataset.StudyInstanceUID == study} == {6}


def test_an_association_that_ran_beside_the_lost_one_proves_nothing(node: Node, study: str) -> None:
    """A sender may split a series over several associations and lose one of them."""
    images = a_series(study, slices=6)
    beside = open_association(node.port, *images)
    assert beside.send_c_store(images[0]).Status == 0
    send_and_lose(node, images[1:3], Association.abort)
    assert [beside.send_c_store(image).Status for image in images[4:]] == [0, 0]
    beside.release()
    reached(node, study, StudyState.REFUSED)
    assert CUT_OFF in reason(node, study)


def test_another_series_of_the_study_is_reported_without_the_lost_one(
    node: Node, pacs: Pacs, study: str
) -> None:
    send(node.port, *a_series(study, "1"))
    send_and_lose(node, a_series(study, "2"), Association.abort)
    reached(node, study, StudyState.DELIVERED)
    assert f"waited long enough: T2w is not there; T2w series: {CUT_OFF}" in explain(node.store, study)
    assert sent_of(pacs, study)


def test_a_lost_series_that_is_sent_again_in_the_moment_of_its_judgement_is_whole(
    tmp_path: Path, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss was read before, and the study is in no state that the end of an association re-opens."""
    with quick_node(quick(tmp_path), examine="examine_by_series") as node:
        judged, resent = threading.Event(), threading.Event()
        read_loss = node.store.cut_off_series

        def read_and_be_overtaken(study_uid: str) -> frozenset[str]:
            lost = read_loss(study_uid)
            if lost and not judged.is_set():
                judged.set()
                assert resent.wait(PATIENCE_S)
            return lost

        monkeypatch.setattr(node.store, "cut_off_series", read_and_be_overtaken)
        send_and_lose(node, a_series(study), Association.abort)
        assert judged.wait(PATIENCE_S)
        send(node.port, *a_series(study))
        wait_until(lambda: not read_loss(study))
        resent.set()
        reached(node, study, StudyState.DELIVERED)


def test_a_lost_series_that_is_sent_again_after_the_report_supersedes_it(node: Node, study: str) -> None:
    """All images are already stored; only the end of the second association shows that none is missing."""
    send(node.port, *a_series(study, "1"))
    send_and_lose(node, a_series(study, "2"), Association.abort)
    reached(node, study, StudyState.DELIVERED)
    send(node.port, *a_series(study, "2"))
    wait_until(lambda: not node.store.cut_off_series(study))
    wait_until(lambda: "T1w and T2w are there" in explain(node.store, study))


def test_an_operator_may_say_that_a_lost_series_is_whole(node: Node, study: str) -> None:
    send_and_lose(node, a_series(study), Association.abort)
    reached(node, study, StudyState.REFUSED)
    restart_study(node.store, study, node._clock.now())
    reached(node, study, StudyState.DELIVERED)


def test_a_study_is_not_judged_while_an_association_is_open(node: Node, study: str) -> None:
    images = a_series(study)
    association = open_association(node.port, *images)
    for image in images[:2]:
        association.send_c_store(image)
    found = node.store.study(study)
    assert found is not None
    assert found.deadline is not None
    wait_until(lambda: node._clock.now() > found.deadline)  # type: ignore[operator]
    assert state_of(node, study) is StudyState.RECEIVING
    association.send_c_store(images[2])
    association.release()
    reached(node, study, StudyState.DELIVERED)


def test_a_study_does_not_wait_for_ever_for_an_association_that_sends_other_studies(
    tmp_path: Path, study: str
) -> None:
    """A router may keep one association open for days."""
    clock = MovedClock()
    configuration = quick(tmp_path, assembly=AssemblySettings(quiet_s=5, max_wait_s=600))
    with quick_node(configuration, clock=clock) as node:
        association = open_association(node.port, *a_series(study))
        for image in a_series(study):
            association.send_c_store(image)
        clock.move(seconds=60)
        time.sleep(0.3)  # several sweeps
        assert state_of(node, study) is StudyState.RECEIVING, "nothing else came since"
        other = f"{study}.5"
        association.send_c_store(slice_of(1, study=other))
        reached(node, study, StudyState.DELIVERED)
        clock.move(seconds=20)
        time.sleep(0.3)
        assert state_of(node, other) is StudyState.RECEIVING
        association.send_c_store(slice_of(2, study=f"{study}.6"))
        time.sleep(0.3)
        assert state_of(node, other) is StudyState.RECEIVING, "it may be sent in turns with the next"
        # What comes later all the same is not lost.
        association.send_c_store(slice_of(9, study=study))
        assert state_of(node, study) is StudyState.RECEIVING
        association.release()
        clock.move(seconds=6)
        reached(node, study, StudyState.DELIVERED)


def test_a_series_that_was_coming_as_the_node_was_killed_waits_for_the_rest(tmp_path: Path) -> None:
    study, images = "1.2.826.0.1.77", a_series("1.2.826.0.1.77", slices=6)
    with running_pacs() as pacs:
        with node_process(tmp_path, pacs.port) as (process, port):
            association = open_association(port, *images)
            for image in images[:3]:
                assert association.send_c_store(image).Status == 0
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        beside = open_store(quick(tmp_path))
        assert len(beside.instances(study)) == 3
        beside.close()
        with quick_node(quick(tmp_path, pacs.destination)) as node:
            reached(node, study, StudyState.REFUSED)
            assert CUT_OFF in reason(node, study)
            send(node.port, *images)
            reached(node, study, StudyState.DELIVERED)
        assert {dataset.InstanceNumber for dataset in pacs.received} == {6}


def test_a_study_that_was_coming_as_the_clock_was_set_back_is_not_left_waiting(
    tmp_path: Path, study: str
) -> None:
    clock = MovedClock()
    clock.move(hours=1)
    calm = AssemblySettings(quiet_s=5, max_wait_s=600)
    with quick_node(quick(tmp_path, assembly=calm), clock=clock) as node:
        send(node.port, *a_series(study))
        clock.move(hours=-1)
        wait_until(lambda: state_of(node, study) is StudyState.DELIVERED)


def test_a_study_that_never_falls_quiet_is_told_once(tmp_path: Path, study: str, written: StringIO) -> None:
    clock = MovedClock()
    calm = AssemblySettings(quiet_s=5, max_wait_s=600)
    with quick_node(quick(tmp_path, assembly=calm), clock=clock) as node:
        association = open_association(node.port, slice_of(0, study=study))
        for number in range(20):
            association.send_c_store(slice_of(number, study=study))
            if number == 13:
                time.sleep(0.2)  # several sweeps
                assert "study_never_quiet" not in written.getvalue()
                assert "without a pause" not in explain(node.store, study)
            # No sweep sees a pause, because the association stays open.
            clock.move(minutes=4)
        wait_until(lambda: "study_never_quiet" in written.getvalue())
        time.sleep(0.2)
        assert written.getvalue().count("study_never_quiet") == 1
        assert "New images have come all this time without a pause" in explain(node.store, study)
        association.release()
        clock.move(seconds=6)
        reached(node, study, StudyState.DELIVERED)
        assert "without a pause" not in explain(node.store, study)


def test_an_open_association_outlives_a_clock_that_is_set_by_an_hour(tmp_path: Path, study: str) -> None:
    clock = MovedClock()
    calm = AssemblySettings(quiet_s=5, max_wait_s=600)
    with (
        running_pacs() as pacs,
        quick_node(quick(tmp_path, pacs.destination, assembly=calm), clock=clock) as node,
    ):
        images = a_series(study, slices=4)
        association = open_association(node.port, *images)
        for image, hours in zip(images, (1, -2, 1, 0), strict=True):
            assert association.send_c_store(image).Status == 0
            clock.move(hours=hours)
            time.sleep(0.2)  # several sweeps
            assert state_of(node, study) is StudyState.RECEIVING, hours
        association.release()
        clock.move(seconds=6)
        reached(node, study, StudyState.DELIVERED)
        assert {dataset.InstanceNumber for dataset in pacs.received} == {4}
        assert len(pacs.received) == len(CLASSES)


def test_t1_and_t2_that_come_minutes_apart_are_reported_together(tmp_path: Path, study: str) -> None:
    clock = MovedClock()
    patient = AssemblySettings(quiet_s=5, max_wait_s=600)
    with (
        running_pacs() as pacs,
        quick_node(
            quick(tmp_path, pacs.destination, assembly=patient), examine="examine_by_series", clock=clock
        ) as node,
    ):
        send(node.port, *a_series(study, "1"))
        clock.move(seconds=6)
        reached(node, study, StudyState.WAITING_FOR_PAIR)
        clock.move(minutes=9)
        assert "T2w is not there" in explain(node.store, study)
        send(node.port, *a_series(study, "2"))
        clock.move(seconds=6)
        reached(node, study, StudyState.DELIVERED)
        assert {dataset.InstanceNumber for dataset in pacs.received} == {6}
        assert len(pacs.received) == len(CLASSES)


def test_a_pair_that_never_comes_is_waited_for_no_longer_than_configured(tmp_path: Path, study: str) -> None:
    clock = MovedClock()
    patient = AssemblySettings(quiet_s=5, max_wait_s=600)
    configuration = quick(tmp_path, assembly=patient)
    with quick_node(configuration, examine="examine_by_series", clock=clock) as node:
        send(node.port, *a_series(study, "1"))
        clock.move(seconds=6)
        reached(node, study, StudyState.WAITING_FOR_PAIR)
    # The deadline is stored in the database, so it passes while no node runs.
    clock.move(minutes=10)
    with quick_node(configuration, examine="examine_by_series", clock=clock) as node:
        reached(node, study, StudyState.DELIVERED)
        assert "waited long enough: T2w is not there" in explain(node.store, study)
