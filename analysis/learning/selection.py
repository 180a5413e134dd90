"""Feature selection."""

import numpy as np
import numpy.typing as npt

from analysis.statistics.agreement import intraclass_correlation

__all__ = ["repeatable", "select_features"]


def select_features(
    values: npt.NDArray[np.float64],
    present: npt.NDArray[np.bool_] | npt.NDArray[np.float64],
    count: int,
    repeated: npt.NDArray[np.float64],
    minimum_icc: float,
) -> npt.NDArray[np.intp]:
    """Rank features by relevance over redundancy (mRMR), after dropping constant and unrepeatable ones.

    Parameters
    ----------
    values : ndarray of shape (patients, features)
        Features of the training patients only.
    present : ndarray of bool or float, shape (patients,)
        Whether the target is present, or the quantity that a regression is to predict.
    count : int
        Largest number of features to return.
    repeated : ndarray of shape (patients, features)
        Second measurements; rows of NaN for patients without one.
    minimum_icc : float
        Smallest ICC of a repeatable feature (`LearningSettings.minimum_icc`).

    Returns
    -------
    ndarray of int, shape (at most count,)
        Selected columns, best first.

    References
    ----------
    Ding C, Peng H. J Bioinform Comput Biol 2005;3:185-205, the quotient form with the F statistic (FCQ).
    """
    columns = repeatable(values, repeated, minimum_icc)
    standard = (values[:, columns] - values[:, columns].mean(axis=0)) / values[:, columns].std(axis=0)
    relevance = _f_statistic(standard, present)
    redundancy = np.zeros(columns.size)
    chosen: list[int] = []
    for rank in range(min(count, columns.size)):
        merit = relevance / np.maximum(redundancy / max(rank, 1), 1e-3) if chosen else relevance.copy()
        merit[chosen] = -1.0
        chosen.append(int(np.argmax(merit)))
        redundancy += np.abs(standard.T @ standard[:, chosen[-1]]) / present.size
    return columns[chosen]


def repeatable(
    values: npt.NDArray[np.float64], repeated: npt.NDArray[np.float64], minimum_icc: float
) -> npt.NDArray[np.intp]:
    """Return the columns that vary between patients and repeat well; the target plays no part.

    Parameters are those of `select_features`.
    """
    usable = values.std(axis=0) > 1e-9 * (1e-9 + np.abs(values).mean(axis=0))
    twice = np.isfinite(repeated).all(axis=1)
    if twice.sum() > 1:
        pairs = np.stack([values[twice], repeated[twice]], axis=1)
        usable &= intraclass_correlation(pairs) >= minimum_icc
    columns = np.flatnonzero(usable)
    if not columns.size:
        raise ValueError("no feature varies between patients and repeats well enough")
    return columns


def _f_statistic(
    standard: npt.NDArray[np.float64], present: npt.NDArray[np.bool_] | npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the F statistic of each column from its correlation with the target.

    For classes it is that of a two-class analysis of variance, for a quantity that of a linear regression.
    """
    classes = (present - present.mean()) / present.std()
    squared = np.minimum((standard.T @ classes / present.size) ** 2, 1 - 1e-12)
    return np.asarray(squared / (1 - squared) * (present.size - 2))
