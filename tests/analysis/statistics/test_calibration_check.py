"""Calibration of known truth is found again, and agrees with an independent implementation."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from analysis.statistics.calibration_check import (
    calibration_lines,
    calibration_offsets,
    net_benefits,
    observed_to_expected,
)
from analysis.statistics.logistic import logistic_of_all
from analysis.statistics.resampling import bootstrap_of_all, percentile_interval


def simulated(patients: int, intercept: float, slope: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return log odds of a model, and a truth whose log odds are intercept + slope · those of the model."""
    rng = np.random.default_rng(seed)
    told = rng.normal(-0.5, 1.5, patients)
    return told, rng.random(patients) < logistic_of_all(intercept + slope * told)


@pytest.mark.parametrize(("intercept", "slope"), [(0.0, 1.0), (-0.8, 0.6), (0.5, 1.4)])
def test_the_calibration_of_known_truth_is_found_again(intercept: float, slope: float) -> None:
    told, present = simulated(200_000, intercept, slope)
    assert calibration_lines(told, present, np.ones((1, told.size)))[0] == pytest.approx(
        (intercept, slope), abs=0.03
    )


def test_the_line_of_each_sample_is_that_of_an_independent_regression() -> None:
    told, present = simulated(150, -0.4, 0.7)
    weights = bootstrap_of_all(150, 5, np.random.default_rng(1))
    for line, weight in zip(calibration_lines(told, present, weights), weights, strict=True):
        other = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000)
        other.fit(told[:, None], present, sample_weight=weight)
        assert line == pytest.approx((other.intercept_[0], other.coef_[0, 0]), abs=1e-4)


def test_the_offset_makes_as_many_expected_as_observed() -> None:
    told, present = simulated(400, 0.9, 1.0)
    weights = bootstrap_of_all(400, 6, np.random.default_rng(1))
    for offset, weight in zip(calibration_offsets(told, present, weights), weights, strict=True):
        assert weight @ logistic_of_all(told + offset) == pytest.approx(weight @ present)
    shifted = logistic_of_all(told + calibration_offsets(told, present, np.ones((1, 400)))[0])
    assert observed_to_expected(shifted, present, np.ones((1, 400))) == pytest.approx([1.0])


def test_there_is_no_line_of_one_class_of_separated_classes_or_of_one_probability() -> None:
    told = np.linspace(-2, 2, 20)
    every = np.ones((1, 20))
    assert np.isnan(calibration_lines(told, told > 9, every)).all()
    assert np.isnan(calibration_lines(told, told > 0, every)).all()
    assert np.isnan(calibration_lines(np.ones(20), told > 0, every)).all()
    assert np.isnan(calibration_offsets(told, told > 9, every)).all()


def test_a_sample_without_convergence_does_not_spoil_the_others() -> None:
    told, present = simulated(60, 0.0, 1.0)
    one_class = present.astype(np.float64)
    lines = calibration_lines(told, present, np.stack([np.ones(60), one_class]))
    assert np.isfinite(lines[0]).all()
    assert np.isnan(lines[1]).all()


def test_net_benefit_counts_true_and_false_calls_by_the_odds() -> None:
    rng = np.random.default_rng(0)
    present, chances, cuts = rng.random(50) < 0.4, rng.random(50), np.array([0.2, 0.5])
    weights = bootstrap_of_all(50, 3, rng)
    for row, weight in zip(net_benefits(present, chances, cuts, weights), weights, strict=True):
        for value, cut in zip(row, cuts, strict=True):
            called = chances >= cut
            true, false = weight @ (called & present), weight @ (called & ~present)
            assert value == pytest.approx((true - false * cut / (1 - cut)) / 50)


def test_bootstrap_intervals_hold_the_true_calibration_nearly_as_often_as_they_say() -> None:
    """Of 60 cohorts of 250 patients; a rate below 0.85 has a chance of less than 1 in 300 if 95 % hold."""
    held = np.zeros(3)
    for seed in range(60):
        told, present = simulated(250, -0.5, 0.8, seed)
        weights = bootstrap_of_all(250, 200, np.random.default_rng(seed))
        lines = calibration_lines(told, present, weights)
        expected = logistic_of_all(-0.5 + 0.8 * told).sum() / logistic_of_all(told).sum()
        for index, (draws, truth) in enumerate(
            [
                (lines[:, 0], -0.5),
                (lines[:, 1], 0.8),
                (observed_to_expected(logistic_of_all(told), present, weights), expected),
            ]
        ):
            low, high = percentile_interval(draws)
            held[index] += low <= truth <= high
    assert (held / 60 >= 0.85).all(), held
