"""Which body of one series is which body of another, and how well their outlines agree."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Grid

__all__ = ["FEWEST_PAIRS", "Alignment", "CommonBodies", "Pair", "pair_bodies"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FEWEST_PAIRS = 2
"""One body in common may be a chance; with fewer pairs than this nothing is concluded."""

_NEAREST_MM = 15.0
"""Half of the least distance between neighbouring lumbar bodies: farther apart is not the same body."""

_LEANING_MM = 6.0
_SAMPLE_MM = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """Where a point of the first series lies in the second: ``rotation @ position + shift_mm``.

    Attributes
    ----------
    rotation : ndarray of shape (3, 3)
        Orthonormal.
    shift_mm : ndarray of shape (3,)
        In mm, LPS.
    registered : bool
        Whether it was found from the images; False for the headers' own word that nothing moved.
    """

    rotation: Floats
    shift_mm: Floats
    registered: bool

    @classmethod
    def by_headers(cls) -> "Alignment":
        """Both series have the positions that their headers tell."""
        return cls(np.eye(3), np.zeros(3), registered=False)

    def to_second(self, positions_mm: npt.ArrayLike) -> Floats:
        """Positions of shape (..., 3) in the second series."""
        return np.asarray(np.asarray(positions_mm, dtype=np.float64) @ self.rotation.T + self.shift_mm)


@dataclass(frozen=True, slots=True)
class Pair:
    """One body that both series show.

    Attributes
    ----------
    first, second : Level
        What each of them calls it.
    distance_mm : float
        Between its centres, within the slices of the first.
    overlap : float
        Dice of the outlines where both images reach.
    """

    first: Level
    second: Level
    distance_mm: float
    overlap: float


@dataclass(frozen=True, slots=True, eq=False)
class CommonBodies:
    """What two series show in common.

    Attributes
    ----------
    alignment : Alignment
        How they were brought together.
    pairs : tuple of Pair
        The bodies that both show, from cranial to caudal.
    """

    alignment: Alignment
    pairs: tuple[Pair, ...]

    @classmethod
    def of(cls, first: Segmentation, second: Segmentation, alignment: Alignment) -> "CommonBodies":
        """Pair the bodies of two series."""
        return cls(alignment, pair_bodies(first, second, alignment))

    @property
    def same_names(self) -> bool:
        """Whether both series name all of these bodies alike."""
        return all(pair.first is pair.second for pair in self.pairs)

    @property
    def residual_mm(self) -> float | None:
        """Median distance of the centres; None without a pair."""
        return float(np.median([pair.distance_mm for pair in self.pairs])) if self.pairs else None


def _in_plane_mm(first: Grid, difference_mm: npt.ArrayLike) -> Floats:
    """Lengths of differences of shape (..., 3) within the slices of a grid.

    Slices are thick and may end beside a body, so that its centre is not known well across them.
    """
    return np.asarray(np.linalg.norm(np.asarray(difference_mm) @ first.axes[1:].T, axis=-1))


def pair_bodies(first: Segmentation, second: Segmentation, alignment: Alignment) -> tuple[Pair, ...]:
    """Find the bodies that lie at the same place; each is the nearest one of the other.

    Parameters
    ----------
    first, second : Segmentation
        On any grids.
    alignment : Alignment
        From the first to the second.

    Returns
    -------
    tuple of Pair
        In the order of the first series' regions, from cranial to caudal.
    """
    if not first.regions or not second.regions:
        return ()
    here = alignment.to_second([region.centre_mm for region in first.regions])
    there = np.array([region.centre_mm for region in second.regions])
    apart = _in_plane_mm(first.grid, (here[:, None] - there) @ alignment.rotation)
    pairs = []
    for number, region in enumerate(first.regions):
        other = int(np.argmin(apart[number]))
        mutual = int(np.argmin(apart[:, other])) == number
        if mutual and apart[number, other] < _NEAREST_MM:
            match = second.regions[other]
            straightened = _straightened(alignment, first.grid, here[number] - there[other])
            overlap = max(
                _overlap(first, region.level, second, match.level, way) for way in (alignment, straightened)
            )
            pairs.append(Pair(region.level, match.level, float(apart[number, other]), overlap))
    return tuple(pairs)


def _straightened(alignment: Alignment, first: Grid, difference_mm: Floats) -> Alignment:
    """Take a difference back as far as it runs from slice to slice and a patient leans between series.

    Slices are too thick for a registration to see it, and it says nothing about the outlines.
    """
    axis = alignment.rotation @ first.axes[0]
    leant = axis * np.clip(float(difference_mm @ axis), -_LEANING_MM, _LEANING_MM)
    return replace(alignment, shift_mm=alignment.shift_mm - leant)


def _overlap(
    first: Segmentation, level: Level, second: Segmentation, other: Level, alignment: Alignment
) -> float:
    """Dice of two masks on points of their own, because neither grid is fairer than the other."""
    points = _points_around(first, level)
    here = first.grid.to_index(points)
    there = second.grid.to_index(alignment.to_second(points))
    seen = _inside(here, first.grid) & _inside(there, second.grid)
    one = _at(first.labels == level, here[seen])
    two = _at(second.labels == other, there[seen])
    total = int(one.sum()) + int(two.sum())
    return 2.0 * int((one & two).sum()) / total if total else 0.0


def _points_around(segmentation: Segmentation, level: Level) -> Floats:
    """Positions of shape (n, 3) on a lattice in the box around a body and half a body more."""
    grid = segmentation.grid
    where = np.argwhere(segmentation.labels == level)
    margin = 12.0 / np.asarray(grid.spacing_mm)
    low, high = where.min(axis=0) - margin, where.max(axis=0) + margin
    steps = _SAMPLE_MM / np.asarray(grid.spacing_mm)
    along = (np.arange(*limits) for limits in zip(low, high, steps, strict=True))
    lattice = np.meshgrid(*along, indexing="ij")
    return grid.to_mm(np.stack(lattice, axis=-1).reshape(-1, 3))


def _inside(indices: Floats, grid: Grid) -> Mask:
    return np.asarray(((indices > -0.5) & (indices < np.asarray(grid.shape) - 0.5)).all(axis=1))


def _at(mask: Mask, indices: Floats) -> Mask:
    """Whether points lie in a mask, its border interpolated between the voxels."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    low = np.array([max(0, part.start - 1) for part in box])
    cut = mask[tuple(slice(start, part.stop + 1) for start, part in zip(low, box, strict=True))]
    values = ndimage.map_coordinates(cut.astype(np.float32), (indices - low).T, order=1, mode="nearest")
    # Beyond the voxels around the mask "nearest" would carry its border on.
    near = ((indices - low > -1.0) & (indices - low < cut.shape)).all(axis=1)
    return np.asarray((values > 0.5) & near)
