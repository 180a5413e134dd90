"""Every statistic is tested against a published value or its definition."""

from itertools import product
from math import isnan, sqrt

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from analysis.statistics.agreement import intraclass_correlation
from analysis.statistics.calibration import fit_calibration
from analysis.statistics.conformal import conformal_limits
from analysis.statistics.error_band import ErrorBand, fit_error_band
from analysis.statistics.resampling import (
    bootstrap_weights,
    corrected_interval,
    corrected_resampled_t,
    holm,
    percentile_interval,
)
from analysis.statistics.roc import area, area_interval, compare_areas, youden_threshold

Scores = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]


def cohort(patients: int, effect: float, seed: int) -> tuple[Truth, Scores, Scores]:
    """Return true classes and two correlated scores with ties."""
    rng = np.random.default_rng(seed)
    present = rng.random(patients) < 0.4
    common = rng.normal(size=patients)
    first, second = (np.round(effect * present + common + rng.normal(size=patients), 1) for _ in range(2))
    return present, first, second


# The area under the ROC curve.


@given(st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), min_size=4))
def test_the_area_is_that_of_scikit_learn(cases: list[tuple[bool, int]]) -> None:
    present = np.array([case[0] for case in cases])
    scores = np.array([float(case[1]) for case in cases])
    if present.all() or not present.any():
        with pytest.raises(ValueError, match="both classes"):
            area(present, scores)
    else:
        assert area(present, scores) == pytest.approx(roc_auc_score(present, scores), abs=1e-12)


def components(present: Truth, scores: Scores) -> tuple[Scores, Scores]:
    """Return DeLong's structural components by their definition."""
    wins = np.array(
        [[0.5 * (a == b) + (a > b) for b in scores[~present]] for a in scores[present]], dtype=np.float64
    )
    return wins.mean(axis=1), wins.mean(axis=0)


@pytest.mark.parametrize("seed", range(5))
def test_delong_is_what_its_definition_gives(seed: int) -> None:
    """DeLong, DeLong and Clarke-Pearson 1988, equations 4 to 7."""
    present, first, second = cohort(60, 1.0, seed)
    (v10_a, v01_a), (v10_b, v01_b) = components(present, first), components(present, second)
    variance = np.var(v10_a - v10_b, ddof=1) / v10_a.size + np.var(v01_a - v01_b, ddof=1) / v01_a.size
    found = compare_areas(present, first, second)
    assert found.difference == pytest.approx(v10_a.mean() - v10_b.mean())
    assert found.statistic == pytest.approx((v10_a.mean() - v10_b.mean()) / sqrt(variance))


def test_delong_of_a_score_with_itself_finds_no_difference() -> None:
    present, first, _ = cohort(60, 1.0, 0)
    found = compare_areas(present, first, first)
    assert (found.difference, found.statistic, found.p) == (0.0, 0.0, 1.0)


def test_delong_errs_as_often_as_it_says_when_there_is_no_difference() -> None:
    p_values = [compare_areas(*cohort(80, 1.0, seed)).p for seed in range(400)]
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.08


def test_the_interval_of_an_area_holds_the_true_one_as_often_as_it_says() -> None:
    true, rng = 0.7602499389065233, np.random.default_rng(0)  # two normals one standard deviation apart
    held = 0
    for _ in range(400):
        present = np.arange(100) < 40
        low, high = area_interval(present, present + rng.normal(size=100))
        held += low < true < high
    assert 0.92 < held / 400 < 0.98


def test_the_interval_stays_inside_0_and_1_even_without_overlap() -> None:
    present = np.arange(40) < 20
    assert area_interval(present, present.astype(float)) == pytest.approx((0.85, 1.0))
    assert area_interval(present, -present.astype(float)) == pytest.approx((0.0, 0.15))


def test_youden_takes_the_best_cut_by_trying_all() -> None:
    present, scores, _ = cohort(60, 1.0, 3)
    threshold = youden_threshold(present, scores)
    index = [
        ((scores >= cut)[present].mean() - (scores >= cut)[~present].mean(), cut) for cut in np.unique(scores)
    ]
    called = scores >= threshold
    assert called[present].mean() - called[~present].mean() == pytest.approx(max(index)[0])


# Agreement.


