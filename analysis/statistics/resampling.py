"""Tests over repeated splits, corrections for multiple tests, and bootstrap intervals."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from analysis.statistics.roc import Comparison

__all__ = [
    "bootstrap_of_all",
    "bootstrap_weights",
    "corrected_interval",
    "corrected_resampled_t",
    "holm",
    "percentile_interval",
]


def corrected_interval(
    values: npt.NDArray[np.float64], overlap: float, sampling_variance: float = 0.0
) -> tuple[float, float]:
    """Return the 95 % interval of a metric's expected value, from repeated splits of the same patients.

    Parameters
    ----------
    values : ndarray of shape (splits,)
        The metric in each split; two splits or more.
    overlap : float
        What is added to 1 / splits: test / train as in `corrected_resampled_t`, or more where the splits
        agree for another reason; 1 gives the variance of one split.
    sampling_variance : float
        A variance to add to that of the splits, such as that of bootstrap samples of the patients.
    """
    variance = _corrected_variance(values, overlap) + sampling_variance
    half = float(student.ppf(0.975, values.size - 1)) * sqrt(variance)
    return float(values.mean()) - half, float(values.mean()) + half


def _corrected_variance(values: npt.NDArray[np.float64], overlap: float) -> float:
    return (1 / values.size + overlap) * float(values.var(ddof=1))


def corrected_resampled_t(differences: npt.NDArray[np.float64], train: int, test: int) -> Comparison:
    """Test whether a difference over repeated splits of the same patients is 0.

    Repeated splits share patients, so the ordinary t-test underestimates the variance; the correction
    replaces 1 / splits by 1 / splits + test / train.

    Parameters
    ----------
    differences : ndarray of shape (splits,)
        Difference of a metric (first minus second) in each split.
    train, test : int
        Numbers of training and test patients.

    References
    ----------
    Nadeau C, Bengio Y. Inference for the generalization error. Mach Learn 2003;52:239-281.
    """
    splits = differences.size
    mean, variance = float(differences.mean()), _corrected_variance(differences, test / train)
    if variance <= np.finfo(float).eps ** 2:
        return Comparison(mean, 0.0, 1.0 if abs(mean) <= np.finfo(float).eps else 0.0)
    statistic = mean / sqrt(variance)
    return Comparison(mean, statistic, float(2 * student.sf(abs(statistic), splits - 1)))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values for multiple tests by Holm's step-down method.

    Returns
    -------
    tuple of float
        Adjusted p-values, at most 1, in the order given.

    References
    ----------
    Holm S. A simple sequentially rejective multiple test procedure. Scand J Stat 1979;6:65-70.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return tuple(adjusted)


def bootstrap_weights(
    present: npt.NDArray[np.bool_], draws: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Draw stratified bootstrap samples: how often each patient occurs in each sample.

    Parameters
    ----------
    present : ndarray of bool, shape (n,)
        Class of every patient; each class keeps its size in every sample.
    draws : int
        Number of bootstrap samples.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of shape (draws, n)
        Whole numbers.
    """
    weights = np.zeros((draws, present.size))
    for members in (np.flatnonzero(present), np.flatnonzero(~present)):
        if members.size:
            share = np.full(members.size, 1 / members.size)
            weights[:, members] = rng.multinomial(members.size, share, size=draws)
    return weights


def bootstrap_of_all(patients: int, draws: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw bootstrap samples without classes, so that the prevalence varies, too; shape (draws, patients)."""
    return rng.multinomial(patients, np.full(patients, 1 / patients), size=draws).astype(np.float64)


def percentile_interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 2.5th and 97.5th percentile of the finite values; (nan, nan) if half or more are not finite.

    Few values that exist in spite of the others would tell an interval that is too narrow.
    """
    finite = values[np.isfinite(values)]
    if 2 * finite.size <= values.size:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)
