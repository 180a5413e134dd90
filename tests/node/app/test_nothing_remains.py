"""Nothing of a study that was delivered remains in the node's process, so that its memory stays flat."""

import gc
import re
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Sequence
from functools import _lru_cache_wrapper, partial
from itertools import pairwise
from pathlib import Path

import pytest

from node.app import Node
from node.config import AssemblySettings
from node.domain.study import StudyState
from node.settle import early_work
from node.store import arrivals
from tests.node.nodes import quick, quick_node, running_pacs, send, slice_of, state_of
from tests.patience import PATIENCE_S, wait_until
from tests.peers import free_port, wait_until_open

STUDIES = 5
"""In a round."""
ROUNDS = 3
_OF_THE_DRIVER = {"weakref.ReferenceType", "weakref", "sqlite3.Statement"}
"""The driver of SQLite remembers up to 200 cursors and 128 statements of each connection."""

pytestmark = pytest.mark.slow


def what_is_kept() -> Counter[str]:
    """Count all objects by their type, and what is in each list, set and dictionary."""
    for one in gc.get_objects():
        if isinstance(one, _lru_cache_wrapper) and one.cache_parameters()["maxsize"] is not None:
            one.cache_clear()
    gc.collect()
    counts: Counter[str] = Counter()
    for one in gc.get_objects():
        kind = f"{type(one).__module__}.{type(one).__qualname__}"
        counts[kind] += 1
        if isinstance(one, list | set | dict | deque):
            counts[f"{kind} {id(one)}"] = len(one)
    return counts


def all_delivered(running: Node, studies: Sequence[str]) -> bool:
    return all(state_of(running, one) is StudyState.DELIVERED for one in studies)


def test_nothing_is_kept_for_each_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of the latest so many studies is kept of two here, and is full after the first round.

    What happens to fill a cache, such as a new connection, does so in one round or the other; what keeps
    something of every study does so in each.
    """
    monkeypatch.setattr(early_work, "_MOST", 2)
    monkeypatch.setattr(arrivals, "_MOST_KEYS", 2)
    assembly = AssemblySettings(quiet_s=0.2, max_wait_s=0.5, start_early=True)
    counts = []
    with (
        running_pacs() as pacs,
        quick_node(quick(tmp_path, pacs.destination, assembly=assembly)) as running,
    ):
        for number in range(ROUNDS + 1):
            studies = [f"1.2.826.0.1.{number}.{study}" for study in range(1, STUDIES + 1)]
            for study in studies:
                send(running.port, *(slice_of(image, study=study, patient_id=study) for image in (1, 2)))
            wait_until(partial(all_delivered, running, studies))
            pacs.received.clear()
            counts.append(what_is_kept())
    grown = [after - before for before, after in pairwise(counts)]
    kept = {what: [one[what] for one in grown] for what in grown[0]}
    # A place in memory may be taken by another container, so those that are new do not count.
    there = counts[0].keys()
    assert not {
        what: each
        for what, each in kept.items()
        if min(each) >= STUDIES and what in there and what not in _OF_THE_DRIVER
    }


HEAP = 64 * 2**20
"""glibc reserves so much for the heap of a thread, at a multiple of it, and uses the beginning."""


def heaps_of_threads(pid: int) -> int:
    """Count the heaps of a process beside that of its first thread."""
    maps = re.findall(r"^(\w+)-(\w+) (\S+) \S+ \S+ 0 *$", Path(f"/proc/{pid}/maps").read_text(), re.MULTILINE)
    areas = [(int(begin, 16), int(end, 16), rights) for begin, end, rights in maps]
    return sum(
        begin % HEAP == 0 and (rights, rest) == ("rw-p", "---p") and end == after and last == begin + HEAP
        for (begin, end, rights), (after, last, rest) in pairwise(areas)
    )


def test_all_threads_of_a_node_share_one_heap(tmp_path: Path) -> None:
    """Otherwise each of sixteen keeps what was freed of the results that were sent from it."""
    port, file = free_port(), tmp_path / "config.toml"
    file.write_text(
        f'[node]\nport = {port}\n[web]\nport = {free_port()}\n[storage]\ndirectory = "{tmp_path / "var"}"\n'
    )
    with subprocess.Popen(
        [sys.executable, "-m", "node", "serve", "--config", str(file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until_open(port)
            found = heaps_of_threads(process.pid)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
    assert found == 0
