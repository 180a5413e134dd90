"""SIGKILL at every edge of the node's work, while senders go on sending: nothing acknowledged is lost."""

# ruff: noqa: D102 - senders send, and a nursery bears
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from random import Random

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt

from node.domain.delivery import DeliveryState
from node.domain.results import ResultKind
from node.domain.study import StudyState
from node.instance_store import DiskInstanceStore, certified
from node.operate import open_store
from node.store import SqlStore
from tests.node.analyses import (
    BREAKS,
    CLASSES,
    HALF,
    NOT_OURS,
    REFUSES,
    SLOW,
    STOPS,
    UNREADABLE,
    UNWANTED,
)
from tests.node.fuses import EDGES, RARE
from tests.node.nodes import Pacs, quick, slice_of, wait_until
from tests.peers import free_port, program

_LONGEST_LIFE_S = 30.0
"""A node that has not reached its edge by then is killed wherever it is."""
_SLICES = 2
_LATE = 10
"""Numbers of slices that come late begin here."""
_MOST_LATE = 2

PLAIN, NAMELESS, REJECTED, HANGS_UP, TAKEN_SLOWLY = "1", "681", "682", "683", "684"
KINDS = (
    PLAIN, REFUSES, NOT_OURS, PLAIN, HALF, STOPS, TAKEN_SLOWLY, NAMELESS, BREAKS, PLAIN, REJECTED,
    UNREADABLE, SLOW, UNWANTED, HANGS_UP,
)  # fmt: skip
"""How studies of the senders end, by the last number of their UID."""
ENDS = dict.fromkeys(KINDS, StudyState.DELIVERED) | {
    REFUSES: StudyState.REFUSED,
    UNREADABLE: StudyState.REFUSED,
    NOT_OURS: StudyState.NOT_FOR_US,
    STOPS: StudyState.FAILED,
    NAMELESS: StudyState.FAILED,
    REJECTED: StudyState.FAILED,
}
ENDED = frozenset(ENDS.values())


def kind_of(study: str) -> str:
    return study.rpartition(".")[2]


def images_of(study: str, numbers: Sequence[int]) -> list[Dataset]:
    patient_id = "" if kind_of(study) == NAMELESS else "PLANTED-ID"
    return [slice_of(number, study=study, patient_id=patient_id) for number in numbers]


@dataclass
class ChoosyPacs(Pacs):
    """Rejects, dawdles, and hangs up once for each study of these kinds."""

    _hung_up: set[str] = field(default_factory=set)

    def _store(self, event: evt.Event) -> int:
        study = str(event.dataset.StudyInstanceUID)
        match kind_of(study):
            case kind if kind == REJECTED:
                return 0xA900
            case kind if kind == TAKEN_SLOWLY:
                time.sleep(0.4)
            case kind if kind == HANGS_UP and study not in self._hung_up:
                self._hung_up.add(study)
                event.assoc.abort()
                return 0xC000
        return super()._store(event)


@dataclass
class Sender:
    """Sends one study after the other, each until all of it is acknowledged, as a PACS does."""

    port: int
    name: str
    acknowledged: set[str] = field(default_factory=set)
    studies: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        for number, kind in enumerate(cycle(KINDS)):
            if self.stopping.wait(0.3):
                return
            study = f"1.2.826.0.{self.name}.{number}.{kind}"
            self.studies.append(study)
            self.send_at_last(images_of(study, range(_SLICES)))

    def send_at_last(self, slices: list[Dataset]) -> None:
        while not self.send(slices):
            time.sleep(0.1)

    def send(self, slices: list[Dataset], *, abort: bool = False) -> bool:
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
        if abort:
            association.abort()
        else:
            association.release()
        return {dataset.SOPInstanceUID for dataset in slices} <= self.acknowledged


@dataclass
class DcmtkSender(Sender):
    """The same by DCMTK's storescu."""

    folder: Path = Path()

    def send(self, slices: list[Dataset], *, abort: bool = False) -> bool:
        assert not abort
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


