"""Which answers a probability leaves open, at a stated level of confidence."""

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
        Share of patients, of either class, whose true answer the set is to hold.
    present, absent : float
        How improbable (1 - probability of the answer) an answer may be and still stay in the set.
    """

    confidence: float
    present: float
    absent: float

    def answers(self, probability: float) -> tuple[bool, bool]:
        """Tell whether "present" and whether "absent" remain in the set.

        Parameters
        ----------
        probability : float
            That the target is present.

        Returns
        -------
        tuple of two bool
            Both, one, or neither may be true.
        """
        return 1.0 - probability <= self.present, probability <= self.absent


def conformal_limits(
    probabilities: npt.NDArray[np.float64], present: npt.NDArray[np.bool_], confidence: float
) -> ConformalLimits:
    """Take the limits from probabilities of patients that the classifier had not seen.

    With exchangeable patients and a fixed classifier, the set of a new patient of either class misses the
    truth in at most 1 - confidence of cases. Where the probabilities come from cross-validation the law
    holds for twice that share at worst, and about for that share in practice.

    Parameters
    ----------
    probabilities : ndarray of shape (n,)
        Held-out probabilities that the target is present.
    present : ndarray of bool, shape (n,)
        The truth.
    confidence : float
        0 to 1.

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
        return 1.0  # too few patients of this class to ever rule it out at this confidence
    return float(np.sort(strangeness)[rank - 1])
