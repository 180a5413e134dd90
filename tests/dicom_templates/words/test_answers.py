"""What a reader is told of an answer: number, threshold and word agree, in every view and language."""

import re
from dataclasses import replace

import pytest

from analysis.domain.findings import AnswerFigures, Prediction, Verdict
from analysis.domain.reason import Reason
from dicom_templates.codes import concepts
from dicom_templates.result_kinds import ResultKind
from dicom_templates.result_set import build
from dicom_templates.words.answer_figures import figures_sentence
from dicom_templates.words.languages import LANGUAGES
from dicom_templates.words.texts import Texts
from tests.dicom_templates.cases import ANSWERS, PREDICTIONS, TRAINED_ON, items, make_case
from tests.dicom_templates.views import named, views_of

HIGH_BUT_BELOW = replace(
    PREDICTIONS[0], verdict=Verdict.BELOW, probability=0.62, interval=(0.5, 0.7), decision_threshold=0.75
)
LOW_BUT_ABOVE = replace(
    PREDICTIONS[1], verdict=Verdict.ABOVE, probability=0.38, interval=(0.35, 0.5), decision_threshold=0.34
)
OPEN = replace(
    PREDICTIONS[1],
    verdict=Verdict.INDETERMINATE,
    probability=None,
    interval=None,
    decision_threshold=0.34,
    reasons=(Reason("threshold_in_interval", low=0.22, high=0.61, estimate=0.38, threshold=0.34),),
)
SIDE_WORDS = {
    "en": {Verdict.ABOVE: "ABOVE", Verdict.BELOW: "BELOW"},
    "de": {Verdict.ABOVE: "ÜBER", Verdict.BELOW: "UNTER"},
}
BARE_JUDGEMENT = re.compile(r"\b(un)?likely\b|wahrscheinlich(?!keit)", re.IGNORECASE)
"""Words that say yes or no without a threshold."""


def views(language: str, *predictions: Prediction) -> dict[str, str]:
    """Return the words of a report with these answers, view by view."""
    case = make_case(slices=4, size=64, language=language)
    return views_of(case, replace(case.findings, predictions=predictions))


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("prediction", [HIGH_BUT_BELOW, LOW_BUT_ABOVE])
def test_number_side_and_threshold_stand_together(language: str, prediction: Prediction) -> None:
    texts = Texts(language)
    value, threshold = (
        texts.percent(prediction.probability or 0.0),
        texts.percent(prediction.decision_threshold),
    )
    side = SIDE_WORDS[language][prediction.verdict]
    told = views(language, prediction)
    for view in ("picture", "page", "text"):
        pattern = rf"{value}.{{0,40}}{texts('probability_word')}|{texts('probability_word')} {value}"
        assert re.search(pattern, told[view]), view
        assert re.search(rf"{side} .{{0,30}}{threshold}", told[view]), view
    sign = ">" if prediction.verdict is Verdict.ABOVE else "<"
    assert f"{sign} {threshold.replace(' ', '')}" in told["list of series"]
    assert concepts.VERDICT_OF[prediction.verdict].meaning in told["SR"]


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("predictions", [(HIGH_BUT_BELOW, LOW_BUT_ABOVE), (HIGH_BUT_BELOW, OPEN)])
def test_no_view_says_yes_or_no_without_the_threshold(
    language: str, predictions: tuple[Prediction, ...]
) -> None:
    for view, words in views(language, *predictions).items():
        assert not BARE_JUDGEMENT.search(words), view