def test_icc_is_that_of_shrout_and_fleiss() -> None:
    """Shrout and Fleiss 1979, table 2: six targets by four judges, ICC(2,1) = .29."""
    table = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert intraclass_correlation(np.array(table, dtype=np.float64)) == pytest.approx(0.29, abs=0.005)


def test_icc_of_perfect_repeats_is_1_and_of_constants_0() -> None:
    values = np.random.default_rng(0).normal(size=(20, 3))
    assert intraclass_correlation(np.stack([values, values], axis=1)) == pytest.approx(np.ones(3))
    assert intraclass_correlation(np.full((20, 2, 2), 1e6 / 3)).tolist() == [0.0, 0.0]


def test_icc_takes_an_offset_between_repeats_for_disagreement() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert intraclass_correlation(np.stack([values, values + 2], axis=1)) < 0.5


def test_icc_needs_two_of_each() -> None:
    with pytest.raises(ValueError, match="two patients"):
        intraclass_correlation(np.ones((1, 2)))


# Repeated splits and many tests.


def test_the_corrected_t_test_is_its_formula() -> None:
    """Nadeau and Bengio 2003, section 4: 1 / J becomes 1 / J + n2 / n1."""
    differences = np.array([0.03, 0.05, -0.01, 0.02, 0.04, 0.00, 0.06, 0.01, 0.03, 0.02])
    found = corrected_resampled_t(differences, train=112, test=48)
    statistic = 0.025 / sqrt((0.1 + 48 / 112) * np.var(differences, ddof=1))
    assert found.statistic == pytest.approx(statistic)
    assert found.p == pytest.approx(2 * student.sf(statistic, 9))
    plain = 0.025 / sqrt(0.1 * np.var(differences, ddof=1))
    assert found.statistic < plain / 2


def test_the_interval_of_repeated_splits_is_that_of_the_corrected_test_and_widens() -> None:
    values = np.random.default_rng(0).normal(0.05, 0.03, 10)
    low, high = corrected_interval(values, 48 / 112)
    error = float(values.mean()) / corrected_resampled_t(values, 112, 48).statistic
    assert (high - low) / 2 == pytest.approx(2.2622 * error, rel=1e-4)  # t of 9 degrees of freedom
    wider = corrected_interval(values, 48 / 112, 0.03**2)
    assert np.ptp(wider) ** 2 == pytest.approx((high - low) ** 2 + (2 * 2.2622 * 0.03) ** 2, rel=1e-4)


def test_differences_that_never_vary_are_certain_or_nothing() -> None:
    assert corrected_resampled_t(np.zeros(10), 112, 48).p == 1.0
    assert corrected_resampled_t(np.full(10, 0.5), 112, 48).p == 0.0


