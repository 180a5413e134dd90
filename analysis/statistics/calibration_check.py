"""How well probabilities agree with what was found in other patients, for many bootstrap samples at once.

References
----------
Van Calster B et al. Calibration: the Achilles heel of predictive analytics. BMC Med 2019;17:230.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from analysis.statistics.logistic import logistic_of_all

__all__ = ["calibration_lines", "calibration_offsets", "net_benefits", "observed_to_expected"]

_STEPS = 60
_CONVERGED = 1e-9
_STEEPEST = 30.0
_BLOCK = 2_000_000
"""Number of weights of one block, so that memory does not grow with the number of draws."""

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]


def calibration_lines(log_odds: Floats, present: Truth, weights: Floats) -> Floats:
    """Fit a logistic regression of the truth on the log odds for every row of weights.

    The slope is 1 for a calibrated model, and smaller for one whose probabilities are too extreme.

    Parameters
    ----------
    log_odds : ndarray of shape (n,)
        Log odds of the predicted probabilities.
    present : ndarray of bool, shape (n,)
        Whether the target is present.
    weights : ndarray of shape (draws, n)
        How often each patient occurs in each sample.

    Returns
    -------
    ndarray of shape (draws, 2)
        Intercept and slope by maximum likelihood; NaN where there is none, because a sample has one class
        only or its classes are separated.

    Examples
    --------
    >>> odds = np.array([-1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0])
    >>> found = np.array([1, 0, 0, 0, 1, 1, 1, 0], dtype=bool)
    >>> calibration_lines(odds, found, np.ones((1, 8))).round(4) + 0  # log 3 for each log odds
    array([[0.    , 1.0986]])
    """
    blocks = _blocks(weights)
    return np.concatenate([_lines(log_odds, present, block) for block in blocks])


def calibration_offsets(log_odds: Floats, present: Truth, weights: Floats) -> Floats:
    """Return the calibration in the large: the intercept at a slope of 1, for every row of weights.

    It is 0 if as many patients have the target as predicted, and positive if more have it. Parameters are
    those of `calibration_lines`; the shape is (draws,).
    """
    return np.concatenate([_offsets(log_odds, present, block) for block in _blocks(weights)])


def observed_to_expected(probabilities: Floats, present: Truth, weights: Floats) -> Floats:
    """Return the number of patients with the target divided by the number expected, shape (draws,).

    Examples
    --------
    >>> observed_to_expected(np.array([0.25, 0.25]), np.array([True, False]), np.ones((1, 2)))
    array([2.])
    """
    return np.asarray((weights @ present) / (weights @ probabilities))


def net_benefits(present: Truth, probabilities: Floats, thresholds: Floats, weights: Floats) -> Floats:
    """Return the net benefit of acting at or above each threshold, shape (draws, thresholds).

    Parameters
    ----------
    present : ndarray of bool, shape (n,)
        Whether the target is present.
    probabilities : ndarray of shape (n,)
        Predicted probabilities.
    thresholds : ndarray of shape (thresholds,)
        Threshold probabilities below 1.
    weights : ndarray of shape (draws, n)
        How often each patient occurs in each sample.

    References
    ----------
    Vickers AJ, Elkin EB. Decision curve analysis. Med Decis Making 2006;26:565-574.
    """
    called = probabilities[:, None] >= thresholds[None, :]
    gain = called * np.where(present[:, None], 1.0, -thresholds / (1 - thresholds))
    return np.asarray(weights @ gain / weights.sum(axis=1, keepdims=True))


def _blocks(weights: Floats) -> Iterator[Floats]:
    rows = max(1, _BLOCK // weights.shape[1])
    return (weights[start : start + rows] for start in range(0, len(weights), rows))


def _lines(log_odds: Floats, present: Truth, weights: Floats) -> Floats:
    # Newton's method in two unknowns, on standardised log odds, so that its limits need no tuning.
    centre, scale = float(log_odds.mean()), float(log_odds.std())
    if scale <= np.finfo(float).eps * (1 + abs(centre)):
        return np.full((len(weights), 2), np.nan)
    standard = (log_odds - centre) / scale
    line = np.zeros((len(weights), 2))
    last = np.full(len(weights), np.inf)
    for _ in range(_STEPS):
        rates = logistic_of_all(line[:, :1] + line[:, 1:] * standard)
        off, spread = weights * (present - rates), weights * rates * (1 - rates)
        gradient = np.stack([off.sum(axis=1), off @ standard], axis=1)
        a, b, c = spread.sum(axis=1), spread @ standard, spread @ standard**2
        determinant = np.maximum(a * c - b**2, 1e-12)
        step = np.stack([c * gradient[:, 0] - b * gradient[:, 1], a * gradient[:, 1] - b * gradient[:, 0]], 1)
        step = np.clip(step / determinant[:, None], -1.0, 1.0)  # a full step may overshoot
        line, last = line + step, np.abs(step).max(axis=1)
        if (last < _CONVERGED).all():
            break
    exists = (last < _CONVERGED) & (np.abs(line) < _STEEPEST).all(axis=1)
    slope = line[:, 1] / scale
    return np.where(exists[:, None], np.stack([line[:, 0] - slope * centre, slope], axis=1), np.nan)


def _offsets(log_odds: Floats, present: Truth, weights: Floats) -> Floats:
    offset = np.zeros(len(weights))
    for _ in range(_STEPS):
        rates = logistic_of_all(offset[:, None] + log_odds)
        slope = np.maximum((weights * rates * (1 - rates)).sum(axis=1), 1e-12)
        step = np.clip((weights * (present - rates)).sum(axis=1) / slope, -1.0, 1.0)
        offset += step
        if (np.abs(step) < _CONVERGED).all():
            break
    found = weights @ present
    both = (found > 0) & (found < weights.sum(axis=1))
    return np.where(both, offset, np.nan)
