"""What a physician reads, in its order, without numbers that mean nothing, and what a site wants said."""

import re
from dataclasses import replace

import pytest
from pydicom import Dataset
from pydicom.sr.codedict import codes

from analysis.domain.findings import Findings, SeriesFindings, Target, Verdict
from analysis.domain.reason import Reason
from analysis.domain.segmentation import Level, Segmentation
from dicom_templates.read_back.citation import presentation_of
from dicom_templates.result_kinds import ResultKind
from dicom_templates.result_set import build
from dicom_templates.words.compose import compose, usual_next_step
from dicom_templates.words.languages import LANGUAGES
from dicom_templates.words.texts import Texts
from tests.dicom_templates.cases import PREDICTIONS, Case, headers_of, items, make_case
from tests.dicom_templates.views import PEOPLE, named, views_of

LOST = Reason("height_loss", percent=31.0, grade=2)


def case_in(language: str) -> Case:
    return make_case(slices=4, size=64, language=language)


def with_first(findings: Findings, first: SeriesFindings) -> Findings:
    return replace(findings, series=(first, *findings.series[1:]))


def scored(findings: Findings, score: float | None, *concerns: Reason) -> Findings:
    """Give the T1 series another score."""
    (first, *_) = findings.series
    quality = replace(first.bone_quality, score=score, concerns=concerns)
    return with_first(findings, replace(first, bone_quality=quality))


def segmented(findings: Findings, **changes: object) -> Findings:
    """Change the segmentation of the T1 series."""
    (first, *_) = findings.series
    segmentation: Segmentation = replace(first.segmentation, **changes)  # type: ignore[arg-type]
    return with_first(findings, replace(first, segmentation=segmentation))


def lowered(findings: Findings, level: Level) -> Findings:
    """Let a body of the T1 series have lost height."""
    regions = tuple(
        replace(one, concerns=(LOST,)) if one.level is level else one
        for one in findings.series[0].segmentation.regions
    )
    return segmented(findings, regions=regions)


