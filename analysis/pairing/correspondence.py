"""Correspondence of the bodies of two series, and the overlap of their outlines."""

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
"""Smallest number of common bodies for a conclusion; a single pair can be a coincidence."""

_NEAREST_MM = 15.0
"""Largest distance between centres of the same body: half the smallest distance between lumbar bodies."""

_LEANING_MM = 6.0
_SAMPLE_MM = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """Rigid transform from the first series to the second: ``rotation @ position + shift_mm``.

    Attributes
    ----------
    rotation : ndarray of shape (3, 3)
        Rotation matrix.
    shift_mm : ndarray of shape (3,)
        Translation in LPS.
    registered : bool
        Whether it was found by image registration; False for the identity, which the headers imply.
    """

    rotation: Floats
    shift_mm: Floats
    registered: bool

    @classmethod
    def by_headers(cls) -> "Alignment":
        """Return the identity: both series are where their headers say."""
        return cls(np.eye(3), np.zeros(3), registered=False)

    def to_second(self, positions_mm: npt.ArrayLike) -> Floats:
        """Transform positions of shape (..., 3) to the second series."""
        return np.asarray(np.asarray(positions_mm, dtype=np.float64) @ self.rotation.T + self.shift_mm)


@dataclass(frozen=True, slots=True)
class Pair:
    """One body that both series show.

    Attributes
    ----------
    first, second : Level
        Its level in each series.
    distance_mm : float
        Distance between its centres in the slice plane of the first series.
    overlap : float
        Dice of the outlines within the common field of view.
    """

    first: Level
    second: Level
    distance_mm: float
    overlap: float


@dataclass(frozen=True, slots=True, eq=False)
class CommonBodies:
    """The bodies that two series show in common.

    Attributes
    ----------
    alignment : Alignment
        The alignment of the series.
    pairs : tuple of Pair
        The common bodies from cranial to caudal.
    """

    alignment: Alignment
    pairs: tuple[Pair, ...]

    @classmethod
    def of(cls, first: Segmentation, second: Segmentation, alignment: Alignment) -> "CommonBodies":
        """Pair the bodies of two series under an alignment."""
        return cls(alignment, pair_bodies(first, second, alignment))

    @property
    def same_names(self) -> bool:
        """Whether all common bodies have the same level in both series."""
        return all(pair.first is pair.second for pair in self.pairs)

    @property
    def residual_mm(self) -> float | None:
        """Median distance of the centres; None without a pair."""
        return float(np.median([pair.distance_mm for pair in self.pairs])) if self.pairs else None


def _in_plane_mm(first: Grid, difference_mm: npt.ArrayLike) -> Floats:
    """Return the lengths of differences of shape (..., 3), projected onto the slice plane of a grid.

    Slices are thick and may not cover a whole body, so its centre is not well known across the slices.
    """
    return np.asarray(np.linalg.norm(np.asarray(difference_mm) @ first.axes[1:].T, axis=-1))


def pair_bodies(first: Segmentation, second: Segmentation, alignment: Alignment) -> tuple[Pair, ...]:
    """Pair bodies that are mutual nearest neighbours.

    Parameters
    ----------
    first, second : Segmentation
        Segmentations on any grids.
    alignment : Alignment
        Transform from the first to the second.

    Returns
    -------
    tuple of Pair
        From cranial to caudal.
    """
    if not first.regions or not second.regions:
        return ()
    bodies, others = _bodies(first), _bodies(second)
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
                _overlap(bodies[region.level], others[match.level], way) for way in (alignment, straightened)
            )
            pairs.append(Pair(region.level, match.level, float(apart[number, other]), overlap))
    return tuple(pairs)


def _straightened(alignment: Alignment, first: Grid, difference_mm: Floats) -> Alignment:
    """Correct the alignment of one body by its offset across the slices, up to `_LEANING_MM`.

    Such an offset, from a patient leaning between the series, is too small for a registration of thick
    slices, and it says nothing about the outlines.
    """
    axis = alignment.rotation @ first.axes[0]
    leant = axis * np.clip(float(difference_mm @ axis), -_LEANING_MM, _LEANING_MM)
    return replace(alignment, shift_mm=alignment.shift_mm - leant)


@dataclass(frozen=True, slots=True)
class _Body:
    """The mask of a body with one voxel around it, as far as there is one."""

    mask: Mask
    corner: npt.NDArray[np.intp]
    """Index of the first voxel of `mask` in the grid."""
    low: npt.NDArray[np.intp]
    high: npt.NDArray[np.intp]
    """First and last index of the body."""
    grid: Grid


def _bodies(segmentation: Segmentation) -> dict[Level, _Body]:
    """Cut the bodies out, by level."""
    labels = segmentation.labels
    bodies = {}
    for level, box in segmentation.boxes.items():
        low = np.array([part.start for part in box])
        high = np.array([part.stop - 1 for part in box])
        corner = np.maximum(low - 1, 0)
        around = tuple(slice(start, stop + 2) for start, stop in zip(corner, high, strict=True))
        bodies[level] = _Body(labels[around] == level, corner, low, high, segmentation.grid)
    return bodies


def _overlap(body: _Body, other: _Body, alignment: Alignment) -> float:
    """Return the Dice of two masks, sampled on a lattice that favours neither grid."""
    points = _points_around(body)
    here = body.grid.to_index(points)
    there = other.grid.to_index(alignment.to_second(points))
    seen = _inside(here, body.grid) & _inside(there, other.grid)
    one = _at(body, here[seen])
    two = _at(other, there[seen])
    total = int(one.sum()) + int(two.sum())
    return 2.0 * int((one & two).sum()) / total if total else 0.0


def _points_around(body: _Body) -> Floats:
    """Return positions of shape (n, 3) on a lattice in the bounding box of a body with a 12 mm margin."""
    margin = 12.0 / np.asarray(body.grid.spacing_mm)
    low, high = body.low - margin, body.high + margin
    steps = _SAMPLE_MM / np.asarray(body.grid.spacing_mm)
    along = (np.arange(*limits) for limits in zip(low, high, steps, strict=True))
    lattice = np.meshgrid(*along, indexing="ij")
    return body.grid.to_mm(np.stack(lattice, axis=-1).reshape(-1, 3))


def _inside(indices: Floats, grid: Grid) -> Mask:
    return np.asarray(((indices > -0.5) & (indices < np.asarray(grid.shape) - 0.5)).all(axis=1))


def _at(body: _Body, indices: Floats) -> Mask:
    """Tell whether points lie inside a body, by linear interpolation between its voxels."""
    within = indices - body.corner
    values = ndimage.map_coordinates(body.mask.astype(np.float32), within.T, order=1, mode="nearest")
    # Outside the cut-out "nearest" would extend the border of the mask.
    near = ((within > -1.0) & (within < body.mask.shape)).all(axis=1)
    return np.asarray((values > 0.5) & near)
