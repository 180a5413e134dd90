"""How far a study lies from the training of a model, and a scanner that has left the range of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.domain.reason import Reason

__all__ = ["Departure", "TrainingDistance", "departures_by_basis"]


@dataclass(frozen=True, slots=True)
class TrainingDistance:
    """How far the features of one basis lie from the training patients of a model.

    Attributes
    ----------
    basis : str
        "T1", "T2" or "T1+T2".
    distance : float
        Mahalanobis distance (dimensionless, `TrainingRange.distances`); of several classifiers of the basis,
        that of the one with the largest fraction of `usual`.
    limit : float
        99th percentile of the training patients of that classifier, beyond which the model abstains.
    usual : float
        Distance within which nine of ten new patients lie who are like those of the training, by all
        classifiers of the basis together (`analysis.prediction.usual_distance`).
    in_protocol : bool
        Whether TR, TE and field strength lie in the range of the training.
    """

    basis: str
    distance: float
    limit: float
    usual: float
    in_protocol: bool

    @property
    def is_far(self) -> bool:
        """Whether it lies farther from the training than nine of ten new patients, or has another protocol.

        Examples
        --------
        >>> seen = [TrainingDistance("T1", away, 5.0, 4.0, True) for away in (3.9, 4.1, float("nan"))]
        >>> [one.is_far for one in seen]
        [False, True, True]
        """
        return not (self.in_protocol and self.distance <= self.usual)

    @property
    def is_outside(self) -> bool:
        """Whether the model abstains, because this study alone lies outside the range of the training."""
        return not (self.in_protocol and self.distance <= self.limit)


@dataclass(frozen=True, slots=True)
class Departure:
    """That the images of a scanner have left the range of the training.

    Attributes
    ----------
    basis : str
        "T1", "T2" or "T1+T2".
    far, studies : int
        How many of how many consecutive studies of the scanner were far (`TrainingDistance.is_far`) when
        that was found.
    """

    basis: str
    far: int
    studies: int

    def __post_init__(self) -> None:
        """Refuse what no scanner can have done.

        Raises
        ------
        ValueError
            If it has no basis, or more studies were far than there were.
        """
        if not self.basis or not 0 < self.far <= self.studies:
            raise ValueError(f"{self.far} of {self.studies} studies from {self.basis!r}")

    @property
    def reason(self) -> Reason:
        """Why a model does not answer from this basis."""
        return Reason("scanner_left", sequence=self.basis, far=self.far, studies=self.studies)

    def __str__(self) -> str:
        """Return it as reports cite it and as `parse` reads it.

        Examples
        --------
        >>> str(Departure("T1", 12, 30))
        'T1=12/30'
        """
        return f"{self.basis}={self.far}/{self.studies}"

    @classmethod
    def parse(cls, text: str) -> "Departure":
        """Read what `str` wrote.

        Raises
        ------
        ValueError
            If it is none.

        Examples
        --------
        >>> Departure.parse("T1+T2=9/20")
        Departure(basis='T1+T2', far=9, studies=20)
        """
        basis, _, counts = text.partition("=")
        far, _, studies = counts.partition("/")
        return cls(basis, int(far), int(studies))


def departures_by_basis(departures: Sequence[Departure]) -> Mapping[str, Departure]:
    """Return departures by their basis."""
    return {one.basis: one for one in departures}
