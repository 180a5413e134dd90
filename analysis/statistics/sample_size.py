"""How many patients a prediction model of a binary outcome needs at least."""

from dataclasses import dataclass
from math import ceil, exp, log

__all__ = ["SampleSize", "needed"]

_SHRINKAGE = 0.9
_OPTIMISM = 0.05
_MARGIN = 0.05
_NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class SampleSize:
    """The number of patients by each of Riley's criteria.

    Attributes
    ----------
    shrinkage : int
        For an expected shrinkage of the coefficients of at most 10 %.
    optimism : int
        For an optimism of Nagelkerke's R² of at most 0.05.
    prevalence : int
        To know the overall risk to ± 0.05.
    """

    shrinkage: int
    optimism: int
    prevalence: int

    @property
    def patients(self) -> int:
        """The number that meets all criteria."""
        return max(self.shrinkage, self.optimism, self.prevalence)


def needed(parameters: int, prevalence: float, r_squared: float | None = None) -> SampleSize:
    """Return how many patients are needed to develop a model.

    Parameters
    ----------
    parameters : int
        Number of candidate parameters, counted before any selection.
    prevalence : float
        Share of the patients with the outcome, between 0 and 1.
    r_squared : float, optional
        Expected R² of Cox and Snell; by default, as Riley et al. advise where nothing is known, that at which
        Nagelkerke's R² is 0.15.

    References
    ----------
    Riley RD et al. Calculating the sample size required for developing a clinical prediction model. BMJ
    2020;368:m441.

    Examples
    --------
    >>> found = needed(24, 0.174, 0.288)  # the worked example of the authors' program pmsampsize
    >>> found.shrinkage, found.optimism, found.prevalence
    (623, 662, 221)
    """
    log_likelihood = prevalence * log(prevalence) + (1 - prevalence) * log(1 - prevalence)
    most = 1 - exp(2 * log_likelihood)
    expected = 0.15 * most if r_squared is None else r_squared
    shrinkage = parameters / ((_SHRINKAGE - 1) * log(1 - expected / _SHRINKAGE))
    kept = expected / (expected + _OPTIMISM * most)
    optimism = parameters / ((kept - 1) * log(1 - expected / kept))
    precise = (_NORMAL_95 / _MARGIN) ** 2 * prevalence * (1 - prevalence)
    return SampleSize(ceil(shrinkage), ceil(optimism), ceil(precise))