@dataclass
class LateSender(Sender):
    """Sends another slice of a study of somebody else in the worst moment, each state in its turn."""

    store: SqlStore = field(kw_only=True)

    def run(self) -> None:
        sent: defaultdict[str, int] = defaultdict(int)
        for state in cycle(state for state in StudyState if state is not StudyState.REPORTED):
            study = self._find(state, sent)
            if study is None:
                return
            number = _LATE + sent[study]
            sent[study] += 1
            self.send_at_last(images_of(study, [number]))

    def _find(self, state: StudyState, sent: dict[str, int]) -> str | None:
        """Wait a little for a study in this state, then take any; None in the end."""
        patience = time.monotonic() + 2.0
        while not self.stopping.wait(0.03):
            for study in self.store.studies(limit=60):
                wanted = study.state is state or time.monotonic() > patience
                if wanted and sent.get(study.study_uid, 0) < _MOST_LATE:
                    return study.study_uid
        return None


@dataclass
class InterruptedSender(Sender):
    """Breaks off each study, and sends it again once the node has made up its mind.

    It breaks off in the middle, or after the last slice, as when only the release is lost: what is sent again
    then brings nothing new but its orderly end.
    """

    store: SqlStore = field(kw_only=True)

    def run(self) -> None:
        moments = [
            (state, count)
            for count in (_SLICES, 1)
            for state in (StudyState.WAITING_FOR_PAIR, StudyState.REFUSED)
        ]
        for number, (state, count) in enumerate(cycle(moments)):
            if self.stopping.wait(0.3):
                return
            study = f"1.2.826.0.{self.name}.{number}.{PLAIN}"
            slices = images_of(study, range(_SLICES))
            while not self.send(slices[:count], abort=True):
                time.sleep(0.1)
            self.studies.append(study)
            while not self.stopping.wait(0.03):
                found = self.store.study(study)
                if found is not None and found.state in {state, *ENDED}:
                    break
            self.send_at_last(slices)


