"""The report as a PDF."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import EncapsulatedPDFStorage

from analysis.domain.findings import Refusal
from analysis.domain.reason import Reason, quoted
from analysis.domain.segmentation import Level
from dicom_templates.pictures.mid_sagittal import sagittal_pictures
from dicom_templates.pictures.pdf_report import draw_pdf
from dicom_templates.result_kinds import ResultKind
from dicom_templates.result_set import build
from dicom_templates.words.compose import compose, compose_refusal, usual_next_step
from dicom_templates.words.languages import LANGUAGES
from dicom_templates.words.sections import level_lines
from dicom_templates.words.study_report import Section, StudyReport
from dicom_templates.words.whom import Whom
from tests.dicom_templates.cases import DAY, make_case, with_prior
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


def pages_of(document: bytes, folder: Path) -> list[str]:
    path = folder / "report.pdf"
    path.write_bytes(document)
    told = run([program("pdftotext", "poppler-utils"), path, "-"])
    return [page.strip() for page in told.split("\f") if page.strip()]


def said(section: Section, report: StudyReport) -> list[str]:
    """Return the sentences of a section that the document says in words; the levels are in its table."""
    in_table = level_lines(report.levels, report.texts)
    return [line for line in section.lines if line not in in_table]


def squeezed(words: str) -> str:
    """Remove the spaces, because a line may end at any of them."""
    return re.sub(r"\s+", "", words)


@pytest.mark.peers
@pytest.mark.parametrize("language", ["en", "de"])
def test_every_sentence_can_be_read_and_the_warning_comes_first(tmp_path: Path, language: str) -> None:
    shown = report(language)
    told = words_of(drawn(shown), tmp_path)
    assert told.strip().startswith(shown.warning[:40])
    for section in shown.sections:
        assert section.heading in told
        for line in said(section, shown):
            assert line[:45] in told
    assert re.search(r"(page|Seite) 1 (of|von) 1", told)


@pytest.mark.peers
def test_the_table_has_what_was_measured_of_each_level(tmp_path: Path) -> None:
    shown = report()
    told = words_of(drawn(shown), tmp_path)
    for name in dict.fromkeys(row.name for row in shown.levels):
        rows = [row for row in shown.levels if row.name == name]
        assert " ".join([name, *(f"{row.volume} {row.signal} {row.vbq}" for row in rows)]) in told


@pytest.mark.peers
@pytest.mark.parametrize("language", list(LANGUAGES))
def test_what_must_be_said_of_a_crowded_study_is_on_the_first_page(tmp_path: Path, language: str) -> None:
    case = with_prior(make_case(slices=4, size=64))
    t1, t2 = case.findings.series
    loss = Reason("height_loss", percent=28.0, grade=2)
    regions = tuple(
        replace(one, concerns=(loss,)) if one.level is Level.L3 else one for one in t1.segmentation.regions
    )
    crowded = replace(
        case.findings, series=(replace(t1, segmentation=replace(t1.segmentation, regions=regions)), t2)
    )
    shown = compose(
        crowded,
        language=language,
        study_date=DAY,
        made=case.options.made,
        whom=Whom("Doe^Jane", "4711", "CLINIC", "1964-02-29", "A100"),
        age_years=62,
        next_step=usual_next_step(language),
    )
    first, *others = pages_of(draw_pdf(shown, sagittal_pictures(crowded, shown)), tmp_path)
    last = others[-1] if others else first
    assert len(others) <= 1
    assert shown.texts("details") in last
    for section in shown.sections:
        for line in said(section, shown):
            assert squeezed(line) in squeezed(last if line in section.details else first)


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
