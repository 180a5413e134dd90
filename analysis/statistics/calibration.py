"""Calibration: from a classifier's score to a probability."""

from dataclasses import dataclass
from math import log

import numpy as np
import numpy.typing as npt

from analysis.statistics.logistic import logistic, logistic_of_all

__all__ = ["Calibration", "fit_calibration"]

_NEWTON_STEPS = 100
_CONVERGED = 1e-10


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic curve fitted to scores of patients that the classifier had not seen.

    Attributes
    ----------
    slope, intercept : float
        The probability is 1 / (1 + exp(-(slope · score + intercept))).
    """

    slope: float
    intercept: float

    def probability(self, score: float) -> float:
        """Return the calibrated probability for one score."""
        return logistic(self.slope * score + self.intercept)

    def probabilities(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the calibrated probabilities for scores of shape (n,)."""
        return logistic_of_all(self.slope * scores + self.intercept)


def fit_calibration(scores: npt.NDArray[np.float64], present: npt.NDArray[np.bool_]) -> Calibration:
    """Fit a logistic curve to held-out scores by Platt's method.

    Platt's smoothed targets keep the curve finite when the scores separate the classes completely. A falling
    curve (a score worse than chance) is replaced by the prevalence, because such a score carries no
    information.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Scores of patients that the classifier was not fitted on.
    present : ndarray of bool, shape (n,)
        Whether the target is present.

    Returns
    -------
    Calibration
        With a slope of at least 0.

    References
    ----------
    Platt J. Probabilistic outputs for support vector machines. Advances in Large Margin Classifiers, 1999.
    """
    positives = int(present.sum())
    negatives = present.size - positives
    goals = np.where(present, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    if np.ptp(scores) > 0:
        curve = _newton(np.asarray(scores, dtype=np.float64), goals)
        if curve.slope > 0:
            return curve
    rate = float(goals.mean())
    return Calibration(0.0, log(rate / (1 - rate)))


def _newton(scores: npt.NDArray[np.float64], goals: npt.NDArray[np.float64]) -> Calibration:
    # Newton's method runs on standardised scores, so that its limits need no tuning.
    centre, scale = float(scores.mean()), float(scores.std())
    design = np.column_stack([(scores - centre) / scale, np.ones(scores.size)])
    weights = np.zeros(2)
    loss = _loss(design @ weights, goals)
    for _ in range(_NEWTON_STEPS):
        gradient = design.T @ (_rates(design @ weights) - goals)
        step = np.linalg.solve(_information(design, weights), gradient)
        length = 1.0
        while (new := _loss(design @ (weights - length * step), goals)) > loss and length > _CONVERGED:
            length /= 2
        weights, loss = weights - length * step, new
        if np.abs(step).max() < _CONVERGED:
            break
    back = np.array([[1 / scale, 0.0], [-centre / scale, 1.0]])
    slope, intercept = (float(weight) for weight in back @ weights)
    return Calibration(slope, intercept)


def _information(
    design: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    rates = _rates(design @ weights)
    # The small ridge matters only when every rate has become 0 or 1.
    return np.asarray((design.T * (rates * (1 - rates))) @ design + 1e-9 * np.eye(2))


def _rates(linear: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(linear, -700, 700))))


def _loss(linear: npt.NDArray[np.float64], goals: npt.NDArray[np.float64]) -> float:
    return float(np.sum(np.logaddexp(0.0, linear) - goals * linear))
