"""Permutation of features: how much AUC a classifier loses when one of them is shuffled among patients."""

import numpy as np
import numpy.typing as npt
from sklearn.inspection import permutation_importance

from analysis.learning.learn import Learned
from analysis.prediction.model import Estimator, raw_scores
from analysis.statistics.roc import area

__all__ = ["REPEATS", "permutation_losses"]

REPEATS = 10
"""Number of times that each feature is shuffled; the loss is the mean over them."""


def permutation_losses(
    learned: Learned, values: npt.NDArray[np.float64], present: npt.NDArray[np.bool_], seed: int
) -> npt.NDArray[np.float64]:
    """Return the AUC that is lost when a feature is shuffled among patients who were held out.

    Parameters
    ----------
    learned : Learned
        The classifier, which was trained without these patients.
    values : ndarray of shape (patients, features)
        All features.
    present : ndarray of bool, shape (patients,)
        Whether the target is present; both classes occur.
    seed : int
        Seed of the shuffling.

    Returns
    -------
    ndarray of shape (features,)
        Mean loss; NaN for a feature that the classifier does not read, whose loss is 0 by definition.

    References
    ----------
    Breiman L. Random forests. Mach Learn 2001;45:5-32.
    """
    losses = np.full(values.shape[1], np.nan)
    found = permutation_importance(
        learned.estimator,
        values[:, learned.columns],
        present,
        scoring=_area,
        n_repeats=REPEATS,
        random_state=seed,
    )
    losses[learned.columns] = found.importances_mean
    return losses


def _area(estimator: Estimator, values: npt.NDArray[np.float64], present: npt.NDArray[np.bool_]) -> float:
    return area(present, raw_scores(estimator, values))
