"""A node that kills itself with SIGKILL at a chosen point of its work.

``python -m tests.node.fuses DIRECTORY PORT PACS_PORT early|late`` imports everything once, then forks a node
for each line that it reads: the name of an edge, and the number of the crossing at which the node dies. A
fork costs a fraction of a start, so hundreds of deaths fit into one test.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

import dicom_templates.result_set  # noqa: F401 - takes seconds, which no forked node should need
import node.analyse.refusal_report
import node.receive.connection
import node.store.arrivals
import node.store.associations
import node.store.outbox
import node.store.sql
import node.store.staging
import node.store.steps
import node.store.tables
from node.config import AssemblySettings, ReportSettings
from node.domain.records import Study
from node.domain.study import TRANSITIONS, StudyEvent, StudyState
from node.store.sql import SqlStore
from node.store.staging import DiskStagingFile
from tests.node import analyses
from tests.node.nodes import Pacs, quick, quick_node

_AT_THE_START = ("delete_arrivals", "cut_off_associations", "release_leases")
_TRANSACTIONS = (
    "record_arrivals", "advance", "lease_study", "record_results", "record_refusal", "record_refusal_report",
    "record_broken",
    "lease_deliveries", "record_delivery", "return_deliveries", "finish_deliveries", "end_association",
    *_AT_THE_START,
)  # fmt: skip
_S, _E = StudyState, StudyEvent
_NOT_HERE = frozenset(
    {
        # More images are no step of a study that is being received, and `reported` is left in the same
        # transaction that enters it.
        (_S.RECEIVING, _E.ARRIVED), (_S.REPORTED, _E.ARRIVED),
        # A lease outlives the time limit of its work, so that only a second node could see one expire.
        (_S.ANALYSING, _E.LEASED),
        # Operators give orders from a process of their own.
        *((state, event) for state, event in TRANSITIONS if event in {_E.RETRIED, _E.RESENT}),
    }
)  # fmt: skip
"""Steps that a node never takes by itself."""
_STEPS = tuple(f"{state}: {event}" for state, event in TRANSITIONS if (state, event) not in _NOT_HERE)
EDGES = (
    "fragment written", "file staged", "file renamed", "before a sync", "after a sync", "answering",
    "analysed", "explained",
    *(f"{name} {phase}" for name in _TRANSACTIONS for phase in ("asked", "written", "committed")),
    *_STEPS,
)  # fmt: skip
"""Points of the work; between any two of them something on disk or in the database changes."""
RARE = frozenset({edge for edge in EDGES if edge in _STEPS or edge.partition(" ")[0] in _AT_THE_START})
"""Edges that a node crosses once, or seldom."""


class Fuse:
    """Kills this process at one crossing of one edge.

    Parameters
    ----------
    edge : str
        One of `EDGES`; with any other name it never kills.
    crossings : int
        Number of the crossing, 1 for the first.
    """

    def __init__(self, edge: str, crossings: int) -> None:
        self._edge = edge
        self._left = crossings
        self._lock = threading.Lock()
        self._doing = threading.local()

    def cross(self, edge: str) -> None:
        """Cross an edge, and die there if it is the chosen crossing."""
        if edge != self._edge:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def wire(self) -> None:
        """Wrap every edge, so that `cross` is called there."""
        if self._edge == "fragment written":  # otherwise no part of an object is on disk before all of it is
            node.store.staging._MOST_IN_MEMORY = 0
        self._around(DiskStagingFile, "write", after="fragment written")
        self._around(DiskStagingFile, "finish", after="file staged")
        self._around(Path, "replace", after="file renamed")
        self._around(os, "fsync", before="before a sync", after="after a sync")
        self._around(node.receive.connection.Connection, "answer", before="answering")
        self._around(analyses, "by_study", after="analysed")
        self._around(node.analyse.refusal_report, "write_refusal_report", after="explained")
        for name in _TRANSACTIONS:
            self._around(SqlStore, name, before=f"{name} asked", after=f"{name} committed", doing=name)
        self._wire_commits()
        self._wire_steps()

    def _around(self, place: Any, name: str, *, before: str = "", after: str = "", doing: str = "") -> None:
        original = getattr(place, name)

        def crossing(*arguments: Any, **options: Any) -> Any:
            self.cross(before)
            self._doing.name = doing or getattr(self._doing, "name", "")
            result = original(*arguments, **options)
            self.cross(after)
            return result

        setattr(place, name, crossing)

    def _wire_commits(self) -> None:
        writing = node.store.tables.writing

        @contextmanager
        def writing_and_crossing(engine: Engine) -> Iterator[Connection]:
            with writing(engine) as connection:
                yield connection
                self.cross(f"{getattr(self._doing, 'name', '')} written")

        node.store.tables.writing = writing_and_crossing

    def _wire_steps(self) -> None:
        apply_event: Callable[..., Study] = node.store.steps.apply_event

        def apply_and_cross(
            connection: Connection, study: Study, event: StudyEvent, *rest: Any, **more: Any
        ) -> Study:
            moved = apply_event(connection, study, event, *rest, **more)
            self.cross(f"{study.state}: {event}")
            return moved

        # In each module of the store that has it by name.
        for name, module in list(sys.modules.items()):
            if name.startswith("node.store.") and getattr(module, "apply_event", None) is apply_event:
                module.apply_event = apply_and_cross  # type: ignore[attr-defined]


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def live(directory: Path, port: int, pacs_port: int, fuse: Fuse, *, start_early: bool) -> None:
    """Run a node until it is killed."""
    # Standard output is a pipe that is not read at the end of a test; a full pipe would stop the node.
    os.dup2(2, 1)
    fuse.wire()
    configuration = quick(
        directory,
        Pacs(port=pacs_port).destination,
        assembly=AssemblySettings(quiet_s=0.2, max_wait_s=1.5, start_early=start_early),
        engine={"attempts": 50},  # what breaks, breaks again in each node
        report=ReportSettings(refusals=True),
    )
    configuration = replace(configuration, node=replace(configuration.node, port=port))
    with quick_node(configuration, analyse="by_study", examine="examine_by_study"):
        threading.Event().wait()


def main() -> None:
    """Fork a node for each line that is read, one after the other."""
    directory, port, pacs_port, start_early = (
        Path(sys.argv[1]),
        int(sys.argv[2]),
        int(sys.argv[3]),
        sys.argv[4],
    )
    _say("ready")
    for line in sys.stdin:
        edge, _, crossings = line.strip().rpartition(" ")
        child = os.fork()
        if child == 0:
            fuse = Fuse(edge, int(crossings))
            live(directory, port, pacs_port, fuse, start_early=start_early == "early")
            os._exit(0)
        _say(f"started {child}")
        _, status = os.waitpid(child, 0)
        _say(f"ended {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
