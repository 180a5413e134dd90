"""Sentences of the reasons of the science, in every language."""

import ast
import re
import string
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from pathlib import Path

import pytest

import analysis
import node
from analysis.domain.acquisition import AcquisitionFacts, Contrast, Plane
from analysis.domain.english import ENGLISH
from analysis.domain.findings import Refusal, SeriesRefusal, Target, Verdict
from analysis.domain.reason import Reason, quoted
from analysis.identify import identify
from dicom_templates.result_kinds import ResultKind
from dicom_templates.result_set import build
from dicom_templates.words.compose import compose, compose_refusal
from dicom_templates.words.languages import LANGUAGES
from dicom_templates.words.study_report import StudyReport
from dicom_templates.words.texts import Texts
from tests.dicom_templates.cases import MODEL, make_case, texts_of
from tests.dicom_templates.views import report_words

ENUMERATIONS: tuple[type[Enum], ...] = (Contrast, Plane, Target)

ENGLISH_WORDS = frozenset({
    "the", "is", "are", "of", "and", "were", "which", "with", "without", "its", "it", "not", "no", "or",
    "from", "by", "than", "for", "that", "only", "too",
})  # fmt: skip
"""Words found in nearly every English sentence and in no German one."""


def places(sentence: str) -> list[tuple[str, str | None]]:
    return sorted((name, spec) for _, name, spec, _ in string.Formatter().parse(sentence) if name)


def given() -> Iterator[tuple[str, str, frozenset[str] | None]]:
    """Yield where our code makes a reason, its code, and the names of its values (None if not literal)."""
    for room in (analysis, node):
        for path in Path(str(room.__file__)).parent.rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
                    continue
                if call.func.id == "Reason" and isinstance(call.args[0], ast.Constant):
                    names = [keyword.arg for keyword in call.keywords]
                    plain = None if None in names else frozenset(name for name in names if name)
                    yield f"{path.name}:{call.lineno}", str(call.args[0].value), plain


def words_of(report: StudyReport) -> Iterator[str]:
    """Yield every sentence of a report."""
    yield report.title
    yield from (line for section in report.sections for line in (section.heading, *section.lines))
    yield from (reason for answer in report.answers for reason in answer.reasons)
    yield from (concern for row in report.levels for concern in row.concerns)
    yield from (concern for line in report.bone_quality for concern in line.concerns)


def english_in(lines: Iterator[str]) -> list[str]:
    """Find English sentences, apart from quotations of the model card."""
    quotations = (MODEL.cohort, MODEL.intended_use)
    own = [re.sub("|".join(map(re.escape, quotations)), "", line) for line in lines]
    return [line for line in own if ENGLISH_WORDS & set(line.lower().replace(",", " ").split())]


@pytest.mark.parametrize("code", sorted(ENGLISH))
def test_every_reason_has_a_sentence_in_every_language_with_the_same_places(code: str) -> None:
    assert all(LANGUAGES[language].reasons[code] for language in LANGUAGES)
    assert len({tuple(places(LANGUAGES[language].reasons[code])) for language in LANGUAGES}) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_plain_sentence_stands_for_a_reason_and_has_no_value_that_this_lacks(language: str) -> None:
    plain = LANGUAGES[language].plain_reasons
    assert set(plain) == set(LANGUAGES["en"].plain_reasons)
    for code, sentence in plain.items():
        assert sentence
        in_full = LANGUAGES[language].reasons[code]
        assert set(places(sentence)) < set(places(in_full)) or not places(sentence), code
        assert places(sentence) == places(LANGUAGES["en"].plain_reasons[code]), code


@pytest.mark.parametrize("language", LANGUAGES)
def test_people_read_no_distance_overlap_or_estimate_but_programs_do(
    language: str,
) -> None:
    values = {
        "features_far": ({"sequence": "T1", "distance": 6.3, "limit": 5.8}, "6.3"),
        "features_missing": ({"sequence": "T1", "missing": 3, "count": 9}, "9"),
        "both_answers": ({"confidence": 0.8, "estimate": 0.35, "threshold": 0.4}, "35 %"),
        "neither_answer": ({"confidence": 0.8, "estimate": 0.35, "threshold": 0.4}, "35 %"),
        "answers_disagree": ({"confidence": 0.8, "estimate": 0.35, "threshold": 0.4}, "35 %"),
        "threshold_in_interval": ({"low": 0.2, "high": 0.5, "estimate": 0.35, "threshold": 0.4}, "35 %"),
        "outlined_differently": ({"other": "T2", "percent": 61.0}, "61 %"),
        "levels_confidence": ({"confidence": 0.98}, "98 %"),
    }
    assert set(values) == set(LANGUAGES[language].plain_reasons)
    texts = Texts(language)
    for code, (given_values, number) in values.items():
        reason = Reason(code, **given_values)  # type: ignore[arg-type]
        told = number.replace(".", texts.number(0.5, 1)[1])
        assert told in texts.in_full.reason(reason), code
        assert told not in texts.reason(reason), code


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_a_table_holds_nothing_but_reasons_and_the_words_of_our_enumerations(language: str) -> None:
    members = {f"{kind.__name__}.{member.name}".lower() for kind in ENUMERATIONS for member in kind}
    assert set(LANGUAGES[language].reasons) == set(ENGLISH) | members


