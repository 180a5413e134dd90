"""The node is killed at every edge of its work while senders go on sending: nothing acknowledged is lost."""

# ruff: noqa: D102 - the methods of the fork server are named for what they do
import os
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from random import Random

import pytest

from dicom_templates.result_kinds import ResultKind
from node.domain.delivery import DeliveryState
from node.domain.study import StudyState
from node.operate.database import open_store
from node.ports import Store
from node.store.instance_store import DiskInstanceStore
from node.store.staging import read_certified
from tests.dicom_templates.cases import texts_of
from tests.node.analyses import CLASSES, STOPS, UNWANTED
from tests.node.fuses import EDGES, RARE
from tests.node.nodes import Pacs, quick
from tests.node.senders import (
    ENDED,
    ENDS,
    NAMELESS,
    REJECTED,
    ChoosyPacs,
    DcmtkSender,
    InterruptedSender,
    LateSender,
    Sender,
    kind_of,
    sending,
)
from tests.patience import wait_until
from tests.peers import free_port
from tests.thoroughness import share_of

pytestmark = pytest.mark.slow

_LOOK_EVERY_S = 0.2


class ForkServer:
    """The process of `tests.node.fuses`, from which each node of the test is forked."""

    def __init__(
        self, directory: Path, port: int, pacs: Pacs, store: Store, *, start_early: bool, longest_life: int
    ) -> None:
        self._store = store
        self._longest_life = longest_life
        self._log = (directory / "fork-server.log").open("wb")
        words = [str(directory), str(port), str(pacs.port), "early" if start_early else "late"]
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
        self._wait_for("ready")

    def _wait_for(self, word: str) -> int:
        assert self._process.stdout is not None
        for line in self._process.stdout:  # the node logs to the same pipe
            first, _, rest = line.strip().partition(" ")
            if first == word:
                return int(rest or 0)
        pytest.fail("the fork server ended by itself")

    def start_node(self, edge: str, crossings: int) -> None:
        """Start a node with a fuse."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{edge} {crossings}\n")
        self._process.stdin.flush()
        self._child = self._wait_for("started")

    def await_death(self, edge: str) -> None:
        """Wait until the node dies; kill it if it works on without reaching its edge."""
        is_late, is_dead = threading.Event(), threading.Event()
        most = ended_in(self._store) + self._longest_life

        def watch() -> None:
            while not is_dead.wait(_LOOK_EVERY_S):
                if ended_in(self._store) >= most:
                    is_late.set()
                    os.kill(self._child, signal.SIGKILL)
                    return

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            assert self._wait_for("ended") == -signal.SIGKILL, "it ended in another way"
        finally:
            is_dead.set()
            watching.join()
        self.killed += 1
        if not is_late.is_set():
            self.reached.add(edge)

    def kill_nodes(self, points: Sequence[tuple[str, int]], tries: int) -> None:
        """Kill a node at each point in turn, and try the edges again that none has reached."""
        for edge, crossings in points:
            self.start_node(edge, crossings)
            self.await_death(edge)
        for edge in [edge for edge, _ in points if edge not in self.reached] * tries:
            if edge not in self.reached:
                self.start_node(edge, 1)
                self.await_death(edge)

    def close(self) -> None:
        with suppress(ProcessLookupError):
            if self._child:
                os.kill(self._child, signal.SIGKILL)
        self._process.kill()
        self._process.communicate()
        self._log.close()


def judge(store: Store, pacs: Pacs, study: str) -> StudyState:
    """Check that a study ended once, and as its images require; return its state."""
    found = store.study(study)
    assert found is not None
    current = [result for result in store.results(study) if result.current]
    # A study that was refused for a while because its association was lost was explained then.
    only_explained = {result.kind for result in current} <= {ResultKind.TEXT}
    if found.state is StudyState.REFUSED:
        judge_refusal_report(store, pacs, study)
    if found.state is StudyState.REFUSED and "was cut off" in found.reason:
        # The node was killed after the last answer and before the end of the association: only the sender
        # knows whether that was all of the series.
        assert store.cut_off_series(study), (study, found)
        return found.state
    assert found.state is ENDS[kind_of(study)], (study, found)
    if found.state in {StudyState.REFUSED, StudyState.NOT_FOR_US}:
        assert found.reason
        assert only_explained
    elif kind_of(study) in {STOPS, NAMELESS}:
        assert {STOPS: "checksum", NAMELESS: "no PatientID"}[kind_of(study)] in found.reason
        assert only_explained
    elif kind_of(study) == UNWANTED:
        assert [result.kind for result in current] == [ResultKind.PDF]
        assert not [one for one in store.deliveries(study) if one.result.current]
    else:
        judge_results(store, pacs, study)
    return found.state


def judge_refusal_report(store: Store, pacs: Pacs, study: str) -> None:
    """Check that the archive has one report for each time that a study was refused."""
    (current,) = [result for result in store.results(study) if result.current]
    assert current.kind is ResultKind.TEXT
    (delivery,) = [one for one in store.deliveries(study) if one.result.sop_uid == current.sop_uid]
    if kind_of(study) == REJECTED:
        assert delivery.state is DeliveryState.FAILED
        return
    assert delivery.state is DeliveryState.SENT
    ends = [step for step in store.history(study) if step.state in {StudyState.REFUSED, StudyState.REPORTED}]
    reason = ends[-1].reason
    told = {
        one.SOPInstanceUID
        for one in pacs.received
        if one.StudyInstanceUID == study
        and set(reason.split("; ")) <= set("; ".join(texts_of(one)).split("; "))
    }
    assert current.sop_uid in told
    times = [why for why, _ in groupby(ends, key=lambda step: step.reason)].count(reason)
    assert len(told) <= times, f"{study} was explained twice"


def judge_results(store: Store, pacs: Pacs, study: str) -> None:
    """Check that the one current result set is of all images of a study, and was delivered."""
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
        if "ContentSequence" in dataset:
            continue  # the explanation of a refusal, see above
        made[dataset.SOPClassUID, dataset.InstanceNumber].add(dataset.SOPInstanceUID)
    assert all(len(uids) == 1 for uids in made.values()), f"two results of the same images of {study}"


@dataclass(frozen=True)
class Account:
    """What happened in one run.

    Attributes
    ----------
    reached : set of str
        The edges at which a node died; the others were not reached in time.
    kills : int
        Number of nodes that were killed.
    acknowledged : int
        Number of instances that were acknowledged to their senders.
    ends : dict of StudyState to int
        Number of studies by the state in which they ended.
    """

    reached: set[str]
    kills: int
    acknowledged: int
    ends: dict[StudyState, int]


def kill_everywhere(
    directory: Path,
    points: list[tuple[str, int]],
    *,
    start_early: bool,
    least: Mapping[StudyState, int],
    tries: int = 0,
    longest_life: int = 60,
) -> Account:
    """Kill a node at each point in turn, let the last one live, and check what became of everything.

    Parameters
    ----------
    directory : Path
        Empty.
    points : list of (str, int)
        Each an edge, and the number of the crossing at which the node dies.
    start_early : bool
        Whether the nodes analyse before a study has settled.
    least : mapping of StudyState to int
        Senders go on until so many studies have ended in these states, however slow the machine is.
    tries : int
        How often an edge that was not reached is tried again, at its first crossing.
    longest_life : int
        A node that has not reached its edge when so many more studies have ended is killed wherever it is.
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
    fork_server = ForkServer(storage, port, pacs, store, start_early=start_early, longest_life=longest_life)
    try:
        with sending(senders):
            fork_server.kill_nodes(points, tries)
            fork_server.start_node("never", 1)
            # Each sender may be about to open one of these studies again.
            wait_until(
                lambda: all(counts_in(store)[end] >= count + len(senders) for end, count in least.items())
            )
        acknowledged = set().union(*(sender.acknowledged for sender in senders))
        stored = {instance.sop_uid: instance for instance in store.all_instances()}
        assert acknowledged <= set(stored)
        wait_until(lambda: set(counts_in(store)) <= ENDED and not left_to_do(store))
    finally:
        fork_server.close()
        pacs.stop()
    files = DiskInstanceStore(storage)
    assert all(read_certified(files.path(instance)) for instance in stored.values())
    ends = Counter(judge(store, pacs, study) for sender in senders for study in sender.studies)
    store.close()
    return Account(fork_server.reached, fork_server.killed, len(acknowledged), dict(ends))


