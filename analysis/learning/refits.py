"""Refits of the whole recipe: how far its probabilities lie from the truth, and how its threshold varies.

A bootstrap of patients tells how an estimate varies, but not how far it is from the truth on average: every
classifier here is shrunken, reads few features, and misses what it cannot represent. So the truth is
simulated (a parametric bootstrap). The features stay those of the cohort; a true probability is drawn for
each patient, the target is drawn from it, and selection, fit and calibration run again. Truths minus
estimates give the band.

How strongly the drawn truth depends on the features is taken from a range, and each refit is weighted by how
near its held-out AUC is to that of the real cohort (approximate Bayesian computation). So a recipe that finds
little of what there is to find gets a wide band.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.covariance import ledoit_wolf

from analysis.learning.candidates import Candidate
from analysis.learning.learn import Learned, LearningSettings, learn_one, prepare_training_set
from analysis.learning.selection import repeatable
from analysis.prediction.model import Range
from analysis.statistics.error_band import ErrorBand, fit_error_band, log_odds
from analysis.statistics.logistic import logistic_of_all
from analysis.statistics.resampling import percentile_interval
from analysis.statistics.roc import area

__all__ = ["error_band", "precision_of", "remoteness", "threshold_spread"]

_NEAR = 0.04
"""Standard deviation of the weights by AUC, about the standard error of an AUC from 160 patients."""

_STRENGTHS = (0.8, 1.6)
"""Range of the standard deviation of the true log odds, in units of that at which nothing would be missed."""

_CURVED = 0.15
"""Part of the variance of the true log odds that no linear function of the features tells."""

_RIDGES = tuple(10.0**power for power in range(-2, 4))

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]


def error_band(
    values: Floats,
    repeated: Floats,
    present: Truth,
    learned: Learned,
    settings: LearningSettings,
) -> ErrorBand:
    """Learn the interval of the probabilities of a classifier, from refits on simulated targets.

    Kind, hyper-parameters and number of features stay those of the classifier.

    Parameters
    ----------
    values, repeated : ndarray of shape (patients, features)
        As for `analysis.learning.learn.prepare_training_set`.
    present : ndarray of bool, shape (patients,)
        Whether the target is present.
    learned : Learned
        The classifier.
    settings : LearningSettings
        Settings of the training, with the number of refits.
    """
    usable, candidate, own = _recipe(values, repeated, learned, settings)
    reference = _Reference(usable, present)
    reached = reference.area(present)
    estimates, remote, truths, weights = [], [], [], []
    for truth, simulated in _simulated_targets(reference, max(reached, learned.inner_area), settings):
        refit = learn_one(prepare_training_set(usable, simulated, own), candidate, own)
        estimates.append(log_odds(refit.held_out))
        remote.append(remoteness(usable[:, refit.columns], usable[:, refit.columns]))
        truths.append(truth)
        off = np.array([refit.inner_area - learned.inner_area, reference.area(simulated) - reached]) / _NEAR
        weights.append(np.full(truth.size, np.exp(-0.5 * min(float(off @ off), 100.0))))
    return fit_error_band(*(np.concatenate(part) for part in (estimates, remote, truths, weights)))


def threshold_spread(
    values: Floats,
    repeated: Floats,
    present: Truth,
    learned: Learned,
    settings: LearningSettings,
) -> Range:
    """Return the 2.5th and 97.5th percentile of the threshold over refits on bootstrap samples of patients.

    Parameters are those of `error_band`.
    """
    usable, candidate, own = _recipe(values, repeated, learned, settings)
    rng = np.random.default_rng(settings.seed)
    classes = np.flatnonzero(present), np.flatnonzero(~present)
    thresholds = []
    for _ in range(settings.refits):
        drawn = np.concatenate([rng.choice(members, members.size) for members in classes])
        sample = prepare_training_set(usable[drawn], present[drawn], own, patients=drawn)
        thresholds.append(learn_one(sample, candidate, own).threshold)
    return percentile_interval(np.array(thresholds))


def _recipe(
    values: Floats, repeated: Floats, learned: Learned, settings: LearningSettings
) -> tuple[Floats, Candidate, LearningSettings]:
    """Return what every refit takes from the classifier: usable features, candidate and settings."""
    candidate = Candidate(learned.kind, learned.parameters, learned.columns.size)
    usable = values[:, repeatable(values, repeated, settings.minimum_icc)]
    return usable, candidate, replace(settings, feature_counts=(candidate.count,))


def remoteness(training: Floats, others: Floats) -> Floats:
    """Return how far patients lie from the training patients, as `TrainingRange.remoteness` at run time.

    Parameters
    ----------
    training, others : ndarray of shape (patients, features)
        The features that a classifier reads.

    Returns
    -------
    ndarray of shape (others,)
        Squared Mahalanobis distances divided by the number of features.
    """
    # At run time the scaler of the classifier standardises. It differs from this in the last bits, which the
    # bytes of a bundle keep.
    centre, scale = training.mean(axis=0), training.std(axis=0)
    precision = precision_of((training - centre) / scale)
    away = (others - centre) / scale
    return np.asarray(np.einsum("ni,ij,nj->n", away, precision, away) / training.shape[1])


def precision_of(standardised: Floats) -> Floats:
    """Return the inverse of the shrunk covariance of standardised features (Ledoit and Wolf).

    Parameters
    ----------
    standardised : ndarray of shape (patients, features)
        The features of the training patients.

    Returns
    -------
    ndarray of shape (features, features)
    """
    return np.asarray(np.linalg.inv(ledoit_wolf(standardised)[0]))


class _Reference:
    """A ridge regression on all features, which learns nearly all that a linear truth offers.

    It gives the directions of simulated truths, and how well a good learner does on a target.
    """

    def __init__(self, values: Floats, present: Truth) -> None:
        standard = (values - values.mean(axis=0)) / values.std(axis=0)
        self.present = present
        self.kernel = standard @ standard.T / standard.shape[1]
        self._curved = _curved(self.kernel)
        levels, vectors = np.linalg.eigh(self.kernel)
        levels = np.maximum(levels, 0.0)
        smoothers = [(vectors * (levels / (levels + ridge))) @ vectors.T for ridge in _RIDGES]
        errors = [float(((self._left_out(hat, present) - present) ** 2).mean()) for hat in smoothers]
        best = int(np.argmin(errors))
        self._ridge, self._hat = _RIDGES[best], smoothers[best]

    @staticmethod
    def _left_out(hat: Floats, present: Truth) -> Floats:
        """Return leave-one-out predictions, in the closed form of a linear smoother."""
        rate = present.mean()
        own = np.diag(hat)
        return np.asarray(rate + (hat @ (present - rate) - own * (present - rate)) / (1 - own))

    def area(self, present: Truth) -> float:
        """Return the leave-one-out AUC for a target."""
        return area(present, self._left_out(self._hat, present))

    def direction(self, rng: np.random.Generator) -> Floats:
        """Return standardised true log odds: a ridge regression on a bootstrap sample, and a smooth rest."""
        drawn = rng.integers(self.present.size, size=self.present.size)
        off = self.present[drawn] - self.present[drawn].mean()
        own = self.kernel[np.ix_(drawn, drawn)] + self._ridge * np.eye(drawn.size)
        along = self.kernel[:, drawn] @ np.linalg.solve(own, off)
        curved = self._curved @ rng.normal(size=self.present.size)
        return sqrt(1 - _CURVED) * _standard(along) + sqrt(_CURVED) * _standard(curved)


def _curved(kernel: Floats) -> Floats:
    """Return a square root of a Gaussian kernel; its products with noise are random smooth functions."""
    own = np.diag(kernel)
    distances = np.maximum(own[:, None] + own[None, :] - 2 * kernel, 0.0)
    levels, vectors = np.linalg.eigh(np.exp(-distances / max(float(np.median(distances)), 1e-12)))
    return np.asarray(vectors * np.sqrt(np.maximum(levels, 0.0)))


def _standard(values: Floats) -> Floats:
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-12))


def _simulated_targets(
    reference: _Reference, reached: float, settings: LearningSettings
) -> Iterator[tuple[Floats, Truth]]:
    """Yield true log odds and targets drawn from them, with directions that the cohort leaves open."""
    rng = np.random.default_rng(settings.seed)
    prevalence = float(reference.present.mean())
    # For small s, true log odds with standard deviation s have an AUC of Phi(s / sqrt(2)); a large AUC takes
    # a larger s, which the range allows for.
    nothing_missed = sqrt(2) * float(norm.ppf(np.clip(reached, 0.55, 0.97)))
    low, high = (multiple * nothing_missed for multiple in _STRENGTHS)
    for strength in np.linspace(low, high, settings.refits):
        shape = strength * reference.direction(rng)
        truth = shape + brentq(
            lambda by, shape=shape: logistic_of_all(shape + by).mean() - prevalence, -40.0, 40.0
        )
        simulated = rng.random(truth.size) < logistic_of_all(truth)
        while min(int(simulated.sum()), int((~simulated).sum())) < settings.folds:
            simulated = rng.random(truth.size) < logistic_of_all(truth)
        yield truth, simulated