def test_every_reason_that_is_given_is_in_the_table_and_gets_its_values() -> None:
    told = list(given())
    assert len(told) > 100
    for where, code, values in told:
        assert code in ENGLISH, where
        if values is not None:
            assert values == {name for name, _ in places(ENGLISH[code])}, where


def test_every_sentence_is_said_somewhere() -> None:
    rooms = [Path(str(room.__file__)).parent for room in (analysis, node)]
    sources = "".join(
        path.read_text(encoding="utf-8")
        for room in rooms
        for path in room.rglob("*.py")
        if path.name != "english.py"
    )
    # These codes are put together from parts at run time.
    made = {"lumbar_described", "lumbar_body_part", "elsewhere_described", "elsewhere_body_part"}
    made |= {"one_instance", "one_frame", "many_instances", "many_frames"}
    assert [code for code in ENGLISH if f'"{code}"' not in sources and code not in made] == []


def test_numbers_and_words_inside_a_reason_follow_the_language() -> None:
    height = Reason("height_loss", percent=30.6, grade=2)
    reason = Reason("body_disturbed", sequence="T1", level="L2", concern=height)
    assert reason == "T1w, L2: fracture-like height loss of 31 % (Genant grade 2)"
    assert Texts("de").reason(reason) == "T1w, L2: frakturartige Höhenminderung von 31 % (Genant-Grad 2)"
    axial = Reason("plane_by_orientation", plane=Plane.CORONAL)
    assert Texts("de").reason(axial) == "die Schichten liegen nach ihrer Ausrichtung koronal"
    answers = Reason("both_answers", confidence=0.8, estimate=0.125, threshold=0.4)
    assert "bei 80 % Konfidenz" in Texts("de").in_full.reason(answers)


def test_words_that_are_not_ours_stay_as_they_are() -> None:
    assert Texts("de").reasons(["as it came", quoted("another program's")]) == (
        "as it came",
        "another program's",
    )


def test_a_german_refusal_holds_no_english_sentence() -> None:
    ct = identify(AcquisitionFacts(modality="CT"))
    stir = identify(AcquisitionFacts(inversion_time_ms=150.0, series_description="LWS STIR sag"))
    cervical = identify(AcquisitionFacts(series_description="HWS t2 sag"))
    series = tuple(
        SeriesRefusal(f"1.2.{number}", Reason("many_instances", modality="MR", count=15), found.reasons)
        for number, found in enumerate((ct, stir, cervical))
    )
    few = Reason(
        "too_few_bodies",
        usable=2,
        minimum=3,
        why=(
            Reason("of_body", body=Reason("body_number", number=1), concerns=(Reason("touches_edge"),)),
            Reason("sacrum_not_found"),
        ),
    )
    report = compose_refusal(Refusal((Reason("no_series"), few), series), "OsteoNode 0.1.0", language="de")
    told = "\n".join(words_of(report))
    assert english_in(words_of(report)) == []
    assert "keine sagittale T1w- oder T2w-Serie der Lendenwirbelsäule wurde gefunden" in told
    assert "Wirbelkörper 1: berührt den Bildrand; das Kreuzbein wurde nicht gefunden" in told
    assert "gelesen wird nur MR" in told


def test_a_german_report_holds_no_english_sentence() -> None:
    case = make_case(slices=4, size=64, language="de")
    silent = replace(
        case.findings.predictions[0],
        verdict=Verdict.INDETERMINATE,
        probability=None,
        interval=None,
        reasons=(Reason("levels_uncertain", sequence="T1"), Reason("sequence_missing", sequence="T2")),
    )
    findings = replace(case.findings, predictions=(silent, case.findings.predictions[1]))
    report = compose(findings, language="de")
    assert english_in(words_of(report)) == []
    assert "berührt den Bildrand" in report_words(report)
    for one in build(findings, case.sources, case.options).objects:
        if one.kind in {ResultKind.SR, ResultKind.TEXT}:
            told = texts_of(one.dataset)
            assert any("berührt den Bildrand" in line for line in told), one.kind
            assert any("die Wirbelzuordnung ist unsicher" in line for line in told), one.kind
            assert english_in(iter(told)) == [], one.kind


def test_what_concerns_the_whole_study_stands_in_every_object_and_makes_another_result() -> None:
    case = make_case(slices=4, size=64, language="de")
    remarks = (Reason("several_names"), Reason("days_apart", days=10), Reason("other_frame_of_reference"))
    findings = replace(case.findings, remarks=remarks)
    report = compose(findings, language="de")
    assert report.caveats[1] == "Untersuchung: zwischen den Aufnahmen von T1w und T2w liegen 10 Tage"
    assert english_in(words_of(report)) == []
    plain = build(case.findings, case.sources, case.options).objects
    told = build(findings, case.sources, case.options).objects
    for before, after in zip(plain, told, strict=True):
        assert before.dataset.SOPInstanceUID != after.dataset.SOPInstanceUID
        if after.kind in {ResultKind.SR, ResultKind.TEXT}:
            assert any("liegen 10 Tage" in line for line in texts_of(after.dataset)), after.kind


def test_the_same_report_in_english_is_full_of_english_sentences() -> None:
    # This shows that the two tests above can fail.
    case = make_case(slices=4, size=64)
    assert len(english_in(words_of(compose(case.findings, language="en")))) > 10
