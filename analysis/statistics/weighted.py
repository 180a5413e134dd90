"""Performance measures of a test set for many bootstrap samples at once, by weighting the patients."""

import numpy as np
import numpy.typing as npt

__all__ = ["MEASURES", "weighted_measures"]

MEASURES = ("AUC", "sensitivity", "specificity", "accuracy", "Brier")


def weighted_measures(
    present: npt.NDArray[np.bool_],
    probabilities: npt.NDArray[np.float64],
    called: npt.NDArray[np.bool_],
    weights: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Calculate all measures for every row of weights.

    Parameters
    ----------
    present : ndarray of bool, shape (patients,)
        Whether the target is present.
    probabilities : ndarray of shape (patients,)
        Predicted probability of the target.
    called : ndarray of bool, shape (patients,)
        Whether the target was called present.
    weights : ndarray of shape (draws, patients)
        How often each patient occurs in each bootstrap sample.

    Returns
    -------
    ndarray of shape (measures, draws)
        In the order of `MEASURES`; NaN if a sample has no patient of a class that the measure needs.
    """
    with_target, without = weights[:, present], weights[:, ~present]
    higher, lower = probabilities[present][:, None], probabilities[~present][None, :]
    wins = (higher > lower) + 0.5 * (higher == lower)
    right = (called == present).astype(np.float64)
    squares = (probabilities - present) ** 2
    positives, negatives = with_target.sum(axis=1), without.sum(axis=1)
    return np.stack(
        [
            _share(((with_target @ wins) * without).sum(axis=1), positives * negatives),
            _share(with_target @ right[present], positives),
            _share(without @ right[~present], negatives),
            _share(weights @ right, positives + negatives),
            _share(weights @ squares, positives + negatives),
        ]
    )


def _share(part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan)
