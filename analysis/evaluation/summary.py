"""From the predictions of all splits to the figures of a cell of the table."""

import numpy as np
import numpy.typing as npt

from analysis.domain.findings import Target
from analysis.evaluation.outcomes import Figure
from analysis.evaluation.result import Cell, Measure, Pooled
from analysis.statistics.calibration_check import calibration_lines, observed_to_expected
from analysis.statistics.error_band import log_odds
from analysis.statistics.resampling import bootstrap_of_all, corrected_interval, percentile_interval
from analysis.statistics.weighted import MEASURES, weighted_measures

__all__ = ["summarised"]

_DRAWS = 200

_BY_THRESHOLD = {"specificity", "accuracy"}
"""Measures that move with the decision threshold, for which all splits see nearly the same patients: ten
splits tell little more of them than one. `tests.benchmarks.bench_coverage` counts how often intervals hold.
"""

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]


def summarised(key: tuple[Target, str, str], present: Truth, probabilities: Floats, called: Truth) -> Cell:
    """Return the cell of one kind of classifier on one source.

    Parameters
    ----------
    key : (Target, str, str)
        Target, source and kind, as `Cell`.
    present : ndarray of bool, shape (patients,)
        Whether the target is present.
    probabilities : ndarray of shape (splits, patients)
        NaN for the training patients of a split; two splits or more.
    called : ndarray of bool, shape (splits, patients)
        As `Cell`.
    """
    judged = np.isfinite(probabilities)
    rng = np.random.default_rng(0)
    weights = np.concatenate([np.ones((1, present.size)), bootstrap_of_all(present.size, _DRAWS, rng)])
    drawn = np.stack(
        [
            weighted_measures(present[rows], chances[rows], own[rows], weights[:, rows])
            for rows, chances, own in zip(judged, probabilities, called, strict=True)
        ]
    )
    test = int(judged[0].sum())
    fewest = int(min(present.sum(), (~present).sum()))
    measures = {
        name: _measure(name, drawn[:, index], test / (present.size - test), fewest)
        for index, name in enumerate(MEASURES)
    }
    calibration = _calibration(present, Pooled.of(probabilities), weights)
    return Cell(*key, measures, calibration, drawn[:, 0, 0], probabilities, called)


def _measure(name: str, drawn: Floats, overlap: float, fewest: int) -> Measure:
    """Summarise a measure of shape (splits, 1 + draws), whose first draw is the cohort itself.

    `fewest` is the number of patients of the smaller class.
    """
    values, samples = drawn[:, 0], drawn[:, 1:]
    # A small sample may lack a class in a split, where the measure is NaN.
    known = samples[:, np.isfinite(samples).all(axis=0)]
    sampling = float(known.mean(axis=0).var(ddof=1)) if known.shape[1] > 1 else 0.0
    low, high = corrected_interval(values, 1.0 if name in _BY_THRESHOLD else overlap, sampling)
    if low == high:  # no split and no sample differs: the rule of three, as in `area_interval`
        low, high = low - 3 / fewest, high + 3 / fewest
    return Measure(float(values.mean()), float(values.std(ddof=1)), (max(0.0, low), min(1.0, high)))


def _calibration(present: Truth, pooled: Pooled, drawn: Floats) -> dict[str, Figure]:
    """Return the calibration of all predictions, with intervals of bootstrap samples of patients."""
    weights, truth = drawn[:, pooled.rows] * pooled.weights, present[pooled.rows]
    lines = calibration_lines(log_odds(pooled.probabilities), truth, weights)
    found = {
        "calibration slope": lines[:, 1],
        "calibration intercept": lines[:, 0],
        "observed / expected": observed_to_expected(pooled.probabilities, truth, weights),
    }
    return {
        name: Figure(float(values[0]), *percentile_interval(values[1:])) for name, values in found.items()
    }