@pytest.mark.parametrize("language", ["en", "de"])
def test_an_open_answer_says_why_and_names_no_number_as_its_probability(language: str) -> None:
    told = {view: words.replace("\u00a0", " ") for view, words in views(language, OPEN).items()}
    # An estimate beside "no answer" contradicts it; programs find it in the measurement report.
    full = Texts(language).in_full.reason(OPEN.reasons[0])
    assert "38 %" in full
    assert full in told["SR"]
    for view in ("picture", "page", "text"):
        assert Texts(language).reason(OPEN.reasons[0]) in told[view], view
        assert not re.search(r"\b(38|22|61) %", told[view]), view
    for view in ("picture", "page", "text", "SR"):
        assert not re.search(
            rf"{Texts(language)('probability_word')} 38|38 % {Texts(language)('probability_word')}",
            told[view],
        ), view


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("prediction", [LOW_BUT_ABOVE, OPEN])
def test_the_figures_of_the_answers_given_stand_on_every_view(language: str, prediction: Prediction) -> None:
    told = views(language, prediction)
    to, own = {
        "en": ("to", "[Oo]wn cohort only"),
        "de": ("bis", "Nur (an der eigenen|eigene) Kohorte"),
    }[language]
    auc = Texts(language).number(0.82, 2)
    # Sensitivity, specificity, prevalence, AUC, patients with an answer, TR and TE of the training.
    wanted = ("84 %", "81 %", "30 %", auc, "96", f"TR 400 {to} 750 ms", f"TE 8 {to} 20 ms")
    predictive, left_open = ("62 %", "93 %"), ("64",)
    for view in ("picture", "page", "text", "SR"):
        words = told[view].replace("\u00a0", " ")
        more = (
            (*predictive, *left_open)
            if view != "picture"
            else predictive
            if prediction is LOW_BUT_ABOVE
            else ()
        )
        assert [figure for figure in (*wanted, *more) if figure not in words] == [], view
        assert re.search(rf"AUC[^.]{{0,20}}{auc} \(.{{4}} {to} .{{4}}\)", words), view
        assert re.search(own, words), view


@pytest.mark.parametrize("prediction", [LOW_BUT_ABOVE, OPEN])
def test_the_measurement_report_holds_the_figures_as_numbers_of_their_target(prediction: Prediction) -> None:
    case = make_case(slices=4, size=64)
    findings = replace(case.findings, predictions=(prediction,))
    made = build(findings, case.sources, replace(case.options, kinds=frozenset({ResultKind.SR})))
    (held,) = (
        one
        for one in items(named(made)["sr"])
        if one.ConceptNameCodeSequence[0].CodeValue == concepts.ANSWERS.value
    )
    about = held.ContentSequence[0].ConceptCodeSequence[0]
    assert about.CodeValue == concepts.TARGET_OF[prediction.target].value
    read = {
        one.ConceptNameCodeSequence[0].CodeValue: float(one.MeasuredValueSequence[0].NumericValue)
        for one in held.ContentSequence
        if one.ValueType == "NUM"
    }
    assert read == pytest.approx(
        {
            "N_PATIENTS": 160,
            "N_PRESENT": 48,
            "N_ANSWERED": 96,
            "PPV": 62,
            "NPV": 93,
            "SENSITIVITY": 84,
            "SPECIFICITY": 81,
        }
    )


def sentence(figures: AnswerFigures | None, *, brief: bool = False) -> str:
    return figures_sentence(replace(PREDICTIONS[0], answers=figures), Texts("en"), brief=brief)


def test_figures_that_nobody_could_count_are_left_out() -> None:
    only_negative = replace(
        ANSWERS, values={"NPV": 0.93, "specificity": 1.0}, intervals={"NPV": (0.86, 0.97)}
    )
    told = sentence(only_negative)
    assert "PPV" not in told
    assert "of those below 93 % (86 % to 97 %) did not (NPV), specificity > 99 %" in told
    none = sentence(replace(ANSWERS, answered=0, values={}, intervals={}))
    assert none.startswith("In cross-validation on 160 patients none got an answer. Judged on its own cohort")
    assert sentence(None) == ""


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_predictive_values_stand_on_the_picture_beside_an_answer_only(language: str) -> None:
    answered = PREDICTIONS[0]
    texts = Texts(language)
    values = [
        texts(key, value=texts.percent(value)) for key, value in (("ppv_brief", 0.62), ("npv_brief", 0.93))
    ]
    told = figures_sentence(answered, texts, brief=True)
    undecided = figures_sentence(replace(answered, verdict=Verdict.INDETERMINATE), texts, brief=True)
    assert all(value in told for value in values)
    assert not any(value in undecided for value in values)
    assert texts("specificity_brief", value=texts.percent(0.81)) in undecided


def test_the_acquisitions_of_two_sequences_are_told_in_full_or_not_at_all() -> None:
    both = replace(
        PREDICTIONS[0], trained_on={"T1": TRAINED_ON, "T2": replace(TRAINED_ON, echo_time_ms=(90, 110))}
    )
    texts = Texts("en")
    told = figures_sentence(both, texts)
    assert (
        "T1w TR 400 to 750 ms, TE 8 to 20 ms, 1.5 to 3.0 T; T2w TR 400 to 750 ms, TE 90 to 110 ms, 1.5"
        in told
    )
    assert "TR" not in figures_sentence(both, texts, brief=True)
    assert "TR 400 to 750 ms" in figures_sentence(PREDICTIONS[0], texts, brief=True)
