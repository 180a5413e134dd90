"""How far a true probability may lie from an estimated one, learned where the truth is known."""

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from analysis.statistics.logistic import logistic

__all__ = ["ErrorBand", "fit_error_band", "log_odds"]

_FLOOR = 1e-9
_TAIL = 0.025

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ErrorBand:
    """The distribution of truth minus estimate, both as log odds, for patients like a given one.

    Attributes
    ----------
    shift : tuple of two float
        The mean error is shift[0] + shift[1] · log odds of the estimate.
    variance : tuple of three float
        The variance of the error: a constant, a part by the squared log odds of the estimate, and a part by
        the remoteness of the patient.
    reach : tuple of two float
        2.5th and 97.5th percentile of the standardised error.
    """

    shift: tuple[float, float]
    variance: tuple[float, float, float]
    reach: tuple[float, float]

    def interval(self, probability: float, remoteness: float) -> tuple[float, float]:
        """Return the 95 % interval of the probability; it holds the estimate.

        Parameters
        ----------
        probability : float
            The estimate.
        remoteness : float
            Squared Mahalanobis distance from the training patients, divided by the number of features (about
            1 for a usual patient).
        """
        estimate = log(max(probability, _FLOOR) / max(1 - probability, _FLOOR))
        constant, by_square, by_remoteness = self.variance
        spread = sqrt(constant + by_square * estimate**2 + by_remoteness * max(remoteness, 0.0))
        centre = estimate + self.shift[0] + self.shift[1] * estimate
        low, high = (logistic(centre + reach * spread) for reach in self.reach)
        return min(low, probability), max(high, probability)


def fit_error_band(estimates: Floats, remoteness: Floats, truths: Floats, weights: Floats) -> ErrorBand:
    """Learn an error band from patients whose true probability is known.

    Parameters
    ----------
    estimates, truths : ndarray of shape (n,)
        Log odds.
    remoteness : ndarray of shape (n,)
        As for `ErrorBand.interval`.
    weights : ndarray of shape (n,)
        Weight of each patient, not negative.
    """
    share = weights / weights.sum()
    errors = truths - estimates
    line = np.column_stack([np.ones(errors.size), estimates])
    shift = np.linalg.lstsq(line * np.sqrt(share)[:, None], errors * np.sqrt(share), rcond=None)[0]
    residuals = errors - line @ shift
    parts = np.column_stack([np.ones(errors.size), estimates**2, remoteness])
    variance, _ = nnls(parts * np.sqrt(share)[:, None], residuals**2 * np.sqrt(share))
    variance[0] = max(variance[0], _FLOOR)
    standard = residuals / np.sqrt(parts @ variance)
    order = np.argsort(standard, kind="stable")
    below = np.cumsum(share[order])
    low, high = (
        float(standard[order[min(int(np.searchsorted(below, level)), errors.size - 1)]])
        for level in (_TAIL, 1 - _TAIL)
    )
    return ErrorBand(
        (float(shift[0]), float(shift[1])),
        (float(variance[0]), float(variance[1]), float(variance[2])),
        (low, high),
    )


def log_odds(probabilities: Floats) -> Floats:
    """Return the log odds of probabilities, finite also for 0 and 1."""
    return np.asarray(
        np.log(np.maximum(probabilities, _FLOOR)) - np.log(np.maximum(1 - probabilities, _FLOOR))
    )
