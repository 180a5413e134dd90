"""The table of sentences."""

import re
import string
from dataclasses import replace
from pathlib import Path

import pytest

import dicom_templates
from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Agreement, Refusal, Verdict
from analysis.domain.reason import Reason, quoted
from analysis.domain.segmentation import Level
from dicom_templates.pictures.overlay import draw_overlay
from dicom_templates.result_kinds import ResultKind
from dicom_templates.result_set import build
from dicom_templates.words.compose import compose, compose_refusal
from dicom_templates.words.languages import LANGUAGES
from dicom_templates.words.sections import caveat_lines
from dicom_templates.words.texts import Texts
from tests.dicom_templates.cases import make_case, texts_of
from tests.dicom_templates.views import only_written, report_words


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_exists_in_every_language_with_the_same_placeholders(language: str) -> None:
    sentences, english = LANGUAGES[language].sentences, LANGUAGES["en"].sentences
    assert set(sentences) == set(english)
    assert all(sentences.values())
    different = [key for key in english if placeholders(sentences[key]) != placeholders(english[key])]
    assert different == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_equal_series_that_were_not_analysed_are_told_once_with_their_number(language: str) -> None:
    findings = make_case(slices=4, size=64).findings
    (aside,) = findings.set_aside
    other = replace(aside, reasons=(Reason("gradient_echo"),))
    many = tuple(replace(one, series_uid=f"1.{number}") for number in range(21) for one in (aside, other))
    refusal = Refusal((Reason("no_whole_series"),), many)
    for report in (
        compose(replace(findings, set_aside=many), language=language),
        compose_refusal(refusal, "OsteoNode 1", language=language),
    ):
        lines = [line for section in report.sections for line in section.lines if "21 ×" in line]
        assert len(lines) == 2
        assert lines[0] != lines[1]


def test_every_sentence_is_said_somewhere() -> None:
    room = Path(str(dicom_templates.__file__)).parent
    code = "".join(path.read_text() for path in room.rglob("*.py") if path.parent.name != "languages")
    dynamic = re.compile(
        r"(above|below|indeterminate|osteoporosis|abnormal_density)(_short|_badge)?|(ppv|npv|sensitivity|specificity)(_brief)?"
    )
    unsaid = [
        key for key in LANGUAGES["en"].sentences if f'"{key}"' not in code and not dynamic.fullmatch(key)
    ]
    assert not unsaid


def test_a_language_we_do_not_speak_is_refused() -> None:
    with pytest.raises(ValueError, match="tlh"):
        Texts("tlh")


def test_numbers_follow_the_language() -> None:
    assert Texts("en").number(2.705, 1) == "2.7"
    assert Texts("de").number(2.75, 2) == "2,75"


@pytest.mark.parametrize(
    ("fraction", "written"), [(0.0, "< 1 %"), (0.01, "1 %"), (0.126, "13 %"), (0.99, "99 %"), (1.0, "> 99 %")]
)
def test_no_probability_is_written_as_certainty(fraction: float, written: str) -> None:
    assert Texts("en").percent(fraction) == written


def test_what_holds_for_both_sequences_is_said_once_and_the_gravest_first() -> None:
    findings = make_case(slices=4, size=64).findings
    regions = tuple(
        replace(one, usable=False, concerns=(quoted("metal"),)) if one.level is Level.L4 else one
        for one in findings.series[0].segmentation.regions
    )
    first = replace(
        findings.series[0], segmentation=replace(findings.series[0].segmentation, regions=regions)
    )
    assert caveat_lines((first, findings.series[1]), Texts("en")) == (
        "L4 (T1w) was not used: metal",
        "L2 (T1w, T2w) was used with a caveat: touches the edge of the image",
    )


def _basis(sequence: str, preferred: str, *, age_and_sex: bool = False) -> tuple[str, list[str]]:
    """Return the sentences on the sequence behind the answer to osteoporosis, and on the choice of it."""
    findings = make_case(slices=4, size=64).findings
    first, second = findings.predictions
    first = replace(first, sequence=sequence, preferred=preferred, age_and_sex=age_and_sex)
    report = compose(replace(findings, predictions=(first, second)), language="en")
    lines = [line for section in report.sections for line in section.lines]
    return report.answers[0].basis, [line for line in lines if line.startswith("Osteoporosis: from")]


