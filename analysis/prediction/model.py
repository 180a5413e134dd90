"""A trained model as values: what it answers, how it was calibrated, and whom it knows."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.domain.findings import ModelIdentity, Target
from analysis.statistics.calibration import Calibration
from analysis.statistics.conformal import ConformalLimits

__all__ = ["Classifier", "Estimator", "Model", "Performance", "Probe", "Range", "TrainingRange", "raw_scores"]

_PROBABILITY_FLOOR = 1e-3

Range = tuple[float, float]
Estimator = Any
"""A fitted scikit-learn classifier or pipeline; scikit-learn ships no types."""


@dataclass(frozen=True, slots=True)
class Performance:
    """What nested cross-validation says of one classifier: every value of patients it had not seen.

    Attributes
    ----------
    patients, present : int
        How many, and how many of them with the target.
    values : dict of str to float
        "AUC", "sensitivity", "specificity", "accuracy", "Brier", and of the conformal sets "coverage" (the
        set holds the truth) and "decided" (it holds one answer).
    intervals : dict of str to tuple of two float
        95 %, by the same names.
    """

    patients: int
    present: int
    values: dict[str, float]
    intervals: dict[str, Range]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRange:
    """Whom a classifier knows; beyond it abstains.

    Attributes
    ----------
    repetition_time_ms, echo_time_ms, field_strength_t : tuple of two float, or None
        Lowest and highest seen; None where no header of the cohort told.
    centre : ndarray of shape (features,)
        Mean of the standardised features.
    precision : ndarray of shape (features, features)
        Inverse of their shrunk covariance.
    distance_limit : float
        99th percentile of the patients' own Mahalanobis distances.
    """

    repetition_time_ms: Range | None
    echo_time_ms: Range | None
    field_strength_t: Range | None
    centre: npt.NDArray[np.float64]
    precision: npt.NDArray[np.float64]
    distance_limit: float

    def distances(self, standardised: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Mahalanobis distances.

        Parameters
        ----------
        standardised : ndarray of shape (n, features)
            Features as the classifier's own scaler gives them.

        Returns
        -------
        ndarray of shape (n,)
            Without unit.
        """
        away = standardised - self.centre
        return np.asarray(np.sqrt(np.einsum("ni,ij,nj->n", away, self.precision, away)))


@dataclass(frozen=True, slots=True)
class Probe:
    """A question with its known answer, to see whether an estimator still is what it was when it was trained.

    Attributes
    ----------
    values : tuple of float
        Features in the classifier's order; those of no patient.
    score : float
        What the estimator answered in training.
    """

    values: tuple[float, ...]
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """The answer of one model to one target from one sequence.

    Attributes
    ----------
    target : Target
        What it answers.
    sequence : str
        "T1" or "T2".
    kind : str
        "KNN", "SVM", "LDA", "LR", "SGD" or "GNB".
    parameters : dict of str to float or str
        As tuned.
    features : tuple of str
        What it reads, in its order.
    estimator : sklearn.pipeline.Pipeline
        A scaler ("scale") and the classifier; never leaves this room.
    calibration : Calibration
        From its score to a probability.
    decision_threshold : float
        Probability from which the target is called present.
    conformal : ConformalLimits
        Which answers a probability leaves open.
    training : TrainingRange
        Whom it knows.
    performance : Performance
        How well it does, for the card.
    probe : Probe
        Asked again when a bundle is loaded: other library versions may answer differently.
    """

    target: Target
    sequence: str
    kind: str
    parameters: dict[str, float | str]
    features: tuple[str, ...]
    estimator: Estimator
    calibration: Calibration
    decision_threshold: float
    conformal: ConformalLimits
    training: TrainingRange
    performance: Performance
    probe: Probe


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Everything a bundle holds, checked.

    Attributes
    ----------
    identity : ModelIdentity
        Who speaks; what reports cite.
    features_digest : str
        Of the FeatureSettings it is bound to.
    classifiers : dict of (Target, str) to Classifier
        By target and sequence.
    remarks : tuple of str
        What the card says besides, in sentences.
    """

    identity: ModelIdentity
    features_digest: str
    classifiers: dict[tuple[Target, str], Classifier]
    remarks: tuple[str, ...] = field(default=())


def raw_scores(estimator: Estimator, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Score of every row: the decision function, or the log odds where there is only a probability.

    Parameters
    ----------
    estimator : a fitted scikit-learn classifier
        Of two classes.
    values : ndarray of shape (n, features)
        What it was fitted for.

    Returns
    -------
    ndarray of shape (n,)
        Higher means the target is more likely; log odds are cut at 1 to 999, so that a vote of all
        neighbours stays a number.
    """
    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(values), dtype=np.float64)
    rates = np.clip(estimator.predict_proba(values)[:, 1], _PROBABILITY_FLOOR, 1 - _PROBABILITY_FLOOR)
    return np.asarray(np.log(rates / (1 - rates)), dtype=np.float64)
