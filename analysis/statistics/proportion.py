"""A proportion and how far it is known."""

from math import sqrt

import numpy as np
import numpy.typing as npt

__all__ = ["share", "wilson_interval"]

_NORMAL_95 = 1.959963984540054


def share(hits: npt.NDArray[np.bool_]) -> tuple[float, tuple[float, float]]:
    """Return a share and its 95 % interval by Wilson's method.

    Parameters
    ----------
    hits : ndarray of bool, shape (n,)
        At least one.

    Examples
    --------
    >>> value, (low, high) = share(np.array([True] * 81 + [False] * 182))
    >>> print(f"{value:.4f} ({low:.4f} to {high:.4f})")  # Newcombe's Table I
    0.3080 (0.2553 to 0.3662)
    """
    value = float(hits.mean())
    return value, wilson_interval(value, hits.size)


def wilson_interval(value: float, patients: float) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share.

    Parameters
    ----------
    value : float
        The share.
    patients : float
        Of how many it is; not a whole number where predictions count as parts of patients.

    References
    ----------
    Newcombe RG. Two-sided confidence intervals for the single proportion. Stat Med 1998;17:857-872, method 3.
    """
    square = _NORMAL_95**2 / patients
    half = _NORMAL_95 * sqrt(value * (1 - value) / patients + square / (4 * patients))
    low, high = ((value + square / 2 + side * half) / (1 + square) for side in (-1, 1))
    # A share of 0 or 1 is an end of its interval; rounding would leave it outside by the last digit.
    return max(0.0, low) if value > 0 else 0.0, min(1.0, high) if value < 1 else 1.0
