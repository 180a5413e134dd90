"""The interval of a share."""

from math import sqrt

__all__ = ["wilson"]

_NORMAL_95 = 1.959963984540054


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a share; (0, 1) for a share of nothing.

    References
    ----------
    Newcombe RG. Two-sided confidence intervals for the single proportion. Stat Med 1998;17:857-872, method 3.
    """
    if total == 0:
        return 0.0, 1.0
    share, square = hits / total, _NORMAL_95**2
    centre = share + square / (2 * total)
    half = _NORMAL_95 * sqrt(share * (1 - share) / total + square / (4 * total**2))
    scale = 1 + square / total
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)