def test_the_sequence_that_a_site_chose_is_told_as_its_choice() -> None:
    basis, (why,) = _basis("T2", Contrast.T2)
    assert basis == "from T2w, as this site has chosen"
    assert why.startswith("Osteoporosis: from T2w, as this site has chosen; in the paper")
    assert "T1w did best" in why
    basis, (why,) = _basis("T1+T2", "T1+T2")
    assert basis == "from T1w+T2w, as this site has chosen"
    assert "in the paper" in why
    basis, none = _basis("T1", Contrast.T2)
    assert basis == "from T1w, because T2w was not used"
    assert none == []


def test_an_answer_with_age_and_sex_says_so_and_is_not_taken_for_that_of_the_paper() -> None:
    basis, (why,) = _basis("T1", "T1", age_and_sex=True)
    assert basis == "from T1w, age and sex"
    assert why.startswith("Osteoporosis: from T1w, age and sex, as this site has chosen; in the paper")


def test_a_model_that_reads_age_and_sex_is_told_so_also_without_an_answer() -> None:
    findings = make_case(slices=4, size=64).findings
    silent = tuple(
        replace(one, age_and_sex=True, verdict=Verdict.INDETERMINATE) for one in findings.predictions
    )
    for told, expected in ((silent, 1), (findings.predictions, 0)):
        report = compose(replace(findings, predictions=told), language="en")
        lines = [line for section in report.sections for line in section.lines]
        assert sum("reads the age and sex of the patient" in line for line in lines) == expected


def test_the_sequence_that_is_published_is_told_as_the_papers_with_the_figures_of_the_model() -> None:
    basis, (why,) = _basis("T1", Contrast.T1)
    assert basis == "from T1w"
    assert "as in the paper (Front Endocrinol 2026;17:1823826" in why
    assert why.endswith("the AUC of this model itself is T1w 0.82 (0.74 to 0.88), T2w 0.85 (0.74 to 0.88).")


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_an_answer_nothing_is_said_of_the_sequence_that_suits_it(language: str) -> None:
    case = make_case(slices=4, size=64, language=language)
    missing = replace(
        case.findings.predictions[0],
        verdict=Verdict.INDETERMINATE,
        probability=None,
        interval=None,
        reasons=(Reason("sequence_missing", sequence="T1"), Reason("reference_invalid", sequence="T2")),
    )
    findings = replace(case.findings, series=case.findings.series[1:], predictions=(missing,))
    with only_written() as drawn:
        made = build(findings, case.sources, case.options)
    views = {
        "picture": " ".join(str(call.args[2]) for call in drawn.call_args_list),
        "page": re.sub(r"data:image[^\"]*", "", report_words(made.report)),
        **{one.name: " ".join(texts_of(one.dataset)) for one in made.objects},
    }
    for view, told in views.items():
        assert not re.search(r"\b(from|aus) T[12]w|Front Endocrinol", told), view


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_weighting_is_never_written_like_a_vertebra(language: str) -> None:
    case = make_case(slices=4, size=64, language=language)
    first, second = case.findings.predictions
    open_ = replace(
        first,
        verdict=Verdict.INDETERMINATE,
        probability=None,
        interval=None,
        reasons=(
            Reason("body_disturbed", sequence="T1", level="L2", concern=Reason("names_taken", other="T2")),
            Reason("another_analysed", contrast=Contrast.T1, merit=Reason("merit_view")),
        ),
    )
    findings = replace(
        case.findings,
        predictions=(open_, second),
        agreement=Agreement(5, registered=True, residual_mm=1.2, overlap=0.9, same_names=True),
        remarks=(Reason("days_apart", days=9), Reason("other_frame_of_reference")),
    )
    with only_written() as drawn:
        made = build(findings, case.sources, replace(case.options, kinds=frozenset(ResultKind)))
        for found in findings.series:
            draw_overlay(found, made.report.texts)
    page = re.sub(r"data:image[^\"]*", "", report_words(made.report))
    words = {
        "report": " | ".join(line for section in made.report.sections for line in section.lines),
        "pictures": " | ".join(str(call.args[2]) for call in drawn.call_args_list),
        "page": re.sub(r"<[^>]*>", " | ", page.partition("<body>")[2]),
        "series": " | ".join(str(one.dataset.SeriesDescription) for one in made.objects),
    }
    for view, told in words.items():
        # "digest-T1" is what the fixture calls a checksum.
        bare = re.findall(r"(?<!digest-)\bT[12]\b[^|]{,30}", told)
        assert bare == [], view
        assert "T1w" in told, view


def test_a_thoracic_vertebra_keeps_its_name() -> None:
    told = Texts("en").reason(Reason("body_disturbed", sequence="T1", level="T1", concern=quoted("T1 here")))
    assert told == "T1w, T1: T1 here"
