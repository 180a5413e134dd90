"""Conformal prediction: the answers that remain possible at a given confidence level."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

__all__ = ["ConformalLimits", "conformal_limits"]


@dataclass(frozen=True, slots=True)
class ConformalLimits:
    """Class-conditional (Mondrian) conformal limits.

    Attributes
    ----------
    confidence : float
        Proportion of patients of each class whose true answer is to be in the set.
    present, absent : float
        Largest nonconformity (1 - probability of the answer) at which the answer stays in the set.
    """

    confidence: float
    present: float
    absent: float

    def answers(self, probability: float) -> tuple[bool, bool]:
        """Tell whether "present" and whether "absent" remain in the set.

        Parameters
        ----------
        probability : float
            Probability that the target is present.

        Returns
        -------
        tuple of two bool
            Both, one or neither may be true.
        """
        return 1.0 - probability <= self.present, probability <= self.absent


def conformal_limits(
    probabilities: npt.NDArray[np.float64], present: npt.NDArray[np.bool_], confidence: float
) -> ConformalLimits:
    """Compute the limits from probabilities of patients that the classifier had not seen.

    With exchangeable patients and a fixed classifier, the set of a new patient of either class misses the
    truth with a probability of at most 1 - confidence. With probabilities from cross-validation the guarantee
    is twice that at worst, and about that in practice.

    Parameters
    ----------
    probabilities : ndarray of shape (n,)
        Held-out probabilities that the target is present.
    present : ndarray of bool, shape (n,)
        Whether the target is present.
    confidence : float
        Confidence level, 0 to 1.

    References
    ----------
    Vovk V. Cross-conformal predictors. Ann Math Artif Intell 2015;74:9-28.
    Barber RF et al. Predictive inference with the jackknife+. Ann Stat 2021;49:486-507.
    """
    return ConformalLimits(
        confidence=confidence,
        present=_limit(1.0 - probabilities[present], confidence),
        absent=_limit(probabilities[~present], confidence),
    )


def _limit(strangeness: npt.NDArray[np.float64], confidence: float) -> float:
    rank = ceil((strangeness.size + 1) * confidence)
    if rank > strangeness.size:
        return 1.0  # too few patients of this class to rule it out at this confidence level
    return float(np.sort(strangeness)[rank - 1])
