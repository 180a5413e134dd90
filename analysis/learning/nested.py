"""Nested cross-validation: the performance of a training procedure on patients that it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from sklearn.model_selection import StratifiedKFold

from analysis.learning.learn import LearningSettings, learn, prepare_training_set
from analysis.prediction.model import Performance
from analysis.statistics.conformal import ConformalLimits, conformal_limits
from analysis.statistics.resampling import bootstrap_weights, percentile_interval
from analysis.statistics.roc import area, area_interval

__all__ = ["Judged", "judge", "performance_of"]

_BRIER_DRAWS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Predictions for every patient by a classifier that was not trained on that patient.

    Attributes
    ----------
    probabilities : ndarray of shape (patients,)
        Calibrated probabilities.
    called : ndarray of bool, shape (patients,)
        Whether the target was called present, by the threshold of that classifier.
    fold : ndarray of int, shape (patients,)
        The outer fold in which the patient was held out.
    """

    probabilities: npt.NDArray[np.float64]
    called: npt.NDArray[np.bool_]
    fold: npt.NDArray[np.intp]


def judge(
    values: npt.NDArray[np.float64],
    repeated: npt.NDArray[np.float64],
    present: npt.NDArray[np.bool_],
    *,
    kinds: Sequence[str],
    learning: LearningSettings,
    folds: int,
) -> Judged:
    """Hold every patient out once, and learn from the others, including tuning and calibration.

    Parameters
    ----------
    values, repeated : ndarray of shape (patients, features)
        As for `analysis.learning.learn.prepare_training_set`.
    present : ndarray of bool, shape (patients,)
        Whether the target is present.
    kinds : sequence of str
        Kinds of classifier to choose from.
    learning : LearningSettings
        Settings of the training inside each outer fold.
    folds : int
        Number of outer folds.
    """
    judged = Judged(
        np.empty(present.size), np.empty(present.size, dtype=np.bool_), np.empty(present.size, dtype=np.intp)
    )
    splitter = StratifiedKFold(folds, shuffle=True, random_state=learning.seed)
    for number, (inside, outside) in enumerate(splitter.split(values, present)):
        training_set = prepare_training_set(values[inside], present[inside], learning, repeated[inside])
        learned = learn(training_set, kinds, learning)
        judged.probabilities[outside] = learned.probabilities(values[outside])
        judged.called[outside] = judged.probabilities[outside] >= learned.threshold
        judged.fold[outside] = number
    return judged


def performance_of(judged: Judged, present: npt.NDArray[np.bool_], confidence: float) -> Performance:
    """Return the figures of the card, each with a 95 % interval.

    The interval is DeLong's for the AUC, Wilson's for a proportion, and a bootstrap one for the Brier score.

    References
    ----------
    Newcombe RG. Two-sided confidence intervals for the single proportion. Stat Med 1998;17:857-872, method 3
    (Wilson).
    """
    right = judged.called == present
    held, single = _conformal_outcome(judged, present, confidence)
    shares = {
        "sensitivity": right[present],
        "specificity": right[~present],
        "accuracy": right,
        "coverage": held,
        "decided": single,
    }
    squares = (judged.probabilities - present) ** 2
    rng = np.random.default_rng(0)
    drawn = bootstrap_weights(present, _BRIER_DRAWS, rng) @ squares / present.size
    values = {"AUC": area(present, judged.probabilities), "Brier": float(squares.mean())}
    intervals = {"AUC": area_interval(present, judged.probabilities), "Brier": percentile_interval(drawn)}
    for name, hits in shares.items():
        values[name] = float(hits.mean())
        low, high = binomtest(int(hits.sum()), hits.size).proportion_ci(method="wilson")
        intervals[name] = float(low), float(high)
    return Performance(int(present.size), int(present.sum()), values, intervals)


def _conformal_outcome(
    judged: Judged, present: npt.NDArray[np.bool_], confidence: float
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Tell whether each patient's conformal set holds the truth, and whether it holds exactly one answer.

    The limits come from the patients of the other folds.
    """
    held, single = np.empty(present.size, dtype=np.bool_), np.empty(present.size, dtype=np.bool_)
    for row, (fold, probability) in enumerate(zip(judged.fold, judged.probabilities, strict=True)):
        may_be_present, may_be_absent = _limits_without(judged, present, int(fold), confidence).answers(
            float(probability)
        )
        held[row] = may_be_present if present[row] else may_be_absent
        single[row] = may_be_present != may_be_absent
    return held, single


def _limits_without(
    judged: Judged, present: npt.NDArray[np.bool_], fold: int, confidence: float
) -> ConformalLimits:
    others = judged.fold != fold
    return conformal_limits(judged.probabilities[others], present[others], confidence)
