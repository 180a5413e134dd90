"""Several nodes that work with one database and one storage, each in a process of its own.

``python -m tests.node.several DIRECTORY URL PORT PACS_PORT`` imports everything once, then forks a node for
each line that it reads: its role (main or analyse), its name, and the fuse of `tests.node.fuses`: an edge and
the number of the crossing at which the node dies.
"""

# ruff: noqa: D102 - small methods are named for what they do
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import replace
from functools import partial
from pathlib import Path

import dicom_templates.result_set  # noqa: F401 - takes seconds, which no forked node should need
from node.app import AnalysingNode
from node.commands.service import _once_free
from node.config import AssemblySettings, Configuration, ReportSettings, StoreSettings
from node.store.nodes import SqlNodes
from tests.node.fuses import Fuse
from tests.node.nodes import InThread, Pacs, is_running, quick, quick_node
from tests.patience import PATIENCE_S

VANISHED_S = 4.0
_IN_THE_BOOK = ("sign", "free_vanished")
NODE_EDGES = tuple(f"{name} {phase}" for name in _IN_THE_BOOK for phase in ("asked", "committed"))


def settings_of(
    directory: Path, url: str, port: int, pacs_port: int, *, vanished_s: float = VANISHED_S
) -> Configuration:
    """Make the one configuration that all nodes have."""
    base = quick(
        directory,
        Pacs(port=pacs_port).destination,
        store=StoreSettings(url=url),
        assembly=AssemblySettings(quiet_s=0.2, max_wait_s=1.5, start_early=False),
        engine={"attempts": 50, "vanished_s": vanished_s},
        report=ReportSettings(refusals=True),
    )
    return replace(base, node=replace(base.node, port=port))


class Processes:
    """The nodes of a test, forked from one process."""

    def __init__(self, directory: Path, url: str, port: int, pacs_port: int) -> None:
        self.log = directory / "several.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.node.several", str(directory), url, str(port), str(pacs_port)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self._all: list[int] = []

    def start(self, role: str, name: str, edge: str = "never", crossings: int = 1) -> int:
        """Start a node and return its process ID; a main node waits until it is the only one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{role} {name} {crossings} {edge}\n")
        self._process.stdin.flush()
        self._all.append(int(self._process.stdout.readline()))
        return self._all[-1]

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + PATIENCE_S
        while is_running(pid):
            assert time.monotonic() < end
            time.sleep(0.01)

    def close(self) -> None:
        for pid in self._all:
            if is_running(pid):
                self.kill(pid)
        self._process.kill()
        self._process.communicate()


def _live(role: str, name: str, configuration: Configuration, fuse: Fuse) -> None:
    """Run a node until it is killed."""
    fuse.wire()
    for method in _IN_THE_BOOK:
        fuse._around(SqlNodes, method, before=f"{method} asked", after=f"{method} committed", doing=method)
    if role == "main":
        make = partial(quick_node, configuration, analyse="by_study", examine="examine_by_study")
        with _once_free(make):
            threading.Event().wait()
    analysing = AnalysingNode(
        configuration,
        name=name,
        analyse_study="tests.node.analyses:by_study",
        make_worker=InThread,
        sweep_s=0.05,
    )
    with analysing:
        threading.Event().wait()


def main() -> None:
    """Fork a node for each line that is read."""
    directory, url, port, pacs_port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    configuration = settings_of(directory, url, port, pacs_port)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nodes that ended leave nothing behind
    for line in sys.stdin:
        role, name, crossings, edge = line.strip().split(" ", 3)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(2, 1)
            try:
                _live(role, name, configuration, Fuse(edge, int(crossings)))
            except BaseException:  # noqa: BLE001 - whatever it is, it is told
                traceback.print_exc()
            os._exit(1)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
