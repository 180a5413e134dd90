"""A node process that is killed without warning, and what its next start makes of what is left."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from node.app import Node
from node.domain.study import StudyState
from node.operate import open_store
from tests.node.analyses import CLASSES, HANGS
from tests.node.nodes import (
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
    wait_until,
)

RUN = """
import sys
from pathlib import Path
from tests.node.nodes import Pacs, quick, quick_node
directory, pacs_port = Path(sys.argv[1]), int(sys.argv[2])
if __name__ == "__main__":
    with quick_node(quick(directory, Pacs(port=pacs_port).destination), analyse=sys.argv[3]) as node:
        print(node.port, flush=True)
        sys.stdin.read()
"""


@contextmanager
def node_process(
    directory: Path, pacs_port: int, analyse: str = "report"
) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Run a node in a process of its own; it is killed at the end if it still lives."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(directory), str(pacs_port), analyse],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).resolve().parents[2],
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


def current_results(node: Node, study: str) -> list[str]:
    revision = node.store.study(study).revision  # type: ignore[union-attr]
    found = [result.sop_uid for result in node.store.results(study) if result.revision == revision]
    assert len(found) == len(CLASSES)
    return found


def send_again(node: Node, studies: list[str]) -> None:
    """Do what a sender does that lost an association; until then the series count as cut off."""
    for study in studies:
        send(node.port, *(slice_of(number, study=study) for number in range(3)))


@pytest.mark.parametrize("seed", range(3))
def test_nothing_acknowledged_is_lost_whenever_the_node_is_killed(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    acknowledged: set[str] = set()

    def keep_sending(port: int, study: str) -> None:
        for number in range(40):
            dataset = slice_of(number, study=study)
            try:
                if send(port, dataset) == [0]:
                    acknowledged.add(dataset.SOPInstanceUID)
            except (ConnectionError, AttributeError, RuntimeError):
                return  # the node is gone; what was not acknowledged is not owed

    with running_pacs() as pacs:
        with node_process(tmp_path, pacs.port) as (process, port):
            senders = [
                threading.Thread(target=keep_sending, args=(port, f"1.2.826.0.1.{number}"))
                for number in range(2)
            ]
            for sender in senders:
                sender.start()
            time.sleep(0.3 + 2 * random.random())
            os.kill(process.pid, signal.SIGKILL)
            for sender in senders:
                sender.join()
        with quick_node(quick(tmp_path, pacs.destination)) as node:
            stored = {instance.sop_uid: instance for instance in node.store.all_instances()}
            assert acknowledged <= set(stored)
            assert all(node.instance_store.path(instance).exists() for instance in stored.values())
            studies = [study.study_uid for study in node.store.studies()]
            send_again(node, studies)
            wait_until(
                lambda: all(state_of(node, study) is StudyState.DELIVERED for study in studies),
            )
            for study in studies:
                assert set(current_results(node, study)) <= set(pacs.uids)
        assert acknowledged, "the node was killed before it took anything; the test says nothing"


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
        folder = node.instance_store.instances / "a" / "b"
        folder.mkdir(parents=True)
        (folder / "c.dcm").write_bytes(b"half a file")
    with quick_node(quick(tmp_path)) as node:
        (entry,) = node.store.quarantine()
        assert entry.reason.startswith("left behind")
        assert not (folder / "c.dcm").exists()


def test_half_written_files_are_cleared(tmp_path: Path) -> None:
    with quick_node(quick(tmp_path)) as node:
        half = node.instance_store.incoming / "x.part"
        half.write_bytes(b"half")
    with quick_node(quick(tmp_path)):
        assert not half.exists()
