"""A refusal is reported to the archive if the site wants that."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedSRStorage

import dicom_templates.result_set  # noqa: F401 - takes seconds, which must not count in the waits below
from analysis.domain.reason import Reason, quoted
from dicom_templates.result_kinds import ResultKind
from node.analyse.refusal_report import write_refusal_report
from node.app import Node
from node.clock import SystemClock
from node.config import Configuration, ReportSettings, default
from node.domain.records import NewResult
from node.domain.results import Lineage, Outcome
from node.domain.study import StudyEvent, StudyState
from node.operate.database import open_store
from node.show.why import explain
from node.store.instance_store import DiskInstanceStore
from node.store.retention import purge
from tests.node.analyses import REFUSES
from tests.node.nodes import (
    MovedClock,
    Pacs,
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
)
from tests.patience import wait_until

REFUSED = f"1.2.826.0.7.{REFUSES}"
LATER = datetime(9999, 1, 1, tzinfo=UTC)


@contextmanager
def node_and_pacs(folder: Path, *, refusals: bool, language: str = "en") -> Iterator[tuple[Node, Pacs]]:
    with running_pacs() as pacs:
        settings = quick(
            folder, pacs.destination, report=ReportSettings(refusals=refusals, language=language)
        )
        with quick_node(settings, analyse="by_study", examine="examine_by_series") as node:
            yield node, pacs


def texts(item: Dataset) -> list[str]:
    own = [str(item.TextValue)] if "TextValue" in item else []
    return [*own, *(line for child in item.get("ContentSequence", ()) for line in texts(child))]


@pytest.mark.parametrize(
    ("study", "series", "reason"),
    [
        # Refused by the examination of its headers, and by the analysis.
        ("1.2.826.0.7.1", "3", "T1w series: a slice is missing"),
        (f"1.2.826.0.7.{REFUSES}", "1", "only two usable vertebrae"),
    ],
)
def test_the_reason_comes_back_as_a_text_report(tmp_path: Path, study: str, series: str, reason: str) -> None:
    with node_and_pacs(tmp_path, refusals=True) as (node, pacs):
        slices = [slice_of(number, study=study, series=series) for number in range(3)]
        send(node.port, *slices)
        wait_until(lambda: pacs.received)
        (report,) = pacs.received
        assert report.SOPClassUID == EnhancedSRStorage
        assert (report.StudyInstanceUID, report.PatientID) == (study, "PLANTED-ID")
        assert any(reason in line for line in texts(report))
        assert state_of(node, study) is StudyState.REFUSED
        wait_until(lambda: "1 sent" in explain(node.store, study))

        # More slices re-open the study, and its next report names the one that it replaces.
        send(node.port, *(slice_of(7, study=study, series=one) for one in ("1", "2")))
        if not study.endswith(REFUSES):
            wait_until(lambda: len(pacs.received) == 5)
            text = next(one for one in pacs.received[1:] if one.SOPClassUID == EnhancedSRStorage)
            named = [one.ReferencedSOPInstanceUID for one in text.PredecessorDocumentsSequence]
            assert named == [report.SOPInstanceUID]


def test_a_german_site_is_told_in_german_and_its_operator_as_ever(tmp_path: Path) -> None:
    study = "1.2.826.0.7.1"
    with node_and_pacs(tmp_path, refusals=True, language="de") as (node, pacs):
        send(node.port, *(slice_of(number, study=study, series="3") for number in range(3)))
        wait_until(lambda: pacs.received)
        gap = "T1w-Serie: zwischen 4,0 und 12,5 mm fehlt eine Schicht; der Schichtabstand ist 4,0 mm"
        assert gap in texts(pacs.received[0])
        assert "T1w series: a slice is missing between 4.0 and 12.5 mm" in explain(node.store, study)


def test_the_same_refusal_is_sent_once(tmp_path: Path) -> None:
    study = "1.2.826.0.7.1"
    with node_and_pacs(tmp_path, refusals=True) as (node, pacs):
        send(node.port, *(slice_of(number, study=study, series="3") for number in range(3)))
        wait_until(lambda: pacs.received)
        send(node.port, slice_of(0, study=study, series="9"))
        refused = [StudyState.REFUSED] * 2
        wait_until(lambda: [step.state for step in node.store.history(study)].count(refused[0]) == 2)
        # The second one was explained, too.
        wait_until(lambda: (found := node.store.study(study)) is not None and found.deadline is None)
        wait_until(lambda: "1 sent" in explain(node.store, study))
        assert len(pacs.received) == 1
        (result,) = node.store.results(study)
        assert result.kind is ResultKind.TEXT
        second = [step.at for step in node.store.history(study) if step.state is refused[0]][1]
        assert result.created_at < second, "it was made when it was first told"


def test_nothing_is_sent_where_a_site_does_not_want_it(tmp_path: Path) -> None:
    study = "1.2.826.0.7.1"
    with node_and_pacs(tmp_path, refusals=False) as (node, pacs):
        send(node.port, *(slice_of(number, study=study, series="3") for number in range(3)))
        wait_until(lambda: state_of(node, study) is StudyState.REFUSED)
        assert not node.store.deliveries(study)
        assert not pacs.received


def test_a_refusal_that_cannot_be_explained_stands_all_the_same(tmp_path: Path, written: StringIO) -> None:
    with running_pacs() as pacs:
        settings = quick(tmp_path, pacs.destination, report=ReportSettings(refusals=True))
        with quick_node(settings, analyse="by_study", explain=BREAKS) as node:
            send(node.port, slice_of(1, study=REFUSED))
            wait_until(lambda: "refusal_not_explained" in written.getvalue())
            assert state_of(node, REFUSED) is StudyState.REFUSED
            assert "only two usable vertebrae" in explain(node.store, REFUSED)
            harmless = "1.2.826.0.7.1"
            send(node.port, slice_of(1, study=harmless))
            wait_until(lambda: state_of(node, harmless) is StudyState.DELIVERED)
        assert {dataset.StudyInstanceUID for dataset in pacs.received} == {harmless}


BREAKS = "tests.node.analyses:explain_and_break"


def refused_and_not_explained(folder: Path, pacs: Pacs, written: StringIO, **engine: int) -> Configuration:
    """Run a node that refuses a study and stops before it reports that; return its configuration."""
    settings = quick(folder, pacs.destination, report=ReportSettings(refusals=True), engine=engine)
    with quick_node(settings, analyse="by_study", explain=BREAKS) as node:
        send(node.port, slice_of(1, study=REFUSED))
        wait_until(lambda: "refusal_not_explained" in written.getvalue())
    return settings


def test_a_node_explains_what_the_one_before_it_could_not(tmp_path: Path, written: StringIO) -> None:
    with running_pacs() as pacs:
        settings = refused_and_not_explained(tmp_path, pacs, written)
        store = open_store(settings)
        assert "is still to be written" in explain(store, REFUSED)
        assert not purge(store, DiskInstanceStore(tmp_path), LATER), "it needs its images"
        store.close()
        with quick_node(settings, analyse="by_study") as node:
            wait_until(lambda: "1 sent" in explain(node.store, REFUSED))
            assert "is still to be written" not in explain(node.store, REFUSED)
        with quick_node(settings, analyse="by_study") as node:
            harmless = "1.2.826.0.7.1"
            send(node.port, slice_of(1, study=harmless))
            wait_until(lambda: state_of(node, harmless) is StudyState.DELIVERED)
        assert [one.StudyInstanceUID for one in pacs.received].count(REFUSED) == 1


def test_an_explanation_that_breaks_every_time_is_given_up(tmp_path: Path, written: StringIO) -> None:
    with running_pacs() as pacs:
        settings = refused_and_not_explained(tmp_path, pacs, written, attempts=1)
        with quick_node(settings, analyse="by_study") as node:
            assert "is still to be written" not in explain(node.store, REFUSED)
            assert not node.store.due_refusal_reports(LATER)
            assert state_of(node, REFUSED) is StudyState.REFUSED
        assert not pacs.received


def test_a_full_disk_costs_an_explanation_time_only(tmp_path: Path, written: StringIO) -> None:
    clock = MovedClock()
    with running_pacs() as pacs:
        settings = quick(
            tmp_path, pacs.destination, report=ReportSettings(refusals=True), engine={"attempts": 1}
        )
        full = "tests.node.analyses:explain_without_room"
        with quick_node(settings, analyse="by_study", explain=full) as node:
            send(node.port, slice_of(1, study=REFUSED))
            wait_until(lambda: "storage_full" in written.getvalue())
        clock.move(seconds=60)
        with quick_node(settings, analyse="by_study", clock=clock) as node:
            wait_until(lambda: "1 sent" in explain(node.store, REFUSED))


def test_what_a_site_does_not_want_any_more_is_forgotten(tmp_path: Path, written: StringIO) -> None:
    with running_pacs() as pacs:
        settings = refused_and_not_explained(tmp_path, pacs, written)
        settings = replace(settings, report=ReportSettings(refusals=False))
        with quick_node(settings, analyse="by_study") as node:
            wait_until(lambda: "is still to be written" not in explain(node.store, REFUSED))
        assert not pacs.received


def test_what_is_explained_too_late_explains_nothing(tmp_path: Path, written: StringIO) -> None:
    with running_pacs() as pacs:
        settings = refused_and_not_explained(tmp_path, pacs, written)
        store = open_store(settings)
        now = SystemClock().now()
        (due,) = store.due_refusal_reports(LATER)
        study = due.study
        retried = store.advance(study, StudyEvent.RETRIED, now, deadline=now)
        assert retried is not None
        store.advance(retried, StudyEvent.REFUSED, now, reason="another")
        result = NewResult(ResultKind.TEXT, "1.2", EnhancedSRStorage, "a.dcm", ("pacs",), "1.3")
        store.record_refusal_report(study, [result], now, key="key", replaced=())
        store.put_off_refusal_report(study, now, attempts=1)
        assert not store.results(REFUSED)
        assert not store.due_refusal_reports(LATER)
        store.close()


def test_a_study_of_two_patients_is_explained_to_nobody(tmp_path: Path) -> None:
    paths = []
    for number, patient in enumerate(("ONE", "OTHER")):
        paths.append(tmp_path / f"{number}.dcm")
        slice_of(number, patient_id=patient).save_as(paths[-1], enforce_file_format=True)
    outcome = write_refusal_report(paths, default(), tmp_path / "out", (quoted("two patients"),), Lineage())
    assert not outcome.results
    assert not (tmp_path / "out").exists()


def test_a_refusal_after_a_corrected_identity_tells_of_the_correction(tmp_path: Path) -> None:
    path = tmp_path / "image.dcm"
    slice_of(1).save_as(path, enforce_file_format=True)
    reasons = (Reason("no_series"),)
    corrected, first = (
        write_refusal_report([path], default(), tmp_path / name, reasons, Lineage(corrected=name == "after"))
        for name in ("after", "before")
    )
    assert corrected.key != first.key
    told, untold = (text_of(outcome) for outcome in (corrected, first))
    assert "corrected after an earlier report" in told
    assert "corrected" not in untold


def text_of(outcome: Outcome) -> str:
    """Return the texts of the report of a refusal."""
    (report,) = outcome.results
    return " ".join(str(element.value) for element in dcmread(report.path).iterall() if element.VR == "UT")
