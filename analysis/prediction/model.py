"""A trained model as values: its classifiers, their calibration, and their training range."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.domain.basis import asked_in_turn
from analysis.domain.findings import AnswerFigures, ModelIdentity, ProtocolRange, Target
from analysis.statistics.calibration import Calibration
from analysis.statistics.conformal import ConformalLimits
from analysis.statistics.error_band import ErrorBand

__all__ = [
    "Classifier",
    "Estimator",
    "Model",
    "Parent",
    "PeopleRange",
    "Performance",
    "Probe",
    "Range",
    "TrainingRange",
    "raw_scores",
    "rounded",
]

_PROBABILITY_FLOOR = 1e-3

Range = tuple[float, float]
Estimator = Any
"""A fitted scikit-learn classifier or pipeline; scikit-learn has no type information."""


@dataclass(frozen=True, slots=True)
class Performance:
    """The performance of one classifier in nested cross-validation, on patients that it had not seen.

    Attributes
    ----------
    patients, present : int
        Number of patients, and of those with the target.
    values : dict of str to float
        "AUC", "sensitivity", "specificity", "accuracy", "Brier", and for the conformal sets "coverage" (the
        set holds the truth) and "decided" (the set holds exactly one answer). These judge every patient, also
        those whose answer would stay indeterminate.
    intervals : dict of str to tuple of two float
        95 % intervals by the same names.
    answers : AnswerFigures
        The figures of the answers that are given.
    """

    patients: int
    present: int
    values: dict[str, float]
    intervals: dict[str, Range]
    answers: AnswerFigures


@dataclass(frozen=True, slots=True)
class PeopleRange:
    """The people that a classifier with age and sex was trained on, beyond whom it abstains.

    Attributes
    ----------
    youngest, oldest : int
        Age in whole years.
    sexes : tuple of str
        "F", "M" or both.
    """

    youngest: int
    oldest: int
    sexes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRange:
    """The range of the training data of a classifier, outside which it abstains.

    Attributes
    ----------
    protocols : dict of str to ProtocolRange
        The acquisitions, by sequence.
    centre : ndarray of shape (features,)
        Mean of the standardised features.
    precision : ndarray of shape (features, features)
        Inverse of their shrunk covariance.
    distance_limit : float
        99th percentile of the Mahalanobis distances of the training patients.
    people : PeopleRange or None
        The people, for a classifier that was trained with age and sex and therefore needs both, also if its
        selection took only one of them; None for a classifier of images alone.
    """

    protocols: dict[str, ProtocolRange]
    centre: npt.NDArray[np.float64]
    precision: npt.NDArray[np.float64]
    distance_limit: float
    people: PeopleRange | None = None

    def distances(self, standardised: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the Mahalanobis distances of patients from the training patients.

        Parameters
        ----------
        standardised : ndarray of shape (n, features)
            Features, standardised by the scaler of the classifier.

        Returns
        -------
        ndarray of shape (n,)
            Dimensionless distances.
        """
        away = standardised - self.centre
        return np.asarray(np.sqrt(np.einsum("ni,ij,nj->n", away, self.precision, away)))

    def remoteness(self, standardised: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return squared distances divided by the number of features; about 1 for a usual patient."""
        return self.distances(standardised) ** 2 / self.centre.size


@dataclass(frozen=True, slots=True)
class Probe:
    """An input with its known score, to check that a loaded estimator works as it did in training.

    Attributes
    ----------
    values : tuple of float
        Artificial features (of no patient) in the order of the classifier.
    score : float
        The score of the estimator in training.
    """

    values: tuple[float, ...]
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """The classifier of a model for one target and one basis.

    Attributes
    ----------
    target : Target
        The target that it predicts.
    sequence : str
        What it is based on: "T1", "T2" or "T1+T2".
    kind : str
        "KNN", "SVM", "LDA", "LR", "SGD" or "GNB".
    parameters : dict of str to float or str
        Tuned hyper-parameters.
    features : tuple of str
        Names of its input features, in order (`analysis.domain.basis.name_within` and `AGE_AND_SEX`).
    estimator : sklearn.pipeline.Pipeline
        A scaler ("scale") and the classifier; it is not used outside `analysis`.
    calibration : Calibration
        From its score to a probability.
    band : ErrorBand
        From its probability to the 95 % interval.
    decision_threshold : float
        Probability from which the target is called present.
    threshold_rule : str
        The rule that the threshold follows, as a sentence.
    threshold_spread : tuple of two float
        2.5th and 97.5th percentile of the threshold over refits on bootstrap samples.
    conformal : ConformalLimits
        Limits of the conformal sets.
    training : TrainingRange
        The range of its training data.
    performance : Performance
        Its performance, for the card.
    probe : Probe
        Checked when a bundle is loaded, because other library versions may give other scores.
    """

    target: Target
    sequence: str
    kind: str
    parameters: dict[str, float | str]
    features: tuple[str, ...]
    estimator: Estimator
    calibration: Calibration
    band: ErrorBand
    decision_threshold: float
    threshold_rule: str
    threshold_spread: Range
    conformal: ConformalLimits
    training: TrainingRange
    performance: Performance
    probe: Probe


@dataclass(frozen=True, slots=True)
class Parent:
    """The model of which another was made by recalibration.

    Attributes
    ----------
    name, version : str
        Its name and version.
    digest : str
        SHA-256 (hex) of its bundle.
    changed : str
        What was fitted again: "intercept" or "intercept and slope".
    """

    name: str
    version: str
    digest: str
    changed: str


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """The content of a model bundle.

    Attributes
    ----------
    identity : ModelIdentity
        The identity that reports cite.
    features_digest : str
        Digest of the `FeatureSettings` that the model was trained with.
    classifiers : dict of (Target, str) to Classifier
        Classifiers by target and what they are based on.
    remarks : tuple of str
        Further sentences of the card.
    parent : Parent or None
        The model of which this one was made by recalibration; None for a model that was trained.
    """

    identity: ModelIdentity
    features_digest: str
    classifiers: dict[tuple[Target, str], Classifier]
    remarks: tuple[str, ...] = field(default=())
    parent: Parent | None = None

    def never_answered(self, preferred: Mapping[Target, str]) -> tuple[str, ...]:
        """Return which of its targets the model never answers, because it lacks what is preferred for them.

        Parameters
        ----------
        preferred : mapping of Target to str
            What the configuration prefers for each target.

        Returns
        -------
        tuple of str
            Such as "osteoporosis from T1+T2".
        """
        targets = [target for target in Target if any(target is one for one, _ in self.classifiers)]
        return tuple(
            f"{target.value} from {preferred[target]}"
            for target in targets
            if not any((target, basis) in self.classifiers for basis in asked_in_turn(preferred[target]))
        )


def raw_scores(estimator: Estimator, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the score of every row: the decision function, or the log odds of the probability.

    Parameters
    ----------
    estimator : a fitted scikit-learn classifier
        A classifier of two classes.
    values : ndarray of shape (n, features)
        Its input features.

    Returns
    -------
    ndarray of shape (n,)
        Higher scores mean that the target is more likely. Odds are clipped to 1:999, so that a unanimous vote
        of neighbours gives a finite score.
    """
    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(values), dtype=np.float64)
    rates = np.clip(estimator.predict_proba(values)[:, 1], _PROBABILITY_FLOOR, 1 - _PROBABILITY_FLOOR)
    return np.asarray(np.log(rates / (1 - rates)), dtype=np.float64)


def rounded(value: float) -> float:
    """Round a TR, TE or field strength to the two decimals that people read.

    Examples
    --------
    >>> rounded(9.50586), rounded(1.494), rounded(4018.6)
    (9.51, 1.49, 4018.6)
    """
    return round(value, 2)
