"""Learning from training patients: filtering, selection, tuning and calibration inside the folds.

Callers that hold patients out (`train`, `evaluate`) pass only the other patients to `prepare_training_set`
and `learn`, so nothing here sees a patient on which the result is evaluated.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from analysis.learning.selection import select_features
from analysis.prediction.model import Estimator, raw_scores
from analysis.statistics.calibration import Calibration, fit_calibration
from analysis.statistics.roc import area, youden_threshold

__all__ = ["KINDS", "Learned", "LearningSettings", "TrainingSet", "learn", "prepare_training_set"]

KINDS = ("KNN", "SVM", "LDA", "LR", "SGD", "GNB")
"""The six models of the paper, by the names of its abstract."""

_SEARCH: dict[str, tuple[Callable[..., Estimator], dict[str, tuple[float | str, ...]]]] = {
    # Brute force, so that the bundle holds arrays and no search tree.
    "KNN": (
        lambda **chosen: KNeighborsClassifier(algorithm="brute", weights="distance", **chosen),
        {"n_neighbors": (7, 15, 25)},
    ),
    "SVM": (lambda **chosen: SVC(kernel="rbf", **chosen), {"C": (0.1, 1.0, 10.0)}),
    # Shrinkage by Ledoit-Wolf or a strong one: features correlate, and the sample covariance may be singular.
    "LDA": (
        lambda **chosen: LinearDiscriminantAnalysis(solver="lsqr", **chosen),
        {"shrinkage": ("auto", 0.5, 0.9)},
    ),
    "LR": (lambda **chosen: LogisticRegression(max_iter=5000, **chosen), {"C": (0.01, 0.1, 1.0)}),
    # A fixed number of passes instead of a stopping rule gives the same result on every machine.
    "SGD": (
        lambda **chosen: SGDClassifier(loss="log_loss", average=True, max_iter=200, tol=None, **chosen),
        {"alpha": (1e-3, 1e-2, 1e-1)},
    ),
    "GNB": (GaussianNB, {"var_smoothing": (1e-9, 1e-1, 1.0)}),
}


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
    seed : int
        Seed of every random choice.
    """

    feature_counts: tuple[int, ...] = (5, 10, 20)
    folds: int = 5
    minimum_icc: float = 0.75
    seed: int = 0


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
    threshold : float
        Youden's threshold on the same held-out probabilities.
    inner_area : float
        Mean held-out AUC of the best candidate; optimistic, because it is the best of many.
    """

    kind: str
    parameters: dict[str, float | str]
    columns: npt.NDArray[np.intp]
    estimator: Estimator
    calibration: Calibration
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
    """
    most = max(settings.feature_counts)
    again = np.full_like(values, np.nan) if repeated is None else repeated
    splitter = StratifiedKFold(settings.folds, shuffle=True, random_state=settings.seed)
    folds = []
    for inside, outside in splitter.split(values, present):
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
        The `KINDS` to choose from; the first wins a tie.
    settings : LearningSettings
        The same as for `prepare_training_set`.
    """
    tried = [
        _try(training_set, candidate, settings) for candidate in _candidates(training_set, kinds, settings)
    ]
    if not tried:
        raise ValueError("no kind of model to choose from")
    # Rounded, so that rounding errors do not decide, and the earlier, simpler candidate wins a tie.
    best = max(tried, key=lambda trial: round(trial.area, 9))
    columns = training_set.ranked[: best.candidate.count]
    classify = _build(best.candidate, settings.seed)
    estimator = Pipeline([("scale", StandardScaler()), ("classify", classify)])
    calibration = fit_calibration(best.scores, training_set.present)
    return Learned(
        kind=best.candidate.kind,
        parameters=best.candidate.parameters,
        columns=columns,
        estimator=estimator.fit(training_set.values[:, columns], training_set.present),
        calibration=calibration,
        threshold=youden_threshold(training_set.present, calibration.probabilities(best.scores)),
        inner_area=best.area,
    )


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One combination of the search: kind, hyper-parameters and number of features."""

    kind: str
    parameters: dict[str, float | str]
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """The scores of a candidate on the held-out patients of the inner folds, and its mean AUC."""

    candidate: _Candidate
    scores: npt.NDArray[np.float64]
    area: float


def _candidates(
    training_set: TrainingSet, kinds: Sequence[str], settings: LearningSettings
) -> Iterator[_Candidate]:
    fewest = min([training_set.ranked.size, *(fold.train.shape[1] for fold in training_set.folds)])
    counts = sorted({min(count, fewest) for count in settings.feature_counts})
    for kind in kinds:
        grid = _SEARCH[kind][1]
        for chosen, count in product(product(*grid.values()), counts):
            yield _Candidate(kind, dict(zip(grid, chosen, strict=True)), count)


def _try(training_set: TrainingSet, candidate: _Candidate, settings: LearningSettings) -> _Trial:
    scores = np.empty(training_set.present.size)
    for fold in training_set.folds:
        fitted = _build(candidate, settings.seed).fit(fold.train[:, : candidate.count], fold.train_present)
        scores[fold.rows] = raw_scores(fitted, fold.held_out[:, : candidate.count])
    areas = [area(training_set.present[fold.rows], scores[fold.rows]) for fold in training_set.folds]
    return _Trial(candidate, scores, float(np.mean(areas)))


def _build(candidate: _Candidate, seed: int) -> Estimator:
    make = _SEARCH[candidate.kind][0]
    chance = {"random_state": seed} if candidate.kind == "SGD" else {}
    return make(**candidate.parameters, **chance)
