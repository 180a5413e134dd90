"""Learning from training patients: filtering, selection, tuning and calibration inside the folds.

Callers that hold patients out (`train`, `evaluate`) pass only the other patients to `prepare_training_set`
and `learn`, so nothing here sees a patient on which the result is evaluated.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import config_context
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from analysis.learning.candidates import (
    KINDS,
    Candidate,
    Grids,
    build,
    candidates,
    check_parameters,
    grid_of,
    within,
)
from analysis.learning.selection import select_features
from analysis.learning.threshold import ThresholdRule
from analysis.prediction.model import Estimator, raw_scores
from analysis.statistics.calibration import Calibration, fit_calibration
from analysis.statistics.roc import area

__all__ = [
    "KINDS",
    "Learned",
    "LearningSettings",
    "TrainingSet",
    "learn",
    "learn_one",
    "prepare_training_set",
]


@dataclass(frozen=True, slots=True)
class LearningSettings:
    """Settings of the training; the paper states none of them, so every value is our own choice.

    Attributes
    ----------
    feature_counts : tuple of int
        Numbers of selected features to try.
    folds : int
        Number of folds of the inner cross-validation, which tunes and calibrates.
    minimum_icc : float
        Features with a lower ICC after a small change of the masks are left out, if the table has repeats
        (0.75 is "good" according to Koo and Li, J Chiropr Med 2016;15:155-163).
    refits : int
        Number of refits for the interval of the probability, and again for the spread of the threshold.
    threshold_rule : ThresholdRule
        How the decision threshold is found.
    grids : mapping
        Values of hyper-parameters to try, by kind and name, in the place of our own.
    seed : int
        Seed of every random choice.
    """

    feature_counts: tuple[int, ...] = (5, 10, 20)
    folds: int = 5
    minimum_icc: float = 0.75
    refits: int = 100
    threshold_rule: ThresholdRule = field(default_factory=ThresholdRule)
    grids: Grids = field(default_factory=dict)
    seed: int = 0

    def record(self, kinds: Sequence[str]) -> dict[str, Any]:
        """Return the settings for these kinds of classifier as JSON values, for a report to repeat."""
        return {
            "models": {
                kind: {name: list(tried) for name, tried in grid_of(kind, self.grids).items()}
                for kind in kinds
            },
            "feature_counts": list(self.feature_counts),
            "inner_folds": self.folds,
            "minimum_icc": self.minimum_icc,
            "threshold_rule": self.threshold_rule.sentence(),
            "seed": self.seed,
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Fold:
    """One inner fold, with features ranked and standardised on its training part."""

    train: npt.NDArray[np.float64]
    train_present: npt.NDArray[np.bool_]
    held_out: npt.NDArray[np.float64]
    rows: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """The training patients, prepared for all kinds of classifier.

    Attributes
    ----------
    values : ndarray of shape (patients, features)
        All features.
    present : ndarray of bool, shape (patients,)
        Whether the target is present.
    ranked : ndarray of int
        Columns selected on all training patients, best first.
    folds : tuple
        The inner cross-validation, with its own selection in each fold.
    """

    values: npt.NDArray[np.float64]
    present: npt.NDArray[np.bool_]
    ranked: npt.NDArray[np.intp]
    folds: tuple[_Fold, ...]

    @property
    def fewest(self) -> int:
        """Number of patients that the smallest inner fold learns from."""
        return min(fold.train_present.size for fold in self.folds)


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A tuned, calibrated classifier.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    parameters : dict of str to float or str
        Tuned hyper-parameters.
    columns : ndarray of int
        The features that it reads.
    estimator : sklearn.pipeline.Pipeline
        The estimator, fitted on all training patients.
    calibration : Calibration
        Fitted on held-out scores of the inner folds.
    held_out : ndarray of shape (patients,)
        Calibrated probability of every training patient, by the fold that had not seen the patient.
    threshold : float
        The decision threshold by the rule of the settings, on those probabilities.
    inner_area : float
        Mean held-out AUC of the best candidate; optimistic, because it is the best of many.
    """

    kind: str
    parameters: dict[str, float | str]
    columns: npt.NDArray[np.intp]
    estimator: Estimator
    calibration: Calibration
    held_out: npt.NDArray[np.float64]
    threshold: float
    inner_area: float

    def probabilities(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return calibrated probabilities of shape (n,) from all features of shape (n, features)."""
        return self.calibration.probabilities(raw_scores(self.estimator, values[:, self.columns]))


def prepare_training_set(
    values: npt.NDArray[np.float64],
    present: npt.NDArray[np.bool_],
    settings: LearningSettings,
    repeated: npt.NDArray[np.float64] | None = None,
    patients: npt.NDArray[np.intp] | None = None,
) -> TrainingSet:
    """Select features on the training patients, and again inside every inner fold.

    Parameters
    ----------
    values : ndarray of shape (patients, features)
        Features of the training patients only.
    present : ndarray of bool, shape (patients,)
        Whether the target is present.
    settings : LearningSettings
        Folds, numbers of features and minimum ICC.
    repeated : ndarray of shape (patients, features), optional
        The features after a small change of the masks; rows of NaN for patients without a repeat.
    patients : ndarray of int, shape (patients,), optional
        Number of the patient of each row, if patients occur several times, as in a bootstrap sample. All rows
        of a patient come into the same inner fold.

    Raises
    ------
    ValueError
        If a feature is not finite.
    """
    if not np.isfinite(values).all():
        raise ValueError("a patient without a feature cannot be learned from")
    most = max(settings.feature_counts)
    again = np.full_like(values, np.nan) if repeated is None else repeated
    splitter = StratifiedKFold(settings.folds, shuffle=True, random_state=settings.seed)
    if patients is not None:
        splitter = StratifiedGroupKFold(settings.folds, shuffle=True, random_state=settings.seed)
    folds = []
    for inside, outside in splitter.split(values, present, patients):
        ranked = select_features(values[inside], present[inside], most, again[inside], settings.minimum_icc)
        centre, scale = values[inside][:, ranked].mean(axis=0), values[inside][:, ranked].std(axis=0)
        train, held_out = ((values[rows][:, ranked] - centre) / scale for rows in (inside, outside))
        folds.append(_Fold(train, present[inside], held_out, outside))
    ranked = select_features(values, present, most, again, settings.minimum_icc)
    return TrainingSet(values, present, ranked, tuple(folds))


def learn(training_set: TrainingSet, kinds: Sequence[str], settings: LearningSettings) -> Learned:
    """Choose kind, hyper-parameters and number of features by held-out AUC, then fit and calibrate.

    Parameters
    ----------
    training_set : TrainingSet
        The training patients.
    kinds : sequence of str
        The kinds of classifier to choose from; the first wins a tie.
    settings : LearningSettings
        The same as for `prepare_training_set`.
    """
    every = candidates(kinds, _counts(training_set, settings), settings.grids)
    possible: list[Candidate] = []
    for one in every:
        reduced = within(one, training_set.fewest)
        if reduced not in possible:
            possible.append(reduced)
    tried = [_try(training_set, one, settings) for one in possible]
    if not tried:
        raise ValueError("no kind of model to choose from")
    # Rounded, so that rounding errors do not decide, and the earlier, simpler candidate wins a tie.
    return _fit(training_set, max(tried, key=lambda trial: round(trial.area, 9)), settings)


def learn_one(training_set: TrainingSet, candidate: Candidate, settings: LearningSettings) -> Learned:
    """Fit and calibrate one candidate, without any choice.

    Parameters
    ----------
    training_set : TrainingSet
        The training patients.
    candidate : Candidate
        Kind, hyper-parameters and number of features; the numbers of features and of neighbours are reduced
        if there are not as many.
    settings : LearningSettings
        The same as for `prepare_training_set`.
    """
    most = _counts(training_set, settings)[-1]
    reduced = Candidate(candidate.kind, candidate.parameters, min(candidate.count, most))
    reduced = within(reduced, training_set.fewest)
    return _fit(training_set, _try(training_set, reduced, settings), settings)


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """The scores of a candidate on the held-out patients of the inner folds, and its mean AUC."""

    candidate: Candidate
    scores: npt.NDArray[np.float64]
    area: float


def _counts(training_set: TrainingSet, settings: LearningSettings) -> list[int]:
    fewest = min([training_set.ranked.size, *(fold.train.shape[1] for fold in training_set.folds)])
    return sorted({min(count, fewest) for count in settings.feature_counts})


def _try(training_set: TrainingSet, candidate: Candidate, settings: LearningSettings) -> _Trial:
    scores = np.empty(training_set.present.size)
    for fold in training_set.folds:
        with _checked_before(candidate):
            fitted = build(candidate, settings.seed).fit(fold.train[:, : candidate.count], fold.train_present)
            scores[fold.rows] = raw_scores(fitted, fold.held_out[:, : candidate.count])
    areas = [area(training_set.present[fold.rows], scores[fold.rows]) for fold in training_set.folds]
    return _Trial(candidate, scores, float(np.mean(areas)))


@contextmanager
def _checked_before(candidate: Candidate) -> Iterator[None]:
    """Let scikit-learn check neither values nor parameters, which takes a fifth of the time of all fits.

    Values are finite (`prepare_training_set`), and the parameters are checked once in each process.
    """
    check_parameters(candidate.kind, tuple(candidate.parameters.items()))
    with config_context(assume_finite=True, skip_parameter_validation=True):
        yield


def _fit(training_set: TrainingSet, best: _Trial, settings: LearningSettings) -> Learned:
    columns = training_set.ranked[: best.candidate.count]
    estimator = Pipeline([("scale", StandardScaler()), ("classify", build(best.candidate, settings.seed))])
    calibration = fit_calibration(best.scores, training_set.present)
    held_out = calibration.probabilities(best.scores)
    with _checked_before(best.candidate):
        estimator.fit(training_set.values[:, columns], training_set.present)
    return Learned(
        kind=best.candidate.kind,
        parameters=best.candidate.parameters,
        columns=columns,
        estimator=estimator,
        calibration=calibration,
        held_out=held_out,
        threshold=settings.threshold_rule.threshold(training_set.present, held_out),
        inner_area=best.area,
    )
