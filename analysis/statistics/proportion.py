"""A proportion and how far it is known."""

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

__all__ = ["share"]


def share(hits: npt.NDArray[np.bool_]) -> tuple[float, tuple[float, float]]:
    """Return a share and its 95 % interval by Wilson's method.

    Parameters
    ----------
    hits : ndarray of bool, shape (n,)
        At least one.

    References
    ----------
    Newcombe RG. Two-sided confidence intervals for the single proportion. Stat Med 1998;17:857-872, method 3.

    Examples
    --------
    >>> value, (low, high) = share(np.array([True] * 81 + [False] * 182))
    >>> print(f"{value:.4f} ({low:.4f} to {high:.4f})")  # Newcombe's Table I
    0.3080 (0.2553 to 0.3662)
    """
    low, high = binomtest(int(hits.sum()), hits.size).proportion_ci(method="wilson")
    return float(hits.mean()), (float(low), float(high))
