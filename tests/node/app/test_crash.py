"""A node process is killed without warning, and the next start repairs what it left."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from node.app import Node
from node.domain.study import StudyEvent, StudyState
from node.operate.database import open_store
from node.store.sql import SqlStore
from tests.node.analyses import CLASSES, HANGS, HOLDS_ONCE, MARKS
from tests.node.nodes import (
    STUDY,
    Pacs,
    in_quarantine,
    is_running,
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
)
from tests.patience import wait_until

RUN = """
import sys
from pathlib import Path
from tests.node.nodes import Pacs, quick, quick_node
directory, pacs_port = Path(sys.argv[1]), int(sys.argv[2])
if __name__ == "__main__":
    configuration = quick(directory, Pacs(port=pacs_port).destination)
    with quick_node(configuration, analyse=sys.argv[3], processes=bool(sys.argv[4:])) as node:
        print(node.port, flush=True)
        sys.stdin.read()
"""


@contextmanager
def node_process(
    directory: Path, pacs_port: int, analyse: str = "report", *, processes: bool = False
) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Run a node in a process of its own, which is killed at the end if it is still running."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(directory), str(pacs_port), analyse, *["processes"] * processes],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).resolve().parents[3],
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        # The log goes to standard output too, where a test has not configured it.
        line = next(line for line in iter(process.stdout.readline, b"") if line.strip().isdigit())
        yield process, int(line)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stdin.close()


def test_what_was_acknowledged_survives_a_kill_between_success_and_settling(tmp_path: Path) -> None:
    with running_pacs() as pacs:
        with node_process(tmp_path, pacs.port) as (process, port):
            assert send(port, *(slice_of(number) for number in range(10))) == [0] * 10
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        with quick_node(quick(tmp_path, pacs.destination)) as node:
            assert len(node.store.instances("1.2.826.0.1.1")) == 10
            # The kill may come before the end of the association is noted; then the series is whole only once
            # its sender says so.
            send(node.port, *(slice_of(number) for number in range(10)))
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        assert len(pacs.uids) == len(set(pacs.uids)) == len(CLASSES)
        assert {dataset.InstanceNumber for dataset in pacs.received} == {10}


def test_a_study_that_was_being_analysed_is_analysed_again(tmp_path: Path) -> None:
    study = f"1.2.826.0.1.{HANGS}"
    with running_pacs() as pacs:
        with node_process(tmp_path, pacs.port, "by_study") as (process, port):
            send(port, slice_of(1, study=study))
            beside = open_store(quick(tmp_path))
            wait_until(lambda: beside.study(study).state is StudyState.ANALYSING)  # type: ignore[union-attr]
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            beside.close()
        with quick_node(quick(tmp_path, pacs.destination)) as node:
            send(node.port, slice_of(1, study=study))
            wait_until(lambda: state_of(node, study) is StudyState.DELIVERED)
            assert "the node stopped meanwhile" in {step.reason for step in node.store.history(study)}
        assert len(pacs.uids) == len(set(pacs.uids)) == len(CLASSES)


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which workers that analyse `HOLDS_ONCE` leave their process IDs."""
    folder = tmp_path / "marks"
    folder.mkdir()
    monkeypatch.setenv(MARKS, str(folder))
    return folder


def who_holds(marks: Path) -> int:
    """Wait for a worker that is analysing, and return its process ID."""
    wait_until(lambda: list(marks.iterdir()))
    (mark,) = marks.iterdir()
    return int(mark.name)


def was_reported_once(node: Node, pacs: Pacs, study: str) -> None:
    """Check that a study has one result set, which the PACS received once."""
    wait_until(lambda: state_of(node, study) is StudyState.DELIVERED)
    results = node.store.results(study)
    assert sorted(result.kind for result in results if result.current) == sorted(CLASSES)
    assert len(results) == len(CLASSES)
    assert sorted(pacs.uids) == sorted(result.sop_uid for result in results)


def test_a_worker_that_is_killed_in_mid_call_costs_its_study_one_try(tmp_path: Path, marks: Path) -> None:
    study = f"1.2.826.0.1.{HOLDS_ONCE}"
    with (
        running_pacs() as pacs,
        quick_node(quick(tmp_path, pacs.destination), analyse="by_study", processes=True) as node,
    ):
        send(node.port, slice_of(1, study=study))
        os.kill(who_holds(marks), signal.SIGKILL)
        was_reported_once(node, pacs, study)
        broke = [step for step in node.store.history(study) if step.event is StudyEvent.BROKE]
        assert [step.reason for step in broke] == ["its process was ended by SIGKILL"]
    assert len(list(marks.iterdir())) == 2, "it was analysed by another process, once"


