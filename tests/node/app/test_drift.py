"""Two scanners send studies; one of them leaves the training range of the model."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from analysis.domain.remoteness import TrainingDistance
from analysis.prediction.checksums import digest_of
from dicom_templates import result_set
from dicom_templates.pictures import html_report, overlay
from node.analyse import study
from node.app import Node
from node.clock import SystemClock
from node.config import Configuration, ScannerDrift
from node.config.tables.models import DEMONSTRATION_MODEL
from node.domain.drift import ScannerState, Subject
from node.domain.study import StudyState
from node.operate import verify as verifying
from node.operate.retry import restart_study
from node.operate.verify import CheckOutcome, stored_report, verify
from node.store import store_url
from node.store.scanner_ranges import put_distances
from node.store.sql import SqlStore
from node.store.tables import open_engine, writing
from tests.dicom_templates.cases import items
from tests.node.by_hand import MOVED, images_by_hand, science
from tests.node.nodes import quick, quick_node, send
from tests.patience import wait_until

WHO = {"birth_date": "19640229", "sex": "M"}
STEADY = "Steady"
LEAVES_WITH = 10
"""Far studies without another, with which a scanner has left: as many as are needed to judge one."""


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (study, verifying):
        monkeypatch.setattr(module, "analyse_series", science)
    # These take most of the time, and are of no interest here.
    monkeypatch.setattr(html_report, "page_html", lambda *_: "")
    monkeypatch.setattr(overlay, "draw_overlay", lambda *_, **__: np.zeros((1, 1, 3), np.uint8))
    monkeypatch.setattr(result_set, "draw_summary", lambda *_: np.zeros((8, 8, 3), np.uint8))


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return quick(tmp_path)


def numbers() -> Iterator[str]:
    return (f"1.2.826.0.1.{number}" for number in range(1, 1000))


def sent_before(configuration: Configuration, scanner: str, distance: float) -> None:
    """Let a scanner have sent studies before, one fewer than are needed to judge it."""
    SqlStore(store_url(configuration)).close()
    engine = open_engine(store_url(configuration))
    subject = Subject(f"Scanner works, {scanner}, 1.5 T", digest_of(DEMONSTRATION_MODEL), "T1")
    there = {subject: TrainingDistance("T1", distance, 5.0, 4.0, in_protocol=True)}
    with writing(engine) as connection:
        for number in range(LEAVES_WITH - 1):
            put_distances(connection, f"1.2.826.0.2.{scanner}.{number}", there, SystemClock().now())
    engine.dispose()


def analysed(node: Node, study_uid: str, scanner: str) -> Path:
    """Have a study of a scanner analysed, and return the file of its measurement report."""
    send(node.port, *images_by_hand(study_uid, model=scanner, **WHO))
    return reported(node, study_uid)


def reported(node: Node, study_uid: str) -> Path:
    def done() -> bool:
        found = node.store.study(study_uid)
        return found is not None and found.state is StudyState.DELIVERED

    wait_until(done)
    return stored_report(node.store, node.instance_store, study_uid)


def cited(report: Path) -> list[str]:
    """Return what a report says of its scanner."""
    return [
        str(item.TextValue)
        for item in items(dcmread(report))
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeValue == "SCANNER_LEFT"
    ]


def left_open(report: Path) -> list[bool]:
    """Return of each target whether the model gives no answer because of the scanner."""
    beside = json.loads((report.parent / "findings.json").read_text())
    return [
        any(reason["code"] == "scanner_left" for reason in one["reasons"]) for one in beside["predictions"]
    ]


def states(node: Node) -> dict[str, ScannerState]:
    return {subject.scanner.split(", ")[1]: one.state for subject, one in node.store.scanner_ranges().items()}


def test_the_model_abstains_from_studies_of_a_scanner_that_has_left_and_from_no_other(
    configuration: Configuration,
) -> None:
    uids = numbers()
    sent_before(configuration, MOVED, 4.5)
    sent_before(configuration, STEADY, 1.0)
    with quick_node(configuration, analyse="by_templates") as node:
        before = analysed(node, next(uids), MOVED)
        steady = analysed(node, next(uids), STEADY)
        assert cited(before) == cited(steady) == []
        assert states(node) == {MOVED: ScannerState.LEFT, STEADY: ScannerState.INSIDE}

        last = next(uids)
        left = analysed(node, last, MOVED)
        assert cited(left) == ["T1=10/10"]
        # Osteoporosis is read from T1, abnormal density from T2, in which the scanner has not left.
        assert left_open(left) == [True, False]
        assert cited(analysed(node, next(uids), STEADY)) == []
        for report in (before, steady, left):
            outcomes = {check.subject: check.outcome for check in verify(report, configuration)}
            assert outcomes["result"] is CheckOutcome.EQUAL

        # The same study again, in the same state of its scanner, gives the same bytes.
        content = left.read_bytes()
        restart_study(node.store, last, SystemClock().now())
        again = reported(node, last)
        assert again != left
        assert again.read_bytes() == content
        kept = node.store.scanner_ranges()

    with quick_node(configuration, analyse="by_templates") as node:
        assert node.store.scanner_ranges() == kept
        assert cited(analysed(node, next(uids), MOVED)) == ["T1=10/10"]
        # A person looked, and accepts the scanner.
        (name,) = [subject.scanner for subject in kept if MOVED in subject.scanner]
        assert node.store.accept_scanner(name, SystemClock().now()) == 1
        assert node.store.accept_scanner(name, SystemClock().now()) == 0
        restart_study(node.store, last, SystemClock().now())
        answered = reported(node, last)
        assert cited(answered) == []
        assert left_open(answered) == [False, False]
        assert states(node)[MOVED] is ScannerState.UNKNOWN


@pytest.mark.parametrize("drift", [ScannerDrift.TELL, ScannerDrift.OFF])
def test_a_site_that_does_not_want_it_gets_answers(configuration: Configuration, drift: ScannerDrift) -> None:
    uids = numbers()
    wanted = replace(configuration, models=replace(configuration.models, scanner_drift=drift))
    sent_before(wanted, MOVED, 4.5)
    with quick_node(wanted, analyse="by_templates") as node:
        for _ in range(2):
            report = analysed(node, next(uids), MOVED)
        assert cited(report) == []
        assert left_open(report) == [False, False]
        counts = drift is ScannerDrift.TELL
        assert states(node) == {MOVED: ScannerState.LEFT if counts else ScannerState.UNKNOWN}