def test_holm_is_that_of_the_textbook() -> None:
    """As R's p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") gives it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_keeps_the_order_and_never_lowers(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    pairs = list(zip(p_values, adjusted, strict=True))
    assert all(q <= other for (p, q), (more, other) in product(pairs, pairs) if p < more)


def test_bootstrap_samples_keep_the_size_of_both_classes() -> None:
    present = np.arange(50) < 12
    weights = bootstrap_weights(present, 200, np.random.default_rng(0))
    assert set(weights[:, present].sum(axis=1)) == {12.0}
    assert set(weights[:, ~present].sum(axis=1)) == {38.0}
    assert weights.mean(axis=0) == pytest.approx(np.ones(50), abs=0.35)


def test_the_percentile_interval_leaves_out_what_is_not_finite() -> None:
    assert percentile_interval(np.array([np.nan, *np.arange(101.0)])) == pytest.approx((2.5, 97.5))
    assert all(isnan(end) for end in percentile_interval(np.array([np.nan])))


# Calibration.


def test_calibration_is_the_maximum_likelihood_on_platts_targets() -> None:
    """scikit-learn's unpenalised logistic regression, with each patient split between the classes."""
    present, scores, _ = cohort(200, 1.5, 1)
    positives, negatives = present.sum(), (~present).sum()
    goals = np.where(present, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(
        np.concatenate([scores, scores])[:, None],
        np.repeat([1, 0], scores.size),
        sample_weight=np.concatenate([goals, 1 - goals]),
    )
    found = fit_calibration(scores, present)
    assert found.slope == pytest.approx(oracle.coef_[0, 0], rel=1e-4)
    assert found.intercept == pytest.approx(oracle.intercept_[0], rel=1e-4)
    assert found.probability(0.3) == pytest.approx(found.probabilities(np.array([0.3]))[0])


def test_calibrated_probabilities_sum_to_the_patients_that_have_the_target() -> None:
    present, scores, _ = cohort(300, 1.5, 2)
    assert fit_calibration(scores, present).probabilities(scores).mean() == pytest.approx(
        present.mean(), abs=0.01
    )


def test_an_error_band_holds_the_errors_that_it_learned_from_and_grows_with_remoteness() -> None:
    rng = np.random.default_rng(0)
    estimates, remote = rng.normal(size=20_000), rng.gamma(4, 0.25, 20_000)
    truths = 0.3 + 1.2 * estimates + np.sqrt(0.1 + 0.4 * remote) * rng.normal(size=20_000)
    band = fit_error_band(estimates, remote, truths, np.ones(20_000))
    assert band.shift == pytest.approx((0.3, 0.2), abs=0.02)
    assert band.variance == pytest.approx((0.1, 0.0, 0.4), abs=0.05)
    assert band.reach == pytest.approx((-1.96, 1.96), abs=0.05)
    for where in (0.2, 1.0, 3.0):
        rate = 1 / (1 + np.exp(-(0.3 + 1.2 * 0.5 + np.sqrt(0.1 + 0.4 * where) * rng.normal(size=4000))))
        low, high = band.interval(1 / (1 + np.exp(-0.5)), where)
        assert np.mean((low < rate) & (rate < high)) == pytest.approx(0.95, abs=0.015)


def test_an_interval_holds_its_estimate_and_stays_finite() -> None:
    for band in (ErrorBand((5.0, 0.0), (0.1, 0.0, 0.0), (-1.0, 1.0)), ErrorBand((0, 0), (9, 9, 9), (-3, 3))):
        for probability in (0.0, 1e-12, 0.3, 1.0):
            low, high = band.interval(probability, 1e6)
            assert 0 <= low <= probability <= high <= 1


def test_separated_scores_and_useless_ones_stay_finite() -> None:
    present = np.arange(40) < 15
    apart = fit_calibration(np.where(present, 1.0, -1.0), present)
    assert 0.9 < apart.probability(1.0) < 1.0
    for useless in (np.zeros(40), -present.astype(float)):
        flat = fit_calibration(useless, present)
        assert flat.slope == 0.0
        assert flat.probability(123.0) == pytest.approx(15 / 40, abs=0.02)


def test_far_scores_do_not_overflow() -> None:
    present, scores, _ = cohort(100, 1.0, 0)
    found = fit_calibration(scores, present)
    assert found.probability(-1e6) == pytest.approx(0.0)
    assert found.probability(1e6) == pytest.approx(1.0)
    assert found.probabilities(np.array([-1e6, 1e6])) == pytest.approx([0.0, 1.0])


# Conformal sets.


@pytest.mark.parametrize("confidence", [0.6, 0.8, 0.9])
def test_conformal_sets_hold_the_truth_of_either_class_as_often_as_they_claim(confidence: float) -> None:
    """Vovk's law of validity, class by class, also for probabilities that are not calibrated at all."""
    rng, held = np.random.default_rng(0), {True: 0, False: 0}
    for _ in range(1000):
        present = np.arange(60) < 20
        probabilities = np.clip((present + rng.normal(size=60) + 2) / 5, 0, 1)
        limits = conformal_limits(probabilities, present, confidence)
        for truth in (True, False):
            answers = limits.answers(float(np.clip((truth + rng.normal() + 2) / 5, 0, 1)))
            held[truth] += answers[0] if truth else answers[1]
    for truth in (True, False):
        assert confidence - 0.04 < held[truth] / 1000 < confidence + 0.1


def test_too_few_patients_of_a_class_never_rule_it_out() -> None:
    present = np.arange(50) < 3
    limits = conformal_limits(np.linspace(0.9, 0.1, 50), present, 0.9)
    assert limits.present == 1.0
    assert limits.answers(0.0)[0]
