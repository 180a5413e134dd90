"""Two examinations of one patient are compared only where scores of both mean the same."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from analysis.domain.acquisition import Contrast
from analysis.domain.examination import Examination, Scan, Score
from analysis.domain.priors import compare, examination_of, latest_before
from analysis.domain.target import Target
from tests.dicom_templates.cases import make_case

SCAN = Scan("Scanner works", "Magnet 1", 1.5, 550.0, 10.0, ("2D", "SE"))
SCORE = Score(Contrast.T1, 2.71, True, ("L1", "L2", "L3", "L4"), "segmenter 1", SCAN)
THEN = Examination(
    "1.1", "a person", date(2024, 3, 1), "settings", (SCORE,), "model", ((Target.OSTEOPOROSIS, 0.08),)
)
NOW = replace(
    THEN,
    study_uid="1.2",
    day=date(2026, 1, 5),
    scores=(replace(SCORE, value=2.95),),
    probabilities=((Target.OSTEOPOROSIS, 0.12),),
)


def scored(examination: Examination, **changes: Any) -> Examination:
    return replace(examination, scores=(replace(examination.scores[0], **changes),))


def scanned(**changes: Any) -> Examination:
    return scored(THEN, scan=replace(SCAN, **changes))


def codes(then: Examination, now: Examination = NOW) -> list[str]:
    (change,) = compare(then, now).scores
    assert (change.difference is None) == bool(change.obstacles)
    return [reason.code for reason in change.obstacles]


def test_scores_of_one_scanner_and_protocol_have_a_difference() -> None:
    compared = compare(THEN, NOW)
    (change,) = compared.scores
    assert (change.then, change.now) == (2.71, 2.95)
    assert change.difference == pytest.approx(0.24)
    (probability,) = compared.probabilities
    assert (probability.target, probability.then, probability.now) == (Target.OSTEOPOROSIS, 0.08, 0.12)


@pytest.mark.parametrize(
    "then",
    [
        scanned(manufacturer="SCANNER  WORKS"),
        scanned(field_strength_t=1.494),
        scanned(repetition_time_ms=530.0, echo_time_ms=10.4),
    ],
)
def test_spelling_and_the_adjustment_of_a_protocol_are_no_difference(then: Examination) -> None:
    assert codes(then) == []


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (scored(THEN, sound=False), ["prior_doubtful"]),
        (scored(THEN, measured_by="segmenter 2"), ["prior_measured_otherwise"]),
        (replace(THEN, settings="others"), ["prior_measured_otherwise"]),
        (scored(THEN, levels=("L1", "L2", "L3")), ["prior_other_levels"]),
        (scanned(manufacturer="Magnet makers"), ["prior_other_scanner"]),
        (scanned(model="Magnet 2", field_strength_t=2.89), ["prior_other_scanner", "prior_other_field"]),
        (scanned(model=""), ["prior_scanner_unknown"]),
        (scanned(field_strength_t=None), ["prior_scanner_unknown"]),
        (scanned(sequence=("3D", "SE")), ["prior_other_sequence"]),
        (scanned(repetition_time_ms=600.0), ["prior_other_timing"]),
        (scanned(echo_time_ms=None), ["prior_timing_unknown"]),
    ],
)
def test_what_prevents_a_comparison_is_told(then: Examination, expected: list[str]) -> None:
    assert codes(then) == expected


def test_a_doubtful_score_of_now_is_not_compared() -> None:
    assert codes(THEN, scored(NOW, sound=False)) == ["present_doubtful"]


def test_other_weightings_and_other_models_are_not_compared() -> None:
    assert compare(scored(THEN, contrast=Contrast.T2), NOW).scores == ()
    assert compare(replace(THEN, model="another"), NOW).probabilities == ()
    assert compare(replace(THEN, probabilities=()), NOW).probabilities == ()
    from_t2 = ((Target.OSTEOPOROSIS, "T2"),)
    for bases in ((), ((Target.OSTEOPOROSIS, "T1"),), ((Target.OSTEOPOROSIS, "T1+T2"),)):
        assert compare(replace(THEN, bases=bases), replace(NOW, bases=from_t2)).probabilities == ()
    assert compare(replace(THEN, bases=from_t2), replace(NOW, bases=from_t2)).probabilities


@pytest.mark.parametrize(
    "other",
    [
        replace(THEN, person="somebody else"),
        replace(THEN, person=""),
        replace(THEN, day=None),
        replace(THEN, day=NOW.day),
        replace(THEN, day=date(2026, 1, 6)),
        scored(THEN, contrast=Contrast.T2),
        replace(THEN, scores=()),
    ],
)
def test_only_an_earlier_examination_of_the_same_person_is_a_prior(other: Examination) -> None:
    assert latest_before([other], NOW) is None
    assert latest_before([other, THEN], NOW) == THEN


def test_nothing_is_a_prior_of_somebody_unknown_or_on_an_unknown_day() -> None:
    assert latest_before([replace(THEN, person="")], replace(NOW, person="")) is None
    assert latest_before([THEN], replace(NOW, day=None)) is None


def test_the_latest_is_taken_whatever_the_order() -> None:
    older = replace(THEN, study_uid="1.9", day=date(2020, 1, 1))
    assert latest_before([THEN, older], NOW) == latest_before([older, THEN], NOW) == THEN


def test_what_is_kept_of_findings_comes_back_from_json() -> None:
    kept = examination_of(make_case(slices=4, size=32).findings, "1.2.3", person="ab", day=date(2026, 1, 5))
    assert [one.contrast for one in kept.scores] == [Contrast.T1, Contrast.T2]
    assert [one.sound for one in kept.scores] == [False, False], "L2 touches the edge"
    assert len(kept.probabilities) == len(kept.bases) == 2
    for one in (kept, THEN, replace(THEN, day=None)):
        again = Examination.from_document(json.loads(json.dumps(one.as_document())))
        assert again == one
        assert again.digest() == one.digest()
    assert THEN.digest() != scored(THEN, value=2.7100001).digest()


@pytest.mark.parametrize(
    "document",
    [{}, {**THEN.as_document(), "day": "yesterday"}, {**THEN.as_document(), "scores": [1]}, []],
)
def test_another_document_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="it holds no examination"):
        Examination.from_document(document)
