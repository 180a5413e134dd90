"""Rules for the decision threshold, chosen before training."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from analysis.statistics.roc import youden_threshold

__all__ = ["RuleName", "ThresholdRule", "rule_of"]


class RuleName(StrEnum):
    """How the decision threshold is found."""

    SENSITIVITY = "sensitivity"
    YOUDEN = "youden"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class ThresholdRule:
    """The rule of the decision threshold.

    Attributes
    ----------
    name : RuleName
        SENSITIVITY: the highest threshold at which at least the share `value` of the patients with the target
        is found. The default, because a missed patient stays untreated, while a false call costs one
        densitometry. YOUDEN: the highest sum of sensitivity and specificity, which weighs both errors alike.
        FIXED: the probability `value`.
    value : float
        A sensitivity or a probability, between 0 and 1; unused by YOUDEN. With an AUC of about 0.8, a
        sensitivity of 0.8 leaves a specificity of about 0.65, and 0.9 one of less than a half.

    Raises
    ------
    ValueError
        If the value is not between 0 and 1.
    """

    name: RuleName = RuleName.SENSITIVITY
    value: float = 0.8

    def __post_init__(self) -> None:
        if self.name is not RuleName.YOUDEN and not 0 < self.value < 1:
            raise ValueError(f"a {self.name} of {self.value:g} is not between 0 and 1")

    def threshold(self, present: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.float64]) -> float:
        """Return the threshold for held-out probabilities of shape (n,)."""
        if self.name is RuleName.FIXED:
            return self.value
        if self.name is RuleName.YOUDEN:
            return youden_threshold(present, probabilities)
        return _threshold_with_sensitivity(present, probabilities, self.value)

    def sentence(self) -> str:
        """Return the rule as a sentence for the card."""
        return {
            RuleName.SENSITIVITY: f"The decision threshold finds at least {self.value:.0%} of the patients "
            "with the target, on held-out probabilities.",
            RuleName.YOUDEN: "The decision threshold is Youden's, on held-out probabilities.",
            RuleName.FIXED: f"The decision threshold of {self.value:g} was fixed before training.",
        }[self.name]


def rule_of(written: str) -> ThresholdRule:
    """Read a rule: "sensitivity:0.8", "youden" or "fixed:0.3".

    Raises
    ------
    ValueError
        If it is none of these, with what was written.
    """
    name, separator, value = written.partition(":")
    # No number belongs to youden, and one to each other rule.
    number = _share(value) if separator else ThresholdRule().value
    if name not in set(RuleName) or number is None or (name == RuleName.YOUDEN) == bool(separator):
        raise ValueError(
            f'"{written}" is no rule of a threshold such as sensitivity:0.8, youden or fixed:0.3'
        )
    return ThresholdRule(RuleName(name), number)


def _share(written: str) -> float | None:
    """Return a number between 0 and 1, or None if it is none."""
    try:
        number = float(written)
    except ValueError:
        return None
    return number if 0 < number < 1 else None


def _threshold_with_sensitivity(
    present: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.float64], sensitivity: float
) -> float:
    positives = np.sort(probabilities[present])[::-1]
    needed = int(np.ceil(sensitivity * positives.size - 1e-9))
    lowest = float(positives[needed - 1])
    # Midway to the next lower probability, so that the threshold does not depend on one patient's rounding.
    lower = probabilities[probabilities < lowest]
    return (lowest + float(lower.max())) / 2 if lower.size else lowest