def counts_in(store: Store) -> Counter[StudyState]:
    """Count the studies by their states."""
    return Counter(store.figures(0, 0, datetime.max.replace(tzinfo=UTC)).studies)


def ended_in(store: Store) -> int:
    """Count the studies that have ended."""
    counts = counts_in(store)
    return sum(counts[state] for state in ENDED)


def left_to_do(store: Store) -> bool:
    """Tell whether a refusal is still to be reported, or such a report to be sent."""
    whenever = datetime.max.replace(tzinfo=UTC)
    if store.due_refusal_reports(whenever):
        return True
    return any(box.waiting for box in store.figures(0, 0, whenever).outboxes.values())


def points_of(seed: int) -> list[tuple[str, int]]:
    """Return every edge once, in an order and at a crossing that the seed chooses."""
    random = Random(seed)
    edges = list(EDGES)
    random.shuffle(edges)
    return [(edge, 1 if edge in RARE else random.randint(1, 3)) for edge in edges]


@pytest.mark.peers
def test_nothing_acknowledged_is_lost_at_a_dozen_edges(tmp_path: Path) -> None:
    """A quarter of the dozen outside continuous integration."""
    points = points_of(seed=1)[: share_of(12)]
    least = {StudyState.DELIVERED: 1, StudyState.REFUSED: 1}
    account = kill_everywhere(tmp_path, points, start_early=True, least=least, longest_life=10)
    assert account.kills == len(points)
    assert len(account.reached) >= len(points) // 3
    assert set(account.ends) >= {StudyState.DELIVERED, StudyState.REFUSED}, "the test says too little"


@pytest.mark.peers
def test_a_refusal_is_explained_once_wherever_the_node_dies_on_the_way(tmp_path: Path) -> None:
    edges = [
        edge for edge in EDGES if ("refus" in edge or "expla" in edge) and not edge.startswith("refused: ")
    ]
    assert len(edges) >= 9
    edges = edges[:: len(edges) // share_of(len(edges))]
    account = kill_everywhere(
        tmp_path,
        [(edge, 1) for edge in edges],
        start_early=False,
        least={StudyState.REFUSED: len(edges) // 2},
        tries=3,
    )
    assert account.reached == set(edges)
    assert account.ends[StudyState.REFUSED] >= len(edges) // 2, "the test says too little"


@pytest.mark.peers
@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(2, 6))
def test_nothing_acknowledged_is_lost_at_any_edge(
    tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    least = dict.fromkeys(ENDED, 1)
    account = kill_everywhere(tmp_path, points_of(seed), start_early=bool(seed % 2), least=least, tries=5)
    with capsys.disabled():
        ends = ", ".join(f"{count} {state}" for state, count in sorted(account.ends.items()))
        print(  # noqa: T201 - the figures are what a nightly run is for
            f"\nseed {seed}: {account.kills} kills at {len(account.reached)} edges, "
            f"{account.acknowledged} instances acknowledged, studies: {ends}"
        )
    assert account.reached == set(EDGES)
    assert set(account.ends) == ENDED
