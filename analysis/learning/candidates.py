"""The combinations of kind, hyper-parameters and number of features that the tuning tries."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from analysis.prediction.model import Estimator

__all__ = [
    "ENSEMBLES",
    "KINDS",
    "Candidate",
    "Grids",
    "build",
    "candidates",
    "check_parameters",
    "grid_of",
    "within",
]

KINDS = ("KNN", "SVM", "LDA", "LR", "SGD", "GNB")
"""The six models of the paper, by the names of its abstract."""

ENSEMBLES = ("RF", "GB")
"""Random forest and gradient boosting, for an evaluation only: a bundle holds no trees."""

Value = float | str
Grids = Mapping[str, Mapping[str, tuple[Value, ...]]]
"""Values of the hyper-parameters by kind, in the place of our own."""

_SEARCH: dict[str, tuple[Callable[..., Estimator], dict[str, tuple[Value, ...]]]] = {
    # Brute force, so that the bundle holds arrays and no search tree.
    "KNN": (
        lambda **chosen: KNeighborsClassifier(algorithm="brute", weights="distance", **chosen),
        {"n_neighbors": (7, 15, 25)},
    ),
    "SVM": (lambda **chosen: SVC(kernel="rbf", **chosen), {"C": (0.1, 1.0, 10.0)}),
    # Shrinkage by Ledoit-Wolf or a strong one: features correlate, and the sample covariance may be singular.
    "LDA": (
        lambda **chosen: LinearDiscriminantAnalysis(solver="lsqr", **chosen),
        {"shrinkage": ("auto", 0.5, 0.9)},
    ),
    "LR": (lambda **chosen: LogisticRegression(max_iter=5000, **chosen), {"C": (0.01, 0.1, 1.0)}),
    # A fixed number of passes instead of a stopping rule gives the same result on every machine.
    "SGD": (
        lambda **chosen: SGDClassifier(loss="log_loss", average=True, max_iter=200, tol=None, **chosen),
        {"alpha": (1e-3, 1e-2, 1e-1)},
    ),
    "GNB": (GaussianNB, {"var_smoothing": (1e-9, 1e-1, 1.0)}),
    "RF": (
        lambda **chosen: RandomForestClassifier(n_estimators=200, **chosen),
        {"min_samples_leaf": (3, 10)},
    ),
    "GB": (
        lambda **chosen: GradientBoostingClassifier(learning_rate=0.05, subsample=0.7, **chosen),
        {"max_depth": (1, 3)},
    ),
}


_FOUR_PATIENTS = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([False, True, False, True])
"""The smallest cohort that every kind of model can be fitted to: values and classes."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One combination of the search.

    Attributes
    ----------
    kind : str
        One of `KINDS` or `ENSEMBLES`.
    parameters : dict of str to float or str
        Hyper-parameters.
    count : int
        Number of features.
    """

    kind: str
    parameters: dict[str, float | str]
    count: int


def grid_of(kind: str, grids: Grids | None = None) -> dict[str, tuple[Value, ...]]:
    """Return the values that are tried of each hyper-parameter of a kind."""
    return {**_SEARCH[kind][1], **(grids or {}).get(kind, {})}


def candidates(
    kinds: Sequence[str], counts: Sequence[int], grids: Grids | None = None
) -> Iterator[Candidate]:
    """Yield every combination, simpler ones first within a kind."""
    for kind in kinds:
        grid = grid_of(kind, grids)
        for chosen, count in product(product(*grid.values()), counts):
            yield Candidate(kind, dict(zip(grid, chosen, strict=True)), count)


def build(candidate: Candidate, seed: int) -> Estimator:
    """Return an estimator of this combination that is not fitted yet."""
    make = _SEARCH[candidate.kind][0]
    chance = {"random_state": seed} if candidate.kind in {"SGD", *ENSEMBLES} else {}
    return make(**candidate.parameters, **chance)


def within(candidate: Candidate, patients: int) -> Candidate:
    """Return a candidate that so many patients allow: no more neighbours than there are patients.

    >>> within(Candidate("KNN", {"n_neighbors": 25}, 5), 24).parameters
    {'n_neighbors': 24}
    """
    most = candidate.parameters.get("n_neighbors")
    if not isinstance(most, int | float) or most <= patients:
        return candidate
    return replace(candidate, parameters={**candidate.parameters, "n_neighbors": patients})


@cache
def check_parameters(kind: str, parameters: tuple[tuple[str, Value], ...]) -> None:
    """Have scikit-learn check hyper-parameters, the first time that this process meets them.

    Parameters
    ----------
    kind : str
        One of `KINDS` or `ENSEMBLES`.
    parameters : tuple of (str, float or str)
        Names and values.

    Raises
    ------
    ValueError
        If scikit-learn refuses a value.
    """
    build(Candidate(kind, dict(parameters), 1), seed=0).fit(*_FOUR_PATIENTS)
