"""An image stack and its grid in the patient coordinate system."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

__all__ = ["Grid", "Volume", "volume_ml"]

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


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One image stack: voxel values on a grid.

    Attributes
    ----------
    voxels : ndarray of shape (slices, rows, columns)
        Modality values (Rescale Slope and Intercept applied), arbitrary units. Made read-only.
    grid : Grid
        Their geometry. Slices run along array axis 0, which is the left-right axis for a sagittal series.

    Raises
    ------
    ValueError
        If the voxels do not fill the grid or are not all finite.
    """

    voxels: npt.NDArray[np.float32]
    grid: Grid

    def __post_init__(self) -> None:
        if self.voxels.shape != self.grid.shape:
            raise ValueError(f"{self.voxels.shape} voxels do not fill a grid of {self.grid.shape}")
        if not np.isfinite(self.voxels).all():
            raise ValueError("a volume holds only finite values")
        self.voxels.setflags(write=False)

    def digest(self) -> str:
        """SHA-256 (hex) of values and geometry; equal volumes have equal digests."""
        hasher = sha256(np.ascontiguousarray(self.voxels, dtype="<f4").tobytes())
        for part in (self.grid.shape, self.grid.spacing_mm, self.grid.origin_mm, self.grid.axes):
            hasher.update(np.asarray(part, dtype="<f8").tobytes())
        return hasher.hexdigest()
