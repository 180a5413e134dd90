"""The combinations of kind, hyper-parameters and number of features that the tuning tries."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from analysis.prediction.model import Estimator

__all__ = ["KINDS", "Candidate", "build", "candidates"]

KINDS = ("KNN", "SVM", "LDA", "LR", "SGD", "GNB")
"""The six models of the paper, by the names of its abstract."""

_SEARCH: dict[str, tuple[Callable[..., Estimator], dict[str, tuple[float | str, ...]]]] = {
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
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One combination of the search.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    parameters : dict of str to float or str
        Hyper-parameters.
    count : int
        Number of features.
    """

    kind: str
    parameters: dict[str, float | str]
    count: int


def candidates(kinds: Sequence[str], counts: Sequence[int]) -> Iterator[Candidate]:
    """Yield every combination, simpler ones first within a kind."""
    for kind in kinds:
        grid = _SEARCH[kind][1]
        for chosen, count in product(product(*grid.values()), counts):
            yield Candidate(kind, dict(zip(grid, chosen, strict=True)), count)


def build(candidate: Candidate, seed: int) -> Estimator:
    """Return an estimator of this combination that is not fitted yet."""
    make = _SEARCH[candidate.kind][0]
    chance = {"random_state": seed} if candidate.kind == "SGD" else {}
    return make(**candidate.parameters, **chance)