@pytest.mark.parametrize("language", LANGUAGES)
def test_sections_answer_in_the_order_in_which_one_asks(language: str) -> None:
    case = case_in(language)
    report = compose(case.findings, language=language, next_step="Call the bone clinic.")
    texts = Texts(language)
    order = [texts(key) for key in ("measured", "meaning", "sure", "next", "about")]
    assert [one.heading for one in report.sections] == order
    for view, words in views_of(case, next_step="Call the bone clinic.").items():
        places = [words.find(one) for one in order]
        assert view != "page" or places == sorted(places)
    assert not [line for one in report.sections[:-1] for line in one.lines if "SHA-256" in line]
    assert "SHA-256" in report.sections[-1].lines[-1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_stands_twice_in_the_text(language: str) -> None:
    findings = lowered(scored(case_in(language).findings, 4.5), Level.L2)
    report = compose(findings, language=language, age_years=62, next_step=usual_next_step(language))
    lines = [line for one in report.sections for line in one.lines]
    assert len(lines) == len(set(lines))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_does_not_repeat_its_cards_and_its_table_as_sentences(language: str) -> None:
    case = case_in(language)
    report = compose(case.findings, language=language)
    repeated = [line for one in report.sections for line in one.elsewhere]
    # Two answers with their figures, ten bodies, and what holds of a simulated model.
    assert len(repeated) == 2 + 2 + 10 + 1
    page = views_of(case)["page"].replace("\u00a0", " ")
    assert [line for line in repeated if page.count(line) > (line == report.holds)] == []


# --- What to do next ------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_to_do_next_stands_in_every_view_and_nothing_if_a_site_wants_nothing(language: str) -> None:
    usual, case = usual_next_step(language), case_in(language)
    assert all(word in usual for word in ("ISCD 2023", "DXA", "65", "70"))
    for view in (*PEOPLE, "SR"):
        assert usual in views_of(case, next_step=usual)[view].replace("\u00a0", " "), view
        assert Texts(language)("next") not in views_of(case)[view], view
    assert "Ask Dr Smith." in views_of(case, next_step="Ask Dr Smith.")["picture"]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_what_to_do_next_does_not_depend_on_the_answer(verdict: Verdict) -> None:
    case = case_in("en")
    changed = tuple(replace(one, verdict=verdict) for one in PREDICTIONS)
    words = views_of(case, replace(case.findings, predictions=changed), next_step=usual_next_step("en"))
    assert usual_next_step("en") in words["text"]


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192", "ISO_IR 6"])
@pytest.mark.parametrize("next_step", ["", "Rückfrage – Prof. Łuczak", usual_next_step("de")])
def test_a_document_gives_back_what_it_says_to_do_next_whatever_its_characters(
    charset: str, next_step: str
) -> None:
    case = case_in("de")
    extra = {"SpecificCharacterSet": charset, "PatientName": "Doe^Jane"}
    sources = {one.source.series_uid: headers_of(one, **extra) for one in case.findings.series}
    options = replace(case.options, kinds=frozenset({ResultKind.SR}), next_step=next_step)
    made = named(build(case.findings, sources, options))["sr"]
    again = named(build(case.findings, sources, presentation_of(made)))["sr"]
    assert again == made
    told = recommended(made)
    assert len(told) == (1 if next_step else 0)
    other = named(build(case.findings, sources, replace(options, next_step="Something else.")))["sr"]
    assert other.SOPInstanceUID != made.SOPInstanceUID


def recommended(document: Dataset) -> list[str]:
    wanted = codes.DCM.Recommendation.value
    return [
        str(one.TextValue)
        for one in items(document)
        if one.ValueType == "TEXT" and one.ConceptNameCodeSequence[0].CodeValue == wanted
    ]


# --- VBQ and what is published of it --------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_published_stands_beside_a_score_that_is_missing(language: str) -> None:
    findings = case_in(language).findings
    bare = tuple(replace(one, bone_quality=replace(one.bone_quality, score=None)) for one in findings.series)
    words = views_of(case_in(language), replace(findings, series=bare))
    for view in PEOPLE:
        assert not re.search(r"\b107\b|Huang|± 1 SD|2[.,]77|\b3[.,]9\b|ICC", words[view]), view
    beside = views_of(case_in(language), scored(findings, None))
    assert not re.search(r"\b107\b", beside["text"])
    assert "Huang" in beside["text"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("age", "score", "told"),
    [
        (62, 3.85, True),
        (62, 3.83, False),
        (25, 3.20, True),
        (71, 3.83, False),
        (71, 3.85, True),
        (None, 3.85, True),
        (62, None, False),
    ],
)
def test_a_high_score_beside_a_low_risk_is_explained_and_nothing_else_is(
    *, language: str, age: int | None, score: float | None, told: bool
) -> None:
    findings = scored(case_in(language).findings, score)
    words = Texts(language)("vbq_beside_low_risk")
    assert findings.predictions[0].target is Target.OSTEOPOROSIS
    for verdict in Verdict:
        changed = (replace(findings.predictions[0], verdict=verdict), findings.predictions[1])
        report = compose(replace(findings, predictions=changed), language=language, age_years=age)
        expected = told and verdict is Verdict.BELOW
        assert (words in report.sections[1].lines) is expected
        assert (words in report.foremost) is expected


def test_no_group_of_patients_is_called_normal() -> None:
    for sentence in (told for language in LANGUAGES.values() for told in language.sentences.values()):
        about = re.sub(
            r"not a normal population|keine Normalbevölkerung|pas une population normale|"
            r"no normal range|kein Normbereich|pas une plage normale",
            "",
            sentence,
        )
        assert not re.search(r"\bnorm(al|ativ|bereich|wert|kollektiv)", about, re.IGNORECASE), sentence
        assert "±" not in about or re.search(r"± 1 (SD|ET)", about) or "{" in about, sentence


# --- Checks, levels and heights -------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_checks_are_words_with_their_reason_and_their_percents_are_in_the_measurement_report(
    language: str,
) -> None:
    texts, case = Texts(language), case_in(language)
    findings = scored(case.findings, None, Reason("fluid_scarce"), Reason("fluid_not_good"))
    findings = segmented(
        findings, levels_certain=False, level_confidence=0.57, concerns=(Reason("sacrum_not_found"),)
    )
    words = views_of(case, findings)
    for view in PEOPLE:
        assert not re.search(r"57 %|90 %", words[view].replace("\u00a0", " ")), view
    for number in ("90 %", "57 %"):
        assert number in words["SR"]
    for check, why in (("check_doubtful", "sacrum_not_found"), ("check_failed", "fluid_scarce")):
        assert f"{texts(check)} ({texts.reason(Reason(why))}" in words["text"]
    assert f"{texts('check_doubtful')} (L2)" in words["text"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("certain", [True, False])
def test_no_level_is_named_where_levels_have_no_names(*, language: str, certain: bool) -> None:
    case = case_in(language)
    elsewhere, missing = Reason("fluid_elsewhere", level="L2"), Reason("not_measured", levels="L1")
    findings = segmented(scored(case.findings, None, elsewhere, missing), levels_certain=certain)
    findings = replace(findings, series=findings.series[:1], predictions=findings.predictions[1:])
    words = views_of(case, findings)
    texts = Texts(language)
    for view in ("page", "text"):
        for concern in (elsewhere, missing):
            assert (texts.reason(concern) in words[view]) is certain, view
        assert bool(re.search(r"\bL[1-5]\b", words[view])) is certain, view


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_loss_of_height_has_its_own_line_with_grade_and_limits(language: str) -> None:
    case = case_in(language)
    findings = lowered(case.findings, Level.L3)
    grade, limits = {
        "en": ("L3 (T1w): height loss of 31 %", "age and cause are unknown"),
        "de": ("L3 (T1w): Höhenminderung von 31 %", "Alter und Ursache unbekannt"),
        "fr": ("L3 (T1w) : perte de hauteur de 31 %", "âge et cause inconnus"),
    }[language]
    words = views_of(case, findings)
    for view in (*PEOPLE, "SR"):
        told = words[view].replace("\u00a0", " ")
        assert told.count(grade) == 1, view
        assert re.search(r"Genant( |-)(grade|Grad) 2|grade 2 de Genant", told), view
        assert limits in told, view
    report = compose(findings, language=language)
    assert grade in report.foremost[0]
    assert not [line for line in report.caveats if "L3" in line]


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_comes_first_stands_on_the_picture_to_its_last_word(language: str) -> None:
    case = case_in(language)
    findings = lowered(scored(case.findings, 4.4, Reason("shading", change=-21.6)), Level.L3)
    foremost = compose(findings, language=language, age_years=62).foremost
    assert len(foremost) == 2
    picture = views_of(case, findings, next_step=usual_next_step(language))["picture"].replace("\u00a0", " ")
    assert [line for line in foremost if line.replace("\u00a0", " ") not in picture] == []
