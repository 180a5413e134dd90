from dataclasses import replace

import numpy as np
import pytest

from analysis.domain.findings import Target
from analysis.errors import RefusedError
from analysis.learning.learn import LearningSettings, learn, prepare_training_set
from analysis.learning.selection import select_features
from analysis.learning.train import train
from analysis.learning.training_settings import identity_of
from analysis.prediction.model import raw_scores
from tests.analysis.synthetic_cohort import synthetic_table
from tests.analysis.synthetic_model import QUICK, QUICKER, quick_model, trained_again

pytestmark = pytest.mark.slow


def test_a_model_answers_every_target_from_every_sequence() -> None:
    assert set(quick_model().classifiers) == {(target, name) for target in Target for name in ("T1", "T2")}


def test_the_same_table_and_seed_give_the_same_answers() -> None:
    first, again = quick_model(), trained_again().model
    for key, classifier in first.classifiers.items():
        assert classifier.features == again.classifiers[key].features
        assert classifier.calibration == again.classifiers[key].calibration
        assert classifier.conformal == again.classifiers[key].conformal


def test_a_real_effect_is_found_and_its_probabilities_are_calibrated() -> None:
    key = Target.ABNORMAL_DENSITY, "T1"
    settings = replace(QUICKER, thresholds_mg_cm3={Target.ABNORMAL_DENSITY: 120.0})
    performance = train(synthetic_table(200), settings).classifiers[key].performance
    low, high = performance.intervals["AUC"]
    assert 0.75 < low < performance.values["AUC"] < high
    assert performance.values["Brier"] < 0.2


@pytest.mark.gate("a property of the statistics, which changes with them only")
def test_shuffled_labels_leave_an_auc_whose_interval_holds_one_half() -> None:
    table = synthetic_table(160, 100)
    shuffled = replace(table, bmd_mg_cm3=np.random.default_rng(5).permutation(table.bmd_mg_cm3))
    for classifier in train(shuffled, QUICK).classifiers.values():
        low, high = classifier.performance.intervals["AUC"]
        assert low < 0.5 < high


@pytest.mark.gate("a property of the statistics, which changes with them only")
def test_conformal_sets_hold_the_truth_about_as_often_as_they_claim() -> None:
    performance = train(synthetic_table(300), QUICK).classifiers[Target.ABNORMAL_DENSITY, "T1"].performance
    low, high = performance.intervals["coverage"]
    assert low < QUICK.confidence < high


def test_training_ranges_are_what_the_cohort_had() -> None:
    table, classifier = synthetic_table(), quick_model().classifiers[Target.OSTEOPOROSIS, "T1"]
    times = table.sequences["T1"].repetition_time_ms
    assert classifier.training.protocols["T1"].repetition_time_ms == (times.min(), times.max())
    columns = [table.sequences["T1"].names.index(name) for name in classifier.features]
    scaled = classifier.estimator["scale"].transform(table.sequences["T1"].values[:, columns])
    beyond = classifier.training.distances(scaled) > classifier.training.distance_limit
    assert 0 < beyond.mean() <= 0.02


def test_headers_that_tell_nothing_leave_no_range() -> None:
    table = synthetic_table()
    silent = replace(table.sequences["T1"], echo_time_ms=np.full(len(table.patient_ids), np.nan))
    model = train(replace(table, sequences={**table.sequences, "T1": silent}), QUICKER)
    assert model.classifiers[Target.OSTEOPOROSIS, "T1"].training.protocols["T1"].echo_time_ms is None


def test_patients_without_a_sequence_do_not_train_it() -> None:
    table = synthetic_table(120)
    values = table.sequences["T2"].values.copy()
    values[:30] = np.nan
    partly = replace(table.sequences["T2"], values=values)
    model = train(replace(table, sequences={**table.sequences, "T2": partly}), QUICKER)
    assert model.classifiers[Target.OSTEOPOROSIS, "T2"].performance.patients == 90
    assert model.classifiers[Target.OSTEOPOROSIS, "T1"].performance.patients == 120


