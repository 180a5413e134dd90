"""The logistic function, from log odds to probabilities."""

from math import exp

import numpy as np
import numpy.typing as npt

__all__ = ["logistic", "logistic_of_all"]


def logistic(linear: float) -> float:
    """Return the probability for one log odds, without overflow."""
    if linear >= 0:
        return 1.0 / (1.0 + exp(-linear))
    return exp(linear) / (1.0 + exp(linear))


def logistic_of_all(linear: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the probabilities for log odds of any shape, without overflow."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(linear, -700, 700))))
