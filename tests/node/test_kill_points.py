"""SIGKILL at every edge of the node's work, while senders go on sending: nothing acknowledged is lost."""

# ruff: noqa: D102 - senders send, and a nursery bears
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE

from node.domain.study import StudyState
from node.instance_store import DiskInstanceStore, certified
from node.operate import open_store
from node.store import SqlStore
from tests.node.analyses import CLASSES, REFUSES
from tests.node.fuses import EDGES
from tests.node.nodes import Pacs, quick, running_pacs, slice_of, wait_until
from tests.peers import free_port, program

_LONGEST_LIFE_S = 20.0
"""A node that has not reached its edge by then is killed wherever it is."""
_SLICES = 2


@dataclass
class Sender:
    """Sends one study after the other, each until all of it is acknowledged, as a PACS does."""

    port: int
    name: str
    acknowledged: set[str] = field(default_factory=set)
    studies: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        number = 0
        while not self.stopping.is_set():
            number += 1
            kind = REFUSES if number % 5 == 0 else "1"
            study = f"1.2.826.0.{self.name}.{number}.{kind}"
            self.studies.append(study)
            slices = [slice_of(index, study=study) for index in range(_SLICES)]
            while not self.send(slices):
                time.sleep(0.1)
            time.sleep(0.1)

    def send(self, slices: list[Dataset]) -> bool:
        """Send all slices over one association; tell whether all were acknowledged."""
        ae = AE("SENDER")
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 20
        ae.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
        association = ae.associate("127.0.0.1", self.port, ae_title="OSTEONODE")
        if not association.is_established:
            return False
        with suppress(RuntimeError):  # raised where the node died since the last answer
            for dataset in slices:
                if association.send_c_store(dataset).get("Status") != 0:
                    break
                self.acknowledged.add(dataset.SOPInstanceUID)
        association.release()
        return {dataset.SOPInstanceUID for dataset in slices} <= self.acknowledged


@dataclass
class DcmtkSender(Sender):
    """The same by DCMTK's storescu."""

    folder: Path = Path()

    def send(self, slices: list[Dataset]) -> bool:
        files = {str(self.folder / f"{index}.dcm"): dataset for index, dataset in enumerate(slices)}
        for file, dataset in files.items():
            dataset.save_as(file, enforce_file_format=True)
        words = [str(program("storescu", "dcmtk")), "-v", "-aec", "OSTEONODE", "127.0.0.1", str(self.port)]
        done = subprocess.run(
            [*words, *files], check=False, capture_output=True, text=True, timeout=60,
            env=os.environ | {"TCP_NODELAY": "1"},
        )  # fmt: skip
        file = ""
        for line in (done.stdout + done.stderr).splitlines():
            if "Sending file: " in line:
                file = line.partition("Sending file: ")[2].strip()
            elif "Received Store Response (Success)" in line:
                self.acknowledged.add(files[file].SOPInstanceUID)
        return done.returncode == 0