def test_classes_that_are_too_small_are_told_all_at_once() -> None:
    table = replace(synthetic_table(), bmd_mg_cm3=np.linspace(121, 200, 90))
    with pytest.raises(RefusedError) as error:
        train(table, QUICK)
    assert len(error.value.reasons) == 4
    assert all("0 measured patients have a BMD below" in reason for reason in error.value.reasons)


def test_simulated_patients_make_a_simulated_model_for_no_clinical_use() -> None:
    identity = quick_model().identity
    assert identity.simulated
    assert "not for clinical use" in identity.intended_use
    assert "simulated" in identity.cohort
    real = train(synthetic_table(simulated=False), QUICKER).identity
    assert not real.simulated
    assert "simulated" not in real.cohort + real.intended_use


def test_the_spread_of_ages_and_densities_is_that_of_a_sample() -> None:
    """As in Table 1, which tells of the same patients."""
    table = synthetic_table()
    # One value apart from equal ones parts the two kinds of standard deviation most.
    odd = np.r_[np.full(table.age.size - 1, 60.0), 60 + 10 * table.age.size]
    cohort = identity_of(replace(table, age=odd, bmd_mg_cm3=odd), QUICK).cohort
    assert f"age {odd.mean():.1f} ± {odd.std(ddof=1):.1f} years" in cohort
    assert f"QCT BMD {odd.mean():.0f} ± {odd.std(ddof=1):.0f} mg/cm³" in cohort
    assert f"{odd.std():.1f}" not in cohort


def test_inner_folds_are_selected_and_scaled_without_their_held_out_patients() -> None:
    table, settings = synthetic_table(), LearningSettings(feature_counts=(5,))
    values, present = table.sequences["T1"].values, table.bmd_mg_cm3 < 120
    folds = prepare_training_set(values, present, settings).folds
    assert sorted(np.concatenate([fold.rows for fold in folds]).tolist()) == list(range(present.size))
    for fold in folds:
        inside = np.setdiff1d(np.arange(present.size), fold.rows)
        own = values[inside]
        columns = select_features(own, present[inside], 5, np.full_like(own, np.nan), 0.75)
        centre, scale = own[:, columns].mean(axis=0), own[:, columns].std(axis=0)
        np.testing.assert_allclose(fold.train, (own[:, columns] - centre) / scale)
        np.testing.assert_allclose(fold.held_out, (values[fold.rows][:, columns] - centre) / scale)
        np.testing.assert_array_equal(fold.train_present, present[inside])


def test_calibration_brings_scores_to_the_prevalence() -> None:
    table = synthetic_table(200)
    values, present = table.sequences["T1"].values, table.bmd_mg_cm3 < 80
    learned = learn(prepare_training_set(values, present, LearningSettings()), ("SVM",), LearningSettings())
    scores = raw_scores(learned.estimator, values[:, learned.columns])
    assert scores.min() < -0.5  # far from probabilities
    assert abs(learned.probabilities(values).mean() - present.mean()) < 0.05


def test_selection_prefers_relevance_and_avoids_repetition() -> None:
    rng = np.random.default_rng(0)
    present = rng.random(400) < 0.5
    signal = present + rng.normal(0, 0.5, 400)
    other = present + rng.normal(0, 0.7, 400)
    values = np.column_stack(
        [rng.normal(size=400), signal, signal + rng.normal(0, 0.01, 400), other, np.ones(400)]
    )
    nothing = np.full_like(values, np.nan)
    ranked = select_features(values, present, 3, nothing, 0.75)
    assert set(ranked[:2].tolist()) in ({1, 3}, {2, 3})
    assert 4 not in select_features(values, present, 5, nothing, 0.75)


def test_selection_leaves_out_what_does_not_repeat() -> None:
    rng = np.random.default_rng(0)
    present = rng.random(100) < 0.5
    values = np.column_stack([present + rng.normal(0, 0.3, 100), present + rng.normal(0, 0.5, 100)])
    repeated = values.copy()
    repeated[:, 0] = rng.permutation(repeated[:, 0])
    assert select_features(values, present, 2, repeated, 0.75).tolist() == [1]


def test_selection_without_any_usable_feature_says_so() -> None:
    with pytest.raises(ValueError, match="no feature"):
        select_features(np.ones((20, 3)), np.arange(20) < 10, 2, np.full((20, 3), np.nan), 0.75)
