"""Nested cross-validation: the performance of a training procedure on patients that it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold

from analysis.domain.findings import AnswerFigures
from analysis.learning.learn import LearningSettings, learn, prepare_training_set
from analysis.learning.permutation import permutation_losses
from analysis.learning.refits import error_band, remoteness
from analysis.prediction.decision import why_open
from analysis.prediction.model import Performance
from analysis.statistics.conformal import ConformalLimits, conformal_limits
from analysis.statistics.proportion import share
from analysis.statistics.resampling import bootstrap_weights, percentile_interval
from analysis.statistics.roc import area, area_interval

__all__ = ["Judged", "answered", "judge", "performance_of"]

_BRIER_DRAWS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Predictions for every patient by a classifier that was not trained on that patient.

    Attributes
    ----------
    probabilities : ndarray of shape (patients,)
        Calibrated probabilities.
    thresholds : ndarray of shape (patients,)
        The decision threshold of that classifier.
    limits : ndarray of shape (patients, 2)
        The 95 % interval of the probability.
    fold : ndarray of int, shape (patients,)
        The outer fold in which the patient was held out.
    losses : ndarray of shape (folds, features)
        AUC that each fold's classifier loses when a feature is shuffled among the patients of that fold; NaN
        for a feature that it does not read. No rows where nothing was shuffled.
    """

    probabilities: npt.NDArray[np.float64]
    thresholds: npt.NDArray[np.float64]
    limits: npt.NDArray[np.float64]
    fold: npt.NDArray[np.intp]
    losses: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def called(self) -> npt.NDArray[np.bool_]:
        """Whether the target was called present, with the answer taken where it would stay open, too."""
        return self.probabilities >= self.thresholds


def judge(
    values: npt.NDArray[np.float64],
    repeated: npt.NDArray[np.float64],
    present: npt.NDArray[np.bool_],
    *,
    kinds: Sequence[str],
    learning: LearningSettings,
    folds: int,
) -> Judged:
    """Hold every patient out once, and learn from the others, including tuning, calibration and interval.

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
        probabilities=np.empty(present.size),
        thresholds=np.empty(present.size),
        limits=np.empty((present.size, 2)),
        fold=np.empty(present.size, dtype=np.intp),
        losses=np.empty((folds, values.shape[1])),
    )
    splitter = StratifiedKFold(folds, shuffle=True, random_state=learning.seed)
    for number, (inside, outside) in enumerate(splitter.split(values, present)):
        training_set = prepare_training_set(values[inside], present[inside], learning, repeated[inside])
        learned = learn(training_set, kinds, learning)
        judged.probabilities[outside] = learned.probabilities(values[outside])
        judged.thresholds[outside] = learned.threshold
        judged.fold[outside] = number
        judged.losses[number] = permutation_losses(learned, values[outside], present[outside], learning.seed)
        band = error_band(values[inside], repeated[inside], present[inside], learned, learning)
        remote = remoteness(values[inside][:, learned.columns], values[outside][:, learned.columns])
        for row, probability, away in zip(outside, judged.probabilities[outside], remote, strict=True):
            judged.limits[row] = band.interval(float(probability), float(away))
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
    conformal = _limits_by_fold(judged, present, confidence)
    held, single = _conformal_outcome(judged, present, conformal)
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
        values[name], intervals[name] = share(hits)
    answers = _answers_of(judged, present, conformal, values["AUC"], intervals["AUC"])
    return Performance(int(present.size), int(present.sum()), values, intervals, answers)


def answered(judged: Judged, present: npt.NDArray[np.bool_], confidence: float) -> npt.NDArray[np.bool_]:
    """Tell for each patient whether the rule that holds at run time gives an answer, shape (patients,)."""
    return _given(judged, _limits_by_fold(judged, present, confidence))


def _given(judged: Judged, conformal: dict[int, ConformalLimits]) -> npt.NDArray[np.bool_]:
    given = np.zeros(judged.probabilities.size, dtype=np.bool_)
    for row in range(given.size):
        low, high = judged.limits[row].tolist()
        probability, threshold = float(judged.probabilities[row]), float(judged.thresholds[row])
        given[row] = why_open(probability, (low, high), threshold, conformal[int(judged.fold[row])]) is None
    return given


def _answers_of(
    judged: Judged,
    present: npt.NDArray[np.bool_],
    conformal: dict[int, ConformalLimits],
    auc: float,
    auc_interval: tuple[float, float],
) -> AnswerFigures:
    """Return the figures of the answers that the same rule as at run time gives."""
    given = _given(judged, conformal)
    right, called = judged.called == present, judged.called
    shares = {
        "sensitivity": right[given & present],
        "specificity": right[given & ~present],
        "PPV": right[given & called],
        "NPV": right[given & ~called],
        "answered": given,
    }
    told = {name: share(hits) for name, hits in shares.items() if hits.size}
    return AnswerFigures(
        patients=int(present.size),
        present=int(present.sum()),
        answered=int(given.sum()),
        values={name: value for name, (value, _) in told.items()} | {"AUC": auc},
        intervals={name: interval for name, (_, interval) in told.items()} | {"AUC": auc_interval},
    )


def _conformal_outcome(
    judged: Judged, present: npt.NDArray[np.bool_], conformal: dict[int, ConformalLimits]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Tell whether each patient's conformal set holds the truth, and whether it holds exactly one answer."""
    held, single = np.empty(present.size, dtype=np.bool_), np.empty(present.size, dtype=np.bool_)
    for row, (fold, probability) in enumerate(zip(judged.fold, judged.probabilities, strict=True)):
        may_be_present, may_be_absent = conformal[int(fold)].answers(float(probability))
        held[row] = may_be_present if present[row] else may_be_absent
        single[row] = may_be_present != may_be_absent
    return held, single


def _limits_by_fold(
    judged: Judged, present: npt.NDArray[np.bool_], confidence: float
) -> dict[int, ConformalLimits]:
    """Return the conformal limits for the patients of each fold, from those of the others."""
    others = {int(fold): judged.fold != fold for fold in np.unique(judged.fold)}
    return {
        fold: conformal_limits(judged.probabilities[rows], present[rows], confidence)
        for fold, rows in others.items()
    }
