"""A refusal is explained in the archive, where a site wants that."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import EnhancedSRStorage

import dicom_templates.result_set  # noqa: F401 - takes seconds, which no wait below shall pay
from analysis.domain.reason import quoted
from node.app import Node
from node.config import ReportSettings, default
from node.domain.results import Lineage, ResultKind
from node.domain.study import StudyState
from node.refusal_report import explain_refusal
from node.why import explain
from tests.node.analyses import REFUSES
from tests.node.nodes import Pacs, quick, quick_node, running_pacs, send, slice_of, state_of, wait_until


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
        # Refused once its headers were examined, and by the analysis.
        ("1.2.826.0.7.1", "3", "T1 series: a slice is missing"),
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

        # The next slice makes a study of it again, and its report names the explanation it replaces.
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
        gap = "T1-Serie: zwischen 4,0 und 12,5 mm fehlt eine Schicht; der Schichtabstand ist 4,0 mm"
        assert gap in texts(pacs.received[0])
        assert "T1 series: a slice is missing between 4.0 and 12.5 mm" in explain(node.store, study)


def test_the_same_refusal_is_sent_once(tmp_path: Path) -> None:
    study = "1.2.826.0.7.1"
    with node_and_pacs(tmp_path, refusals=True) as (node, pacs):
        send(node.port, *(slice_of(number, study=study, series="3") for number in range(3)))
        wait_until(lambda: pacs.received)
        send(node.port, slice_of(0, study=study, series="9"))
        refused = [StudyState.REFUSED] * 2
        wait_until(lambda: [step.state for step in node.store.history(study)].count(refused[0]) == 2)
        wait_until(lambda: "1 sent" in explain(node.store, study))
        assert len(pacs.received) == 1
        assert {one.kind for one in node.store.results(study)} == {ResultKind.TEXT}


def test_nothing_is_sent_where_a_site_does_not_want_it(tmp_path: Path) -> None:
    study = "1.2.826.0.7.1"
    with node_and_pacs(tmp_path, refusals=False) as (node, pacs):
        send(node.port, *(slice_of(number, study=study, series="3") for number in range(3)))
        wait_until(lambda: state_of(node, study) is StudyState.REFUSED)
        assert not node.store.deliveries(study)
        assert not pacs.received


def test_a_refusal_that_cannot_be_explained_stands_all_the_same(tmp_path: Path, written: StringIO) -> None:
    study = f"1.2.826.0.7.{REFUSES}"
    with running_pacs() as pacs:
        settings = quick(tmp_path, pacs.destination, report=ReportSettings(refusals=True))
        breaks = "tests.node.analyses:explain_and_break"
        with quick_node(settings, analyse="by_study", explain=breaks) as node:
            send(node.port, slice_of(1, study=study))
            wait_until(lambda: "refusal_not_explained" in written.getvalue())
            assert state_of(node, study) is StudyState.REFUSED
            assert "only two usable vertebrae" in explain(node.store, study)
            harmless = "1.2.826.0.7.1"
            send(node.port, slice_of(1, study=harmless))
            wait_until(lambda: state_of(node, harmless) is StudyState.DELIVERED)
        assert {dataset.StudyInstanceUID for dataset in pacs.received} == {harmless}


def test_a_study_of_two_patients_is_explained_to_nobody(tmp_path: Path) -> None:
    paths = []
    for number, patient in enumerate(("ONE", "OTHER")):
        paths.append(tmp_path / f"{number}.dcm")
        slice_of(number, patient_id=patient).save_as(paths[-1], enforce_file_format=True)
    outcome = explain_refusal(paths, default(), tmp_path / "out", (quoted("two patients"),), Lineage())
    assert not outcome.results
    assert not (tmp_path / "out").exists()