def test_a_node_that_is_killed_while_its_worker_is_in_a_call_leaves_no_orphan_and_no_second_result(
    tmp_path: Path, marks: Path
) -> None:
    study = f"1.2.826.0.1.{HOLDS_ONCE}"
    with running_pacs() as pacs:
        with node_process(tmp_path, pacs.port, "by_study", processes=True) as (process, port):
            send(port, slice_of(1, study=study))
            worker = who_holds(marks)
            assert is_running(worker)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            wait_until(lambda: not is_running(worker))
        configuration = quick(tmp_path, pacs.destination)
        with quick_node(configuration, analyse="by_study", processes=True) as node:
            send(node.port, slice_of(1, study=study))
            was_reported_once(node, pacs, study)
            (broke,) = (step for step in node.store.history(study) if step.event is StudyEvent.BROKE)
            assert broke.reason == "the node stopped meanwhile"
    assert len(list(marks.iterdir())) == 2, "it was analysed by the next node, once"


def has_results(node: Node, count: int) -> bool:
    return len(node.store.results(STUDY)) == count


def test_result_files_that_no_row_names_are_gone_before_the_next_analysis_and_all_others_stay(
    tmp_path: Path,
) -> None:
    with quick_node(quick(tmp_path)) as node:
        results = node.instance_store.result_folder(STUDY)
        for count in (1, 2):
            # As a node leaves them that is killed while its worker writes.
            left = results / "of a killed node"
            left.mkdir(parents=True)
            (left / "fhir.json").write_text("{}")
            send(node.port, slice_of(count))
            wait_until(partial(has_results, node, count * len(CLASSES)))
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            assert not left.exists()
            assert len(list(results.iterdir())) == count
            assert all((node.instance_store.results / one.name).exists() for one in node.store.results(STUDY))


def test_a_file_without_a_row_is_entered(tmp_path: Path) -> None:
    with quick_node(quick(tmp_path)) as node:
        send(node.port, slice_of(1))
        (instance,) = node.store.instances("1.2.826.0.1.1")
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        study = node.store.study("1.2.826.0.1.1")
        assert study is not None
        assert node.store.forget_originals(study, lambda _instances: None)
    with quick_node(quick(tmp_path)) as node:
        assert node.store.instances("1.2.826.0.1.1") == (instance,)


def test_a_damaged_file_without_a_row_is_put_aside(tmp_path: Path) -> None:
    with quick_node(quick(tmp_path)) as node:
        folder = tmp_path / "instances" / "a" / "b"
        folder.mkdir(parents=True)
        (folder / "c.dcm").write_bytes(b"half a file")
    with quick_node(quick(tmp_path)) as node:
        (entry,) = in_quarantine(node.store)
        assert entry.reason.startswith("left behind")
        assert not (folder / "c.dcm").exists()


def test_half_written_files_are_cleared(tmp_path: Path) -> None:
    with quick_node(quick(tmp_path)):
        half = tmp_path / "incoming" / "x.part"
        half.write_bytes(b"half")
    with quick_node(quick(tmp_path)):
        assert not half.exists()


def test_a_study_whose_last_delivery_was_just_recorded_is_closed(tmp_path: Path) -> None:
    with running_pacs() as pacs:
        with quick_node(quick(tmp_path, pacs.destination)) as node:
            send(node.port, slice_of(1))
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            # As a node leaves it that is killed between the last answer and the end of the study.
            assert isinstance(node.store, SqlStore)
            with node.store._engine.begin() as connection:
                connection.execute(text("UPDATE studies SET state = 'delivering'"))
        with quick_node(quick(tmp_path, pacs.destination)) as node:
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        assert len(pacs.uids) == len(CLASSES)


def test_after_a_power_cut_what_did_not_reach_the_disk_was_promised_to_nobody(tmp_path: Path) -> None:
    with quick_node(quick(tmp_path)) as node:
        send(node.port, slice_of(1))
        send(node.port, slice_of(2))
        first, last = (node.instance_store.path(i) for i in node.store.instances("1.2.826.0.1.1"))
    # The row of the last one reached the disk, of its bytes only some.
    last.write_bytes(last.read_bytes()[:-10])
    with quick_node(quick(tmp_path)) as node:
        (left,) = node.store.instances("1.2.826.0.1.1")
        assert node.instance_store.path(left) == first
        assert not last.exists()
        assert send(node.port, slice_of(2)) == [0]
        assert last.exists()


def test_a_file_of_an_earlier_group_that_is_gone_is_told_and_its_row_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with quick_node(quick(tmp_path)) as node:
        send(node.port, slice_of(1))
        send(node.port, slice_of(2))
        first, _ = (node.instance_store.path(i) for i in node.store.instances("1.2.826.0.1.1"))
    first.unlink()
    with quick_node(quick(tmp_path)) as node:
        assert len(node.store.instances("1.2.826.0.1.1")) == 2
    assert "instance_file_missing" in capsys.readouterr().out
