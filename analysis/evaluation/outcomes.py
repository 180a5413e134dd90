"""The values that make up the external validation of a model."""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from analysis.domain.findings import ModelIdentity, Target

__all__ = ["Checked", "Figure", "Group", "Outcome", "Standing", "Validation"]

Floats = npt.NDArray[np.float64]


class Standing(StrEnum):
    """How far a patient came on the way to an answer."""

    UNMEASURED = "no features of this sequence"
    OUTSIDE = "outside the training range"
    OPEN = "indeterminate"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one classifier says of one patient.

    Attributes
    ----------
    standing : Standing
        How far the patient came.
    reasons : tuple of str
        Why there is no answer; empty with an answer.
    codes : tuple of str
        The codes of the reasons, in their order.
    probability : float or None
        Calibrated; also known outside the training range, where the node tells none. None without features.
    interval : tuple of two float, or None
        Its 95 % interval.
    remoteness : float or None
        As `TrainingRange.remoteness`.
    called : bool or None
        Whether the probability reaches the decision threshold.
    """

    standing: Standing
    reasons: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    probability: float | None = None
    interval: tuple[float, float] | None = None
    remoteness: float | None = None
    called: bool | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its 95 % interval; NaN where it, or only its interval, does not exist."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Group:
    """A part of the patients, such as those of one site.

    Attributes
    ----------
    by, name : str
        What the patients are grouped by, and the name of this group.
    patients, present, answered : int
        Number of patients with a probability, of those with the target, and of those with an answer.
    figures : dict of str to Figure
        "AUC", "observed / expected" and "calibration in the large"; empty if there are too few patients.
    """

    by: str
    name: str
    patients: int
    present: int
    answered: int
    figures: dict[str, Figure]


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """One classifier, or what the node answers to one target, checked on other patients.

    Attributes
    ----------
    target : Target
        The target.
    sequence : str
        "T1", "T2", "T1+T2", or "node": what the node answers by (`analysis.domain.basis.asked_in_turn`).
    patient_ids : tuple of str
        All labelled patients, to whom the following values refer.
    present : ndarray of bool, shape (patients,)
        Whether the target is present.
    outcomes : tuple of Outcome
        What is said of each.
    figures : dict of str to Figure
        "AUC", "calibration slope", "calibration intercept", "calibration in the large",
        "observed / expected" and "Brier" of all patients with a probability; empty if a class is too small.
    answers : dict of str to Figure
        "sensitivity", "specificity", "PPV" and "NPV" of the answers given, and "answered" (their share).
    abstentions : tuple of (Standing, str, str, int)
        Standing, code of the reason, an example in words, and the number of patients with that reason.
    groups : tuple of Group
        Parts of the patients.
    lines : ndarray of shape (draws, 2)
        Intercept and slope of the calibration of every bootstrap sample, after those of the cohort itself.
    benefits : ndarray of shape (draws, thresholds)
        Net benefit at `thresholds`, in the same order.
    thresholds : ndarray of shape (thresholds,)
        Threshold probabilities of the decision curve.
    absent : dict of str to str
        Why a figure or a figure of the answers does not exist, by its name (`analysis.evaluation.absent`).
    """

    target: Target
    sequence: str
    patient_ids: tuple[str, ...]
    present: npt.NDArray[np.bool_]
    outcomes: tuple[Outcome, ...]
    figures: dict[str, Figure]
    answers: dict[str, Figure]
    abstentions: tuple[tuple[Standing, str, str, int], ...]
    groups: tuple[Group, ...]
    lines: Floats
    benefits: Floats
    thresholds: Floats
    absent: dict[str, str] = field(default_factory=dict)

    def count(self, standing: Standing) -> int:
        """Return the number of patients of this standing."""
        return sum(outcome.standing is standing for outcome in self.outcomes)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Whether each patient has a probability, shape (patients,)."""
        return np.array([outcome.probability is not None for outcome in self.outcomes], dtype=np.bool_)

    @property
    def probabilities(self) -> Floats:
        """Probabilities, NaN where there is none, shape (patients,)."""
        told = [np.nan if one.probability is None else one.probability for one in self.outcomes]
        return np.array(told, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """The external validation of a model.

    Attributes
    ----------
    identity : ModelIdentity
        The model.
    patients : int
        Number of labelled patients.
    checked : tuple of Checked
        One for each classifier.
    node : tuple of Checked
        One for each target: what the node would answer.
    draws : int
        Number of bootstrap samples.
    minimum_per_class : int
        Smallest number of patients with, and without, the target for a figure.
    simulated : bool
        Whether the cohort is simulated.
    age_and_sex : bool
        Whether any classifier needs age and sex.
    """

    identity: ModelIdentity
    patients: int
    checked: tuple[Checked, ...]
    node: tuple[Checked, ...]
    draws: int
    minimum_per_class: int
    simulated: bool
    age_and_sex: bool = False
