"""Studies that are sent to the node wait for at most one of the backlog, at each station.

A gate holds the station at work on the first study of the backlog, until the others of the backlog and some
live studies wait there, too. What is asserted is the order in which work on them was begun, never a time.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom import evt

from analysis.domain.reason import Reason, quoted
from analysis.errors import RefusedError
from node.app import Node
from node.config import AssemblySettings, ReportSettings
from node.domain.completeness import Examination
from node.domain.results import Lineage, Outcome
from node.domain.study import StudyState
from node.domain.wish import WishState
from tests.node import analyses
from tests.node.app.test_fetching import ROOT, fetching, fill, wish
from tests.node.nodes import InThread, MovedClock, Pacs, send, slice_of, state_of
from tests.patience import PATIENCE_S, wait_until
from tests.peers import Orthanc

BACKLOG, LIVE = 5, 3
QUIET_S = 60.0


@dataclass
class Gate:
    """Notes the studies that work was begun on, and lets none pass while it is closed."""

    is_open: threading.Event = field(default_factory=threading.Event)
    begun: list[str] = field(default_factory=list)

    def enter(self, study: str) -> None:
        """Begin with a study, once the gate is open."""
        if study not in self.begun:
            self.begun.append(study)
        assert self.is_open.wait(PATIENCE_S)

    def reset(self) -> None:
        """Open the gate and forget."""
        self.is_open.set()
        self.begun.clear()


GATES = {name: Gate() for name in ("examine", "analyse", "explain", "send")}
REFUSING = threading.Event()


def study_of_files(paths: Sequence[Path]) -> str:
    return str(dcmread(paths[0]).StudyInstanceUID)


def examine(paths: Sequence[Path]) -> Examination:
    GATES["examine"].enter(study_of_files(paths))
    return analyses.examine_as_pair(paths)


def analyse(paths: Sequence[Path], configuration: object, out: Path, lineage: Lineage) -> Outcome:
    GATES["analyse"].enter(study_of_files(paths))
    if REFUSING.is_set():
        raise RefusedError(quoted("only two usable vertebrae"))
    return analyses.report(paths, configuration, out, lineage)


def explain(
    paths: Sequence[Path], configuration: object, out: Path, _reasons: tuple[Reason, ...], lineage: Lineage
) -> Outcome:
    GATES["explain"].enter(study_of_files(paths))
    return analyses.report(paths, configuration, out, lineage)


@dataclass
class GatedPacs(Pacs):
    """Answers once the gate is open."""

    def _store(self, event: evt.Event) -> int:
        GATES["send"].enter(str(event.dataset.StudyInstanceUID))
        return super()._store(event)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Orthanc, list[str]]]:
    """Run an archive that holds the backlog."""
    folder = tmp_path_factory.mktemp("archive")
    with Orthanc(folder / "orthanc", {"DicomAlwaysAllowGet": True}) as orthanc:
        yield orthanc, fill(orthanc, folder / "images", BACKLOG)


@contextmanager
def gated_node(
    directory: Path, orthanc: Orthanc, clock: MovedClock, *, early: bool
) -> Iterator[tuple[Node, GatedPacs]]:
    """Run a node with one worker, a PACS and a clock that decides when a study has settled."""
    pacs = GatedPacs()
    pacs.start()
    assembly = AssemblySettings(quiet_s=QUIET_S, max_wait_s=600, start_early=early)
    configuration = replace(
        fetching(directory, pacs.port, orthanc.dicom_port, assembly=assembly),
        report=ReportSettings(refusals=True),
    )
    here = "tests.node.app.test_live_beside_backlog"
    node = Node(
        configuration,
        analyse_study=f"{here}:analyse",
        examine_study=f"{here}:examine",
        report_refusal=f"{here}:explain",
        make_worker=InThread,
        sweep_s=0.05,
        clock=clock,
    )
    try:
        with node:
            yield node, pacs
    finally:
        pacs.stop()


def waits(node: Node, station: str, study: str, clock: MovedClock) -> bool:
    """Tell whether a station could begin with a study now."""
    if station == "examine":
        return study in {one.study_uid for one in node.store.due_studies(clock.now())}
    if station == "explain":
        return study in {one.study.study_uid for one in node.store.due_refusal_reports(clock.now())}
    return state_of(node, study) is {"analyse": StudyState.READY, "send": StudyState.DELIVERING}[station]


@pytest.mark.peers
@pytest.mark.parametrize(
    ("station", "early"),
    [
        ("examine", False),
        ("examine", True),
        ("analyse", False),
        ("analyse", True),
        ("explain", False),
        ("send", False),
    ],
)
def test_live_studies_wait_for_one_of_the_backlog(
    tmp_path: Path, archive: tuple[Orthanc, list[str]], station: str, *, early: bool
) -> None:
    orthanc, backlog = archive
    for gate in GATES.values():
        gate.reset()
    (REFUSING.set if station == "explain" else REFUSING.clear)()
    clock, gate = MovedClock(), GATES[station]
    end = StudyState.REFUSED if station == "explain" else StudyState.DELIVERED
    with gated_node(tmp_path, orthanc, clock, early=early) as (node, _pacs):
        gate.is_open.clear()
        try:
            wish(node.configuration, backlog)
            wait_until(
                lambda: all(w.state is WishState.FETCHED for one in backlog for w in node.store.wishes(one))
            )
            # All of the backlog at once: quiet enough for early work, or for good.
            clock.move(seconds=QUIET_S / 2 if early else QUIET_S)
            wait_until(lambda: gate.begun)
            live = [f"{ROOT}.live.{number}".replace("live", "9999") for number in range(LIVE)]
            for study in live:
                send(node.port, slice_of(1, study=study))
            clock.move(seconds=QUIET_S)
            others = {*backlog, *live} - set(gate.begun)
            wait_until(lambda: all(waits(node, station, one, clock) for one in others))
        finally:
            gate.is_open.set()
        wait_until(lambda: all(state_of(node, one) is end for one in [*backlog, *live]))
        if station == "explain":
            wait_until(lambda: len(gate.begun) == BACKLOG + LIVE)
    assert gate.begun[0] in backlog
    assert set(gate.begun[1 : 1 + LIVE]) == set(live), gate.begun
