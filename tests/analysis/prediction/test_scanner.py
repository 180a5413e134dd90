"""A model and a scanner: how far a study lies from the training, and no answer where the scanner has left."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.domain.findings import Target, Verdict
from analysis.domain.remoteness import Departure, departures_by_basis
from analysis.prediction.predict import distances_from, predict_from, read_study
from analysis.prediction.range_check import usual_distance
from analysis.settings import AnalysisSettings
from tests.analysis.prediction.test_predict import decided, study
from tests.analysis.synthetic_cohort import with_facts

SETTINGS = AnalysisSettings()
READINGS = read_study(study(), SETTINGS)
LEFT_T1, LEFT_T2 = Departure("T1", 12, 30), Departure("T2", 9, 20)


def test_nothing_is_answered_from_a_sequence_in_which_the_scanner_has_left() -> None:
    answers = {one.target: one for one in predict_from(READINGS, decided(), SETTINGS, (LEFT_T1, LEFT_T2))}
    for one in answers.values():
        assert one.verdict is Verdict.INDETERMINATE
        assert one.probability is None
        assert {"scanner_left"} <= {reason.code for reason in one.reasons}
    told = " ".join(map(str, answers[Target.OSTEOPOROSIS].reasons))
    assert (
        "the images of this scanner differ from what the model was trained on (12 of 30 recent studies)"
        in told
    )


def test_the_other_sequence_is_used_instead_as_after_any_other_objection() -> None:
    answers = {one.target: one for one in predict_from(READINGS, decided(), SETTINGS, (LEFT_T1,))}
    osteoporosis = answers[Target.OSTEOPOROSIS]
    assert osteoporosis.sequence == "T2"
    assert [reason.code for reason in osteoporosis.reasons][:2] == ["scanner_left", "used_instead"]
    without = {one.target: one for one in predict_from(READINGS, decided(), SETTINGS)}
    assert answers[Target.ABNORMAL_DENSITY] == without[Target.ABNORMAL_DENSITY]


def test_each_basis_has_its_distance_whatever_is_answered_from_it() -> None:
    found = {one.basis: one for one in distances_from(READINGS, decided())}
    assert set(found) == {"T1", "T2"}
    for basis, one in found.items():
        assert one.in_protocol
        assert 0 < one.distance < one.limit
        limits = {it.training.distance_limit for (_, of), it in decided().classifiers.items() if of == basis}
        assert one.limit in limits


def test_a_study_of_another_protocol_is_far_however_near_its_features_are() -> None:
    t1, t2 = study()
    strange = with_facts(t1, repetition_time_ms=9000.0)
    found = {one.basis: one for one in distances_from(read_study((strange, t2), SETTINGS), decided())}
    assert (found["T1"].is_far, found["T1"].in_protocol) == (True, False)
    assert found["T2"].in_protocol


def test_a_sequence_that_is_missing_has_no_distance() -> None:
    readings = read_study(study()[:1], SETTINGS)
    assert [one.basis for one in distances_from(readings, decided())] == ["T1"]


@pytest.mark.parametrize(("patients", "features"), [(40, 5), (160, 20)])
def test_new_patients_like_those_of_the_training_lie_beyond_the_usual_distance_as_often_as_stated(
    patients: int, features: int
) -> None:
    chance = np.random.default_rng(3)
    any_one = next(iter(decided().classifiers.values()))
    of_this_size = replace(
        any_one,
        features=tuple(map(str, range(features))),
        performance=replace(any_one.performance, patients=patients),
    )
    usual, beyond, new = usual_distance(of_this_size, 0.1), 0, 200
    for _ in range(100):
        trained, seen = chance.normal(size=(patients, features)), chance.normal(size=(new, features))
        away = seen - trained.mean(axis=0)
        precision = np.linalg.inv(np.cov(trained, rowvar=False))
        beyond += int((np.sqrt(np.einsum("ni,ij,nj->n", away, precision, away)) > usual).sum())
    assert beyond / (100 * new) == pytest.approx(0.1, abs=0.015)


def test_with_fewer_patients_than_features_the_limit_itself_is_usual() -> None:
    any_one = next(iter(decided().classifiers.values()))
    few = replace(any_one, performance=replace(any_one.performance, patients=len(any_one.features)))
    assert usual_distance(few, 0.1) == few.training.distance_limit


@pytest.mark.parametrize("text", ["", "T1", "T1=3", "T1=31/30", "=1/2", "T1=0/30", "T1=a/b"])
def test_what_is_no_departure_is_not_read_as_one(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of any wording
        Departure.parse(text)


def test_a_departure_is_read_as_it_is_written() -> None:
    for one in (LEFT_T1, LEFT_T2, Departure("T1+T2", 10, 10)):
        assert Departure.parse(str(one)) == one
    assert departures_by_basis((LEFT_T1, LEFT_T2)) == {"T1": LEFT_T1, "T2": LEFT_T2}