class Nursery:
    """The process of `tests.node.fuses`, from which each node of the test is forked."""

    def __init__(self, directory: Path, port: int, pacs_port: int, *, start_early: bool) -> None:
        self._log = (directory / "nursery.log").open("wb")
        words = [str(directory), str(port), str(pacs_port), "early" if start_early else "late"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.node.fuses", *words],
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


def judge(store: SqlStore, pacs: Pacs, study: str) -> StudyState:
    """Check that a study ended once, and as its images say; return how."""
    found = store.study(study)
    assert found is not None
    current = [result for result in store.results(study) if result.current]
    if found.state is StudyState.REFUSED and "was cut off" in found.reason:
        # Killed after the last answer and before the end of the association: whether that was all of the
        # series, only its sender knows.
        assert store.cut_off_series(study), (study, found)
        return found.state
    assert found.state is ENDS[kind_of(study)], (study, found)
    if found.state in {StudyState.REFUSED, StudyState.NOT_FOR_US}:
        assert found.reason
        assert not current
    elif kind_of(study) in {STOPS, NAMELESS}:
        assert {STOPS: "checksum", NAMELESS: "no PatientID"}[kind_of(study)] in found.reason
        assert not current
    elif kind_of(study) == UNWANTED:
        assert [result.kind for result in current] == [ResultKind.PDF]
        assert not store.deliveries(study)
    else:
        judge_results(store, pacs, study)
    return found.state


def judge_results(store: SqlStore, pacs: Pacs, study: str) -> None:
    """Check that the one current result set is of all images of a study, and is where it belongs."""
    current = {result.sop_uid: result for result in store.results(study) if result.current}
    assert sorted(result.kind for result in current.values()) == sorted(CLASSES)
    states = {one.state for one in store.deliveries(study) if one.result.sop_uid in current}
    assert states == {DeliveryState.FAILED if kind_of(study) == REJECTED else DeliveryState.SENT}
    there = [dataset for dataset in pacs.received if dataset.StudyInstanceUID == study]
    if kind_of(study) == REJECTED:
        assert not there
        return
    assert set(current) <= {dataset.SOPInstanceUID for dataset in there}
    images = len(store.instances(study))
    assert {one.InstanceNumber for one in there if one.SOPInstanceUID in current} == {images}
    made: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for dataset in there:
        made[dataset.SOPClassUID, dataset.InstanceNumber].add(dataset.SOPInstanceUID)
    assert all(len(uids) == 1 for uids in made.values()), f"two results of the same images of {study}"


@dataclass(frozen=True)
class Account:
    """What became of everything.

    Attributes
    ----------
    reached : set of str
        The edges at which a node died; the others were not reached in time.
    kills : int
        How many nodes died.
    acknowledged : int
        Instances that senders were told of success for.
    ends : dict of StudyState to int
        How many studies ended so.
    """

    reached: set[str]
    kills: int
    acknowledged: int
    ends: dict[StudyState, int]


def kill_everywhere(
    directory: Path, points: list[tuple[str, int]], *, start_early: bool, tries: int = 0
) -> Account:
    """Kill a node at each point in turn, let the last one live, and look what became of everything.

    Parameters
    ----------
    directory : Path
        Empty.
    points : list of (str, int)
        Edges, and at which crossing a node dies there.
    start_early : bool
        Whether the nodes analyse before a study has settled.
    tries : int
        How many more nodes may live to die at the first crossing of an edge that was not reached.
    """
    port = free_port()
    (directory / "files").mkdir()
    storage = directory / "storage"
    storage.mkdir()
    store = open_store(quick(storage))
    senders = [
        Sender(port, "1"),
        DcmtkSender(port, "2", folder=directory / "files"),
        LateSender(port, "3", store=store),
        InterruptedSender(port, "4", store=store),
    ]
    pacs = ChoosyPacs()
    pacs.start()
    nursery = Nursery(storage, port, pacs.port, start_early=start_early)
    try:
        with sending(senders):
            for edge, crossings in points:
                nursery.bear(edge, crossings)
                nursery.see_it_die(edge)
            for edge in [edge for edge, _ in points if edge not in nursery.reached] * tries:
                if edge not in nursery.reached:
                    nursery.bear(edge, 1)
                    nursery.see_it_die(edge)
            nursery.bear("never", 1)
        acknowledged = set().union(*(sender.acknowledged for sender in senders))
        stored = {instance.sop_uid: instance for instance in store.all_instances()}
        assert acknowledged <= set(stored)
        studies = [study for sender in senders for study in sender.studies]
        wait_until(
            lambda: all((there := store.study(study)) and there.state in ENDED for study in studies),
            seconds=600,
        )
        wait_until(lambda: set(store.counts()) <= ENDED, seconds=60)
    finally:
        nursery.close()
        pacs.stop()
    place = DiskInstanceStore(storage)
    assert all(certified(place.path(instance)) for instance in stored.values())
    ends: defaultdict[StudyState, int] = defaultdict(int)
    for study in studies:
        ends[judge(store, pacs, study)] += 1
    store.close()
    return Account(nursery.reached, nursery.killed, len(acknowledged), dict(ends))


def points_of(seed: int) -> list[tuple[str, int]]:
    """Every edge once, in an order and at a crossing that the seed chooses."""
    random = Random(seed)
    edges = list(EDGES)
    random.shuffle(edges)
    return [(edge, 1 if edge in RARE else random.randint(1, 3)) for edge in edges]


@pytest.mark.peers
@pytest.mark.timeout(1200)
def test_nothing_acknowledged_is_lost_at_a_dozen_edges(tmp_path: Path) -> None:
    points = points_of(seed=1)[:12]
    account = kill_everywhere(tmp_path, points, start_early=True)
    assert account.kills == len(points)
    assert len(account.reached) >= len(points) // 3
    assert set(account.ends) >= {StudyState.DELIVERED, StudyState.REFUSED}, "the test says too little"


@pytest.mark.peers
@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(2, 6))
def test_nothing_acknowledged_is_lost_at_any_edge(
    tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    account = kill_everywhere(tmp_path, points_of(seed), start_early=bool(seed % 2), tries=5)
    with capsys.disabled():
        ends = ", ".join(f"{count} {state}" for state, count in sorted(account.ends.items()))
        print(  # noqa: T201 - the figures are what a nightly run is for
            f"\nseed {seed}: {account.kills} kills at {len(account.reached)} edges, "
            f"{account.acknowledged} instances acknowledged, studies: {ends}"
        )
    assert account.reached == set(EDGES)
    assert set(account.ends) == ENDED