class Nursery:
    """The process of `tests.node.fuses`, from which each node of the test is forked."""

    def __init__(self, directory: Path, port: int, pacs_port: int) -> None:
        self._log = (directory / "nursery.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.node.fuses", str(directory), str(port), str(pacs_port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.reached: set[str] = set()
        self.killed = 0
        self._child = 0
        self._hear("ready")

    def _hear(self, word: str) -> int:
        assert self._process.stdout is not None
        for line in self._process.stdout:  # the log of the node comes this way too
            first, _, rest = line.strip().partition(" ")
            if first == word:
                return int(rest or 0)
        pytest.fail("the nursery ended by itself")

    def bear(self, edge: str, crossings: int) -> None:
        """Start a node with a fuse."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{edge} {crossings}\n")
        self._process.stdin.flush()
        self._child = self._hear("born")

    def see_it_die(self, edge: str) -> None:
        """Wait for the end of the node; help where it does not come."""
        helped = threading.Event()

        def help_it() -> None:
            helped.set()
            os.kill(self._child, signal.SIGKILL)

        helper = threading.Timer(_LONGEST_LIFE_S, help_it)
        helper.start()
        assert self._hear("dead") == -signal.SIGKILL, "it ended in another way"
        helper.cancel()
        self.killed += 1
        if not helped.is_set():
            self.reached.add(edge)

    def close(self) -> None:
        with suppress(ProcessLookupError):
            if self._child:
                os.kill(self._child, signal.SIGKILL)
        self._process.kill()
        self._process.communicate()
        self._log.close()


@contextmanager
def sending(senders: list[Sender]) -> Iterator[None]:
    threads = [threading.Thread(target=sender.run) for sender in senders]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for sender in senders:
            sender.stopping.set()
        for thread in threads:
            thread.join()


def end_of(store: SqlStore, pacs: Pacs, study: str) -> str:
    """Judge how a study ended: "reported" or "refused"; anything else fails."""
    found = store.study(study)
    assert found is not None
    current = [result for result in store.results(study) if result.current]
    if found.state is StudyState.DELIVERED:
        assert sorted(result.kind for result in current) == sorted(CLASSES)
        assert {result.sop_uid for result in current} <= set(pacs.uids)
        return "reported"
    assert found.state is StudyState.REFUSED, (study, found)
    assert found.reason
    assert not current
    return "refused"


def kill_everywhere(directory: Path, points: list[tuple[str, int]]) -> set[str]:
    """Kill a node at each point in turn, let the last one live, and look what became of everything.

    Returns
    -------
    set of str
        The edges at which a node died; the others were not reached in time.
    """
    port = free_port()
    (directory / "files").mkdir()
    storage = directory / "storage"
    storage.mkdir()
    senders = [Sender(port, "1"), DcmtkSender(port, "2", folder=directory / "files")]
    with running_pacs() as pacs:
        nursery = Nursery(storage, port, pacs.port)
        try:
            with sending(senders):
                for edge, crossings in points:
                    nursery.bear(edge, crossings)
                    nursery.see_it_die(edge)
                nursery.bear("never", 1)
            store = open_store(quick(storage))
            ended = {StudyState.DELIVERED, StudyState.REFUSED, StudyState.FAILED}
            studies = [study for sender in senders for study in sender.studies]
            wait_until(
                lambda: all((there := store.study(s)) and there.state in ended for s in studies), seconds=500
            )
        finally:
            nursery.close()
        acknowledged = set().union(*(sender.acknowledged for sender in senders))
        stored = {instance.sop_uid: instance for instance in store.all_instances()}
        assert acknowledged <= set(stored)
        place = DiskInstanceStore(storage)
        assert all(certified(place.path(instance)) for instance in stored.values())
        ends = [end_of(store, pacs, study) for study in studies]
        store.close()
    assert nursery.killed == len(points)
    assert {"reported", "refused"} <= set(ends), "one of both never happened; the test says too little"
    return nursery.reached


def points_of(seed: int) -> list[tuple[str, int]]:
    """Every edge once, in an order and at a crossing that the seed chooses."""
    random = Random(seed)
    edges = list(EDGES)
    random.shuffle(edges)
    return [(edge, random.randint(1, 4)) for edge in edges]


@pytest.mark.peers
@pytest.mark.timeout(1200)
def test_nothing_acknowledged_is_lost_at_a_dozen_edges(tmp_path: Path) -> None:
    points = points_of(seed=1)[:12]
    assert len(kill_everywhere(tmp_path, points)) >= len(points) // 3


@pytest.mark.peers
@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_nothing_acknowledged_is_lost_at_any_edge(tmp_path: Path) -> None:
    points = [point for seed in range(2, 8) for point in points_of(seed)]
    assert len(points) > 250
    assert kill_everywhere(tmp_path, points) == set(EDGES)
