"""Pages that are printed name the patient, and objects say whether they do."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset

from dicom_templates.pictures.pdf_report import draw_pdf
from dicom_templates.result_kinds import ResultKind
from dicom_templates.result_set import ResultSet, build
from dicom_templates.words.texts import Texts
from dicom_templates.words.whom import Whom, named
from tests.dicom_templates.cases import make_case
from tests.dicom_templates.views import report_words
from tests.peers import program, run

TOLD = {
    "en": ("Müller, Jörg", "4711 (CLINIC)", "1964-02-29", "A100"),
    "de": ("Müller, Jörg", "4711 (CLINIC)", "29.02.1964", "A100"),
}
NOBODY = dict.fromkeys(("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber"), "")


def made(language: str = "en", **header: str) -> ResultSet:
    """Build picture and PDF from images with changed headers."""
    case = make_case(slices=4, size=64, language=language)
    for image in (image for images in case.sources.values() for image in images):
        for keyword, value in header.items():
            setattr(image, keyword, value)
    kinds = frozenset({ResultKind.SUMMARY, ResultKind.PDF})
    return build(case.findings, case.sources, replace(case.options, kinds=kinds))


def page(result: ResultSet) -> str:
    return report_words(result.report)


def objects(result: ResultSet) -> dict[str, Dataset]:
    return {one.name: one.dataset for one in result.objects}


def pages_of_pdf(result: ResultSet, folder: Path) -> list[str]:
    document = objects(result)["pdf"]
    return pages_of(document.EncapsulatedDocument[: document.EncapsulatedDocumentLength], folder)


def pages_of(document: bytes, folder: Path) -> list[str]:
    path = folder / "report.pdf"
    path.write_bytes(document)
    told = run([program("pdftotext", "poppler-utils"), "-layout", path, "-"])
    return [re.sub(r"\s+", " ", one) for one in told.split("\f") if one.strip()]


@pytest.mark.parametrize("language", sorted(TOLD))
def test_the_page_names_patient_request_and_page(language: str) -> None:
    told = page(made(language))
    for words in TOLD[language]:
        assert f"<dd>{words}</dd>" in told
    assert 'counter(page) "\\20 ' in told
    assert "counter(pages)" in told
    assert told.index("<h1>") < told.index('class="whom"') < told.index('class="answers"')


@pytest.mark.peers
@pytest.mark.parametrize("language", sorted(TOLD))
def test_the_first_page_of_the_pdf_names_them_and_every_page_the_patient(
    language: str, tmp_path: Path
) -> None:
    report = made(language).report
    first, *others = report.sections
    crowded = replace(first, lines=(*first.lines, *(f"{number}." for number in range(80))))
    pages = pages_of(draw_pdf(replace(report, sections=(crowded, *others)), ()), tmp_path)
    assert len(pages) >= 2
    beginning = pages[0].partition(Texts(language)("result"))[0]
    for words in TOLD[language]:
        assert words in beginning.replace("\u00a0", " ")
    for number, words in enumerate(pages, start=1):
        assert Texts(language)("page", number=str(number), count=str(len(pages))) in words
        for told in TOLD[language][:3]:
            assert told in words.replace("\u00a0", " "), number


@pytest.mark.peers
def test_what_is_missing_is_said_to_be_missing(tmp_path: Path) -> None:
    result = made(**NOBODY)
    assert page(result).count("<dd>not given</dd>") == 4
    assert "Accession number: not given" in pages_of_pdf(result, tmp_path)[0].replace("\u00a0", " ")


@pytest.mark.peers
def test_a_name_that_cannot_be_printed_is_never_boxes(tmp_path: Path) -> None:
    both = made(SpecificCharacterSet="ISO_IR 192", PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう")
    assert "Yamada, Tarou = 山田, 太郎" in page(both)
    (first, *_) = pages_of_pdf(both, tmp_path)
    assert "Yamada, Tarou ·" in first.replace("\u00a0", " ")
    for name in ("王^小东", "כהן^דוד"):
        result = made("de", SpecificCharacterSet="ISO_IR 192", PatientName=name)
        (first, *_) = pages_of_pdf(result, tmp_path)
        assert "Name: in einer Schrift, die hier nicht druckbar ist" in first.replace("\u00a0", " ")
        assert "4711" in first
        assert name.replace("^", ", ") in page(result)


def test_a_name_cannot_become_markup_or_style() -> None:
    told = page(made(PatientName='</style><script>alert("1")</script>^"; } body { display: none'))
    assert "<script" not in told
    assert told.count("</style>") == 1
    style = told[told.index("<style>") : told.index("</style>")]
    assert "alert\\28" in style
    assert "body {" in style
    assert style.count("display: none") == 0


@pytest.mark.parametrize(
    ("header", "picture", "document"),
    [
        ({}, "NO", "YES"),
        (NOBODY, "NO", "NO"),
        ({"BurnedInAnnotation": "YES"}, "YES", "YES"),
        ({**NOBODY, "BurnedInAnnotation": "YES"}, "YES", "YES"),
        ({"BurnedInAnnotation": "NO"}, "NO", "YES"),
    ],
)
def test_burned_in_annotation_says_whether_the_patient_can_be_identified(
    header: dict[str, str], picture: str, document: str
) -> None:
    told = objects(made(**header))
    assert told["summary"].BurnedInAnnotation == picture
    assert told["pdf"].BurnedInAnnotation == document


def test_a_birth_date_that_is_none_is_told_as_it_came() -> None:
    assert dict(named(Whom(birth_date="1964"), Texts("de")))["Geburtsdatum"] == "1964"
