"""The report as a PDF."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import EncapsulatedPDFStorage

from analysis.domain.findings import Refusal
from analysis.domain.reason import quoted
from dicom_templates.pictures.mid_sagittal import sagittal_pictures
from dicom_templates.pictures.pdf_report import draw_pdf
from dicom_templates.result_kinds import ResultKind
from dicom_templates.result_set import build
from dicom_templates.words.compose import compose, compose_refusal
from dicom_templates.words.study_report import StudyReport
from tests.dicom_templates.cases import make_case
from tests.peers import program, run

FINDINGS = make_case(slices=4, size=64).findings


def report(language: str = "en") -> StudyReport:
    return compose(FINDINGS, language=language, age_years=62)


def drawn(report: StudyReport) -> bytes:
    return draw_pdf(report, sagittal_pictures(FINDINGS, report))


def words_of(document: bytes, folder: Path) -> str:
    path = folder / "report.pdf"
    path.write_bytes(document)
    told = run([program("pdftotext", "poppler-utils"), "-layout", path, "-"])
    return re.sub(r"\s+", " ", told)


@pytest.mark.peers
@pytest.mark.parametrize("language", ["en", "de"])
def test_every_sentence_can_be_read_and_the_warning_comes_first(tmp_path: Path, language: str) -> None:
    shown = report(language)
    told = words_of(drawn(shown), tmp_path)
    assert told.strip().startswith(shown.warning[:40])
    for section in shown.sections:
        assert section.heading in told
        # A page may end within a sentence, so only the beginning of each is looked for.
        for line in section.lines:
            assert line[:45] in told
    assert re.search(r"(page|Seite) 1 (of|von) [2-9]", told)


@pytest.mark.peers
def test_nothing_runs_over_the_edge_of_a_page(tmp_path: Path) -> None:
    long = replace(report("de"), title="Knochendichterisikobeurteilung " * 12)
    path = tmp_path / "report.pdf"
    path.write_bytes(drawn(long))
    run([program("pdftoppm", "poppler-utils"), "-r", "50", "-gray", path, tmp_path / "page"])
    pages = sorted(tmp_path.glob("page*"))
    assert len(pages) >= 2
    for page in pages:
        grey = np.asarray(Image.open(page))
        # Below the banner of the warning, which reaches from edge to edge.
        margins = grey[100:, [*range(20), *range(-20, 0)]]
        assert (margins == 255).all(), page.name


def test_the_same_report_is_the_same_file() -> None:
    assert drawn(report()) == drawn(report())


def test_a_refusal_fits_on_a_page() -> None:
    refused = compose_refusal(Refusal((quoted("a slice is missing"),)), "OsteoNode 0.1.0", language="de")
    assert b"/Count 1" in draw_pdf(refused, ())


def test_the_object_holds_the_document_and_only_who_asks_for_it_gets_it() -> None:
    case = make_case(slices=4, size=64)
    usual = build(case.findings, case.sources, case.options)
    assert ResultKind.PDF not in [one.kind for one in usual.objects]
    (made,) = build(
        case.findings, case.sources, replace(case.options, kinds=frozenset({ResultKind.PDF}))
    ).objects
    dataset = made.dataset
    assert dataset.SOPClassUID == EncapsulatedPDFStorage
    assert dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength].startswith(b"%PDF-")
    assert len(dataset.EncapsulatedDocument) % 2 == 0
    assert len(dataset.SourceInstanceSequence) == 8
    assert dataset.SeriesDescription.startswith("SIMULATED MODEL PDF")
