"""An image stack and its grid in the patient coordinate system."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Box", "Grid", "Part", "Volume", "around", "box_of", "volume_ml"]

Box = tuple[slice, slice, slice]
"""Slices, rows and columns of an array, with start and stop."""

_ORTHONORMAL_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Geometry of an image stack in the patient coordinate system.

    Attributes
    ----------
    shape : tuple of int
        (slices, rows, columns).
    spacing_mm : tuple of float
        Distance between voxel centres along each array axis, in mm.
    origin_mm : tuple of float
        LPS position of the centre of voxel (0, 0, 0), in mm.
    axes : ndarray of shape (3, 3)
        Row n is the LPS unit vector along array axis n.

    Raises
    ------
    ValueError
        If a length is not positive or `axes` is not orthonormal.

    References
    ----------
    DICOM PS3.3 C.7.6.2.1.1, Image Position and Image Orientation (Patient).
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    axes: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        if min(self.shape) < 1 or not min(self.spacing_mm) > 0:
            raise ValueError(f"a grid needs positive lengths, not {self.shape} of {self.spacing_mm} mm")
        if self.axes.shape != (3, 3) or not np.allclose(
            self.axes @ self.axes.T, np.eye(3), atol=_ORTHONORMAL_TOLERANCE
        ):
            raise ValueError("the axes of a grid must be orthonormal")

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel, in ml."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    def volume_ml(self, mask: npt.NDArray[np.bool_]) -> float:
        """Return the volume of a mask on this grid, in ml."""
        return volume_ml(mask, self.spacing_mm)

    def part(self, box: Box) -> "Grid":
        """Return the grid of the voxels in a box."""
        left, posterior, superior = self.to_mm([one.start for one in box]).tolist()
        slices, rows, columns = (one.stop - one.start for one in box)
        return Grid((slices, rows, columns), self.spacing_mm, (left, posterior, superior), self.axes)

    @property
    def corners_mm(self) -> npt.NDArray[np.float64]:
        """LPS positions of the centres of the eight corner voxels, of shape (8, 3)."""
        return self.to_mm(
            np.array(np.meshgrid(*[(0, n - 1) for n in self.shape], indexing="ij")).reshape(3, -1).T
        )

    def to_mm(self, indices: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the LPS positions of voxel indices.

        Parameters
        ----------
        indices : array_like of shape (..., 3)
            (slice, row, column); may be fractional.

        Returns
        -------
        ndarray of shape (..., 3)
            Positions in mm.
        """
        steps = np.asarray(indices, dtype=np.float64) * np.asarray(self.spacing_mm)
        return np.asarray(np.asarray(self.origin_mm) + steps @ self.axes)

    def to_index(self, positions_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Voxel indices (slice, row, column) of LPS positions; the inverse of `to_mm`."""
        steps = (np.asarray(positions_mm, dtype=np.float64) - np.asarray(self.origin_mm)) @ self.axes.T
        return np.asarray(steps / np.asarray(self.spacing_mm))

    def matches(self, other: "Grid", *, tolerance_mm: float = 0.01) -> bool:
        """Tell whether the corner voxels of both grids have the same positions."""
        if self.shape != other.shape:
            return False
        return bool(np.abs(self.corners_mm - other.corners_mm).max() <= tolerance_mm)


def volume_ml(mask: npt.NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> float:
    """Return the volume of a mask whose voxels have these side lengths, in ml.

    >>> volume_ml(np.ones((2, 5, 10), dtype=np.bool_), (4.0, 0.5, 0.5))
    0.1
    """
    return float(mask.sum()) * (float(np.prod(spacing_mm)) / 1000.0)


def box_of(mask: npt.NDArray[np.bool_] | npt.NDArray[np.uint8]) -> Box:
    """Return the box around all voxels that are not 0; it is empty if there are none.

    Examples
    --------
    >>> box_of(np.pad(np.ones((1, 2, 3), dtype=np.bool_), 1))
    (slice(1, 2, None), slice(1, 3, None), slice(1, 4, None))
    """
    # The largest byte is found many times faster than whether any is not 0.
    plain = mask.view(np.uint8)
    plane = plain.max(axis=0, initial=0)
    along = (plain.max(axis=(1, 2), initial=0), plane.max(axis=1, initial=0), plane.max(axis=0, initial=0))
    slices, rows, columns = (_span(np.flatnonzero(one)) for one in along)
    return slices, rows, columns


def _span(found: npt.NDArray[np.intp]) -> slice:
    return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0)


def around(boxes: Iterable[Box]) -> Box:
    """Return the box around boxes, of which none is empty; without any, it is empty."""
    along = list(zip(*boxes, strict=True)) or [(slice(0, 0),)] * 3
    slices, rows, columns = (
        slice(min(one.start for one in parts), max(one.stop for one in parts)) for parts in along
    )
    return slices, rows, columns


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some voxels of a volume, as a mask in the box around them.

    A mask of the whole volume would hold a hundred times as many voxels, and each step would pass over them.

    Attributes
    ----------
    box : Box
        Where `mask` lies in the volume.
    mask : ndarray of bool
        The voxels within the box.
    """

    box: Box
    mask: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, mask: npt.NDArray[np.bool_]) -> "Part":
        """Return the part that a mask of the whole volume marks."""
        box = box_of(mask)
        return cls(box, mask[box])

    @property
    def indices(self) -> npt.NDArray[np.intp]:
        """(slice, row, column) of the voxels in the volume, of shape (n, 3)."""
        return np.asarray(np.argwhere(self.mask) + [one.start for one in self.box])

    def __and__(self, other: npt.NDArray[np.bool_]) -> "Part":
        """Return the voxels that a mask within the box marks too."""
        return Part(self.box, self.mask & other)


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One image stack: voxel values on a grid.

    Attributes
    ----------
    voxels : ndarray of float32 or uint16, shape (slices, rows, columns)
        Modality values (Rescale Slope and Intercept applied), arbitrary units. Whole numbers may be kept in
        16 bits, which is half the memory; `signal` gives them as numbers to calculate with. Made read-only.
    grid : Grid
        Their geometry. Slices run along array axis 0, which is the left-right axis for a sagittal series.

    Raises
    ------
    ValueError
        If the voxels do not fill the grid or are not all finite.
    """

    voxels: npt.NDArray[Any]
    grid: Grid

    def __post_init__(self) -> None:
        if self.voxels.shape != self.grid.shape:
            raise ValueError(f"{self.voxels.shape} voxels do not fill a grid of {self.grid.shape}")
        # Both are NaN if any value is; a mask of the finite ones would be a quarter of the volume.
        if not np.isfinite([self.voxels.min(), self.voxels.max()]).all():
            raise ValueError("a volume holds only finite values")
        self.voxels.setflags(write=False)

    def signal(self, where: Any = ...) -> npt.NDArray[np.float32]:  # noqa: ANN401 - whatever numpy takes as index
        """Return the values of a part of the volume in single precision.

        Parameters
        ----------
        where : index of an array, optional
            Everything by default; of large volumes this may be a copy of twice their size.
        """
        return np.asarray(self.voxels[where], dtype=np.float32)

    def values(self, part: Part) -> npt.NDArray[np.float32]:
        """Return the values of the voxels of a part, of shape (n,)."""
        return np.asarray(self.voxels[part.box][part.mask], dtype=np.float32)

    def digest(self) -> str:
        """SHA-256 (hex) of values and geometry; equal volumes have equal digests."""
        hasher = sha256()
        for one in self.voxels:
            hasher.update(np.ascontiguousarray(one, dtype="<f4").tobytes())
        for part in (self.grid.shape, self.grid.spacing_mm, self.grid.origin_mm, self.grid.axes):
            hasher.update(np.asarray(part, dtype="<f8").tobytes())
        return hasher.hexdigest()
