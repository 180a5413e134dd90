"""Classifiers of T1 and T2 together, and of images with age and sex: what they read, and when they refuse."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from analysis.cohort.basis_table import read_basis
from analysis.cohort.feature_table import FeatureTable
from analysis.domain.basis import BASES, BOTH, AgeAndSex
from analysis.domain.findings import Prediction, SeriesFindings, Target, Verdict
from analysis.domain.reason import Reason
from analysis.learning.train import TrainingSettings, train
from analysis.prediction.bundle import load, save
from analysis.prediction.model import Model, raw_scores
from analysis.prediction.predict import predict
from analysis.settings import AnalysisSettings, FeatureSettings
from analysis.statistics.conformal import ConformalLimits
from analysis.statistics.error_band import ErrorBand
from tests.analysis.synthetic_cohort import findings_of, synthetic_table, with_facts, with_segmentation
from tests.analysis.synthetic_model import QUICK

TARGET = Target.ABNORMAL_DENSITY
TOGETHER = AnalysisSettings(preferred=dict.fromkeys(Target, BOTH))


def cohort() -> FeatureTable:
    """Return a cohort of women and one patient each without age, without sex, and with other bodies in T2."""
    table = synthetic_table()
    age, female = table.age.copy(), np.ones(90)
    age[1], female[2] = np.nan, np.nan
    return replace(table, age=age, female=female, apart=np.arange(90) == 3)


COHORT = cohort()
ROW = int(np.argsort(np.where(np.arange(90) > 3, COHORT.bmd_mg_cm3, np.inf))[3])
WOMAN = AgeAndSex(int(COHORT.age[ROW]), "F")

SETTINGS = TrainingSettings(
    kinds=QUICK.kinds,
    learning=replace(QUICK.learning, refits=3, feature_counts=(8,)),
    folds=QUICK.folds,
    thresholds_mg_cm3={TARGET: 120.0},
    both_for=frozenset({TARGET}),
    age_and_sex=True,
)


@cache
def model() -> Model:
    """Return a model of T1, T2 and both with age and sex, which decides every patient within its range."""
    made = train(COHORT, SETTINGS)
    band, limits = ErrorBand((0.0, 0.0), (1e-6, 0.0, 0.0), (-1.0, 1.0)), ConformalLimits(0.8, 0.5, 0.49999)
    return replace(
        made,
        classifiers={
            key: replace(one, conformal=limits, decision_threshold=0.5, band=band)
            for key, one in made.classifiers.items()
        },
    )


def study(row: int = ROW) -> tuple[SeriesFindings, SeriesFindings]:
    return findings_of("T1", row, COHORT), findings_of("T2", row, COHORT)


def answer(
    series: tuple[SeriesFindings, ...] | None = None,
    person: AgeAndSex | None = WOMAN,
    settings: AnalysisSettings = TOGETHER,
) -> Prediction:
    (one,) = predict(study() if series is None else series, model(), settings, person)
    return one


@pytest.mark.parametrize("basis", BASES)
def test_the_node_reads_of_a_patient_what_the_training_read(basis: str) -> None:
    classifier = model().classifiers[TARGET, basis]
    table = read_basis(COHORT, basis, age_and_sex=True)
    columns = [table.names.index(name) for name in classifier.features]
    assert classifier.performance.patients == table.available.sum() == (87 if basis == BOTH else 88)
    settings = AnalysisSettings(preferred={TARGET: basis})
    score = float(raw_scores(classifier.estimator, table.values[ROW, columns][None, :])[0])
    told = answer(person=AgeAndSex(int(COHORT.age[ROW]), "F"), settings=settings)
    assert told.sequence == told.preferred == basis
    assert told.probability == classifier.calibration.probability(score)
    assert told.age_and_sex
    assert set(told.trained_on) == set(basis.split("+"))
    assert set(told.by_sequence) == set(BASES)


def test_both_together_read_features_of_both_and_age() -> None:
    features = model().classifiers[TARGET, BOTH].features
    assert {name.split("_")[0] for name in features} == {"T1", "T2", "age"}


def _other_bodies(found: SeriesFindings) -> SeriesFindings:
    first, *others = found.segmentation.regions
    return with_segmentation(found, regions=(replace(first, usable=False), *others))


def _apart(found: SeriesFindings) -> SeriesFindings:
    return with_segmentation(found, concerns=(Reason("not_brought_together", first="T1", second="T2"),))


Change = Callable[[SeriesFindings, SeriesFindings], tuple[SeriesFindings, ...]]

AGAINST: dict[str, Change] = {
    "T1w was missing": lambda _t1, t2: (t2,),
    "T2w was missing": lambda t1, _t2: (t1,),
    "T1w and T2w do not show the same usable bodies (T1w: L1, L2, L3, L4, L5; T2w: L2, L3, L4, L5)": (
        lambda t1, t2: (t1, _other_bodies(t2))
    ),
    "T1w and T2w could not be brought together": lambda t1, t2: (_apart(t1), _apart(t2)),
    "T2w: TE 45 lies outside the training range": lambda t1, t2: (t1, with_facts(t2, echo_time_ms=45.0)),
    "T1w: the vertebral levels are uncertain": (
        lambda t1, t2: (with_segmentation(t1, levels_certain=False), t2)
    ),
    "T1w+T2w: features lie farther": lambda t1, t2: (
        t1,
        replace(t2, patient_features={name: value + 40 for name, value in t2.patient_features.items()}),
    ),
}


@pytest.mark.parametrize("reason", AGAINST)
def test_without_both_sequences_of_the_same_bodies_there_is_a_reason_and_no_other_model(reason: str) -> None:
    one = answer(AGAINST[reason](*study()))
    assert (one.verdict, one.probability, one.sequence) == (Verdict.INDETERMINATE, None, BOTH)
    assert [words for words in one.reasons if reason in words], one.reasons


def test_what_keeps_two_sequences_apart_is_nothing_to_one_of_them() -> None:
    t1, t2 = study()
    alone = answer((t1, _other_bodies(t2)), settings=AnalysisSettings(preferred={TARGET: "T1"}))
    assert alone.probability is not None
    assert alone.reasons == ()


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        (None, "the age of the patient is unknown, and the model needs it"),
        (AgeAndSex(None, "F"), "the age of the patient is unknown, and the model needs it"),
        (AgeAndSex(60, None), "it is unknown whether the patient is female or male, and the model needs it"),
        (AgeAndSex(60, "M"), "the model was not trained on patients of this sex"),
        (AgeAndSex(107, "F"), "the age of the patient lies outside the training range of "),
        (AgeAndSex(7, "F"), "the age of the patient lies outside the training range of "),
    ],
)
@pytest.mark.parametrize("basis", ["T1", BOTH])
def test_without_age_and_sex_within_the_training_there_is_a_reason_and_no_number(
    person: AgeAndSex | None, reason: str, basis: str
) -> None:
    one = answer(person=person, settings=AnalysisSettings(preferred={TARGET: basis}))
    assert (one.verdict, one.probability) == (Verdict.INDETERMINATE, None)
    assert [words.startswith(reason) for words in one.reasons].count(True) == 1, one.reasons
    assert "107" not in str(one.reasons)  # a report and a log tell no age of a patient by this


def test_a_model_without_what_is_asked_for_refuses_and_tells_no_figures_of_another() -> None:
    kept = {key: one for key, one in model().classifiers.items() if key[1] != BOTH}
    (one,) = predict(study(), replace(model(), classifiers=kept), TOGETHER, WOMAN)
    assert one.reasons == ("the model was not trained on T1w+T2w",)
    assert one.answers is None
    only = {key: one for key, one in model().classifiers.items() if key[1] == BOTH}
    (one,) = predict(
        study(), replace(model(), classifiers=only), AnalysisSettings(preferred={TARGET: "T1"}), WOMAN
    )
    assert one.reasons == ("the model was not trained on T1w", "the model was not trained on T2w")


def test_a_bundle_keeps_both_protocols_and_says_that_it_needs_age_and_sex(tmp_path: Path) -> None:
    save(model(), tmp_path / "bundle")
    loaded = load(tmp_path / "bundle", FeatureSettings())
    for key, one in model().classifiers.items():
        again = loaded.classifiers[key].training
        assert (again.protocols, again.people) == (one.training.protocols, one.training.people)
    assert predict(study(), loaded, TOGETHER, WOMAN) == (answer(),)
    card = (tmp_path / "bundle" / "card.md").read_text(encoding="utf-8")
    ages = COHORT.age[np.isfinite(COHORT.age) & np.isfinite(COHORT.female)]
    assert card.count("**Needs the age and sex of the patient**: knows women of") == 3
    assert f"knows women of {int(ages.min())} to {int(ages.max())}\nyears" in card
    assert "T1: knows TR" in card
    assert "T2: knows TR" in card
    assert "The selection took age." in card  # all are women, so sex tells nothing
