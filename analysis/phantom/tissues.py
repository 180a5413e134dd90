"""Tissue classes and maps of the simulated patient, and the canvas on which they are painted."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.domain.segmentation import Level

__all__ = ["Box", "Floats", "Mask", "Resolution", "Tissue", "TissueCanvas", "TissueMaps", "smooth_noise"]

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]


class Tissue(IntEnum):
    """Tissue class of the water in a voxel, which determines its relaxation times (`phantom.signal`)."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    LIGAMENT = 4
    CORTEX = 5
    MARROW = 6
    CSF = 7
    NERVE = 8
    BLOOD = 9
    BOWEL = 10
    FLUID = 11
    ANGIOMA = 12
    OEDEMA = 13
    VEIN = 14
    DISC = 16
    """Nucleus of the first disc; each disc has three values: nucleus, inner and outer annulus."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Spacing of the canvas.

    Attributes
    ----------
    lateral_mm : float
        Distance between planes.
    in_plane_mm : float
        Distance between rows and between columns.
    """

    lateral_mm: float = 1.5
    in_plane_mm: float = 0.7


@dataclass(frozen=True, slots=True, eq=False)
class TissueMaps:
    """The simulated anatomy, point by point.

    Attributes
    ----------
    tissue : ndarray of uint8, shape (planes, rows, columns)
        `Tissue` values. Planes run from the patient's left to right, rows to the feet, columns to the back.
    water, fat : ndarray of float32, same shape
        Proton densities.
    labels : ndarray of uint8, same shape
        `Level` values of the vertebral bodies.
    lateral_mm, back_mm, up_mm : ndarray
        Positions of planes, columns and rows from the centre of L3.
    wall_mm : ndarray, one per row
        Position of the posterior wall of the vertebral bodies.
    """

    tissue: npt.NDArray[np.uint8]
    water: Floats
    fat: Floats
    labels: npt.NDArray[np.uint8]
    lateral_mm: Floats
    back_mm: Floats
    up_mm: Floats
    wall_mm: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """A part of the canvas, with coordinates that broadcast over (planes, rows, columns).

    Attributes
    ----------
    where : tuple of slice
        Its position in the canvas.
    x, y, z : ndarray
        Coordinates: lateral (left is positive), towards the back, up; in mm.
    """

    where: tuple[slice, slice, slice]
    x: Floats
    y: Floats
    z: Floats

    @property
    def shape(self) -> tuple[int, int, int]:
        """Its size in voxels."""
        return (self.x.size, self.z.size, self.y.size)


class TissueCanvas:
    """Tissue maps while they are painted; later strokes cover earlier ones.

    Parameters
    ----------
    resolution : Resolution
        Resolution of the maps.
    """

    HALF_WIDTH_MM = 49.0
    UP_MM = (-172.0, 172.0)
    BACK_MM = (-172.0, 138.0)

    def __init__(self, resolution: Resolution) -> None:
        self.resolution = resolution
        step, lateral = resolution.in_plane_mm, resolution.lateral_mm
        planes = 2 * int(self.HALF_WIDTH_MM / lateral) + 1
        self.x: Floats = ((planes // 2 - np.arange(planes)) * lateral).astype(np.float32)
        self.z: Floats = np.arange(self.UP_MM[1], self.UP_MM[0], -step, dtype=np.float32)
        self.y: Floats = np.arange(self.BACK_MM[0], self.BACK_MM[1], step, dtype=np.float32)
        shape = (self.x.size, self.z.size, self.y.size)
        self.tissue = np.zeros(shape, np.uint8)
        self.water = np.zeros(shape, np.float32)
        self.fat = np.zeros(shape, np.float32)
        self.labels = np.zeros(shape, np.uint8)

    def box(
        self,
        centre: tuple[float, float, float] | None = None,
        half: tuple[float, float, float] = (np.inf, np.inf, np.inf),
    ) -> Box | None:
        """Return the part within `half` (lateral, back, up; in mm) of `centre`, or None if it is outside."""
        x0, y0, z0 = centre or (0.0, 0.0, 0.0)
        where = []
        for axis, middle, reach in ((self.x, x0, half[0]), (self.z, z0, half[2]), (self.y, y0, half[1])):
            inside = np.flatnonzero(np.abs(axis - middle) <= reach)
            if inside.size == 0:
                return None
            where.append(slice(int(inside[0]), int(inside[-1]) + 1))
        planes, rows, columns = where
        return Box(
            (planes, rows, columns),
            self.x[planes][:, None, None],
            self.y[columns][None, None, :],
            self.z[rows][None, :, None],
        )

    def paint(
        self,
        box: Box,
        mask: Mask,
        tissue: int,
        water: float | Floats,
        fat: float | Floats = 0.0,
    ) -> None:
        """Paint the voxels of `mask` within `box`, and remove their labels."""
        mask = np.broadcast_to(mask, box.shape)
        np.copyto(self.tissue[box.where], np.uint8(tissue), where=mask)
        np.copyto(self.water[box.where], water, where=mask, casting="same_kind")
        np.copyto(self.fat[box.where], fat, where=mask, casting="same_kind")
        np.copyto(self.labels[box.where], np.uint8(0), where=mask)

    def label(self, box: Box, mask: Mask, level: Level | None) -> None:
        """Label the voxels of `mask` within `box`."""
        np.copyto(self.labels[box.where], np.uint8(level or 0), where=mask)

    def finish(self, wall_mm: Floats) -> TissueMaps:
        """Return the finished maps, which are read-only from then on."""
        for painted in (self.tissue, self.water, self.fat, self.labels):
            painted.setflags(write=False)
        return TissueMaps(
            self.tissue, self.water, self.fat, self.labels, self.x, self.y, self.z, wall_mm.astype(np.float32)
        )


def smooth_noise(
    rng: np.random.Generator, box: Box, resolution: Resolution, width_mm: tuple[float, float, float]
) -> Floats:
    """Return a Gaussian random field of mean 0 and standard deviation about 1 over a box.

    Parameters
    ----------
    rng : Generator
        Source of all random values.
    box : Box
        Part of the canvas.
    resolution : Resolution
        Resolution of the canvas.
    width_mm : tuple of float
        Correlation lengths (lateral, up, towards the back).

    Notes
    -----
    White noise on a lattice as coarse as the correlation length is interpolated, which is much faster than
    filtering white noise at full resolution.
    """
    steps = (resolution.lateral_mm, resolution.in_plane_mm, resolution.in_plane_mm)
    axes = [
        np.arange(size, dtype=np.float32) * np.float32(min(step / width, 1.0))
        for size, step, width in zip(box.shape, steps, width_mm, strict=True)
    ]
    field: Floats = rng.standard_normal([int(axis[-1]) + 2 for axis in axes], dtype=np.float32)
    # From the last axis to the first, so that only the last step has the full size.
    field = _between(_between(field, axes[2], axis=2), axes[1], axis=1)
    filled = np.empty(box.shape, np.float32)
    # Plane by plane, so that the data stay in the processor's cache.
    for plane, low, near, far in zip(filled, *_weights(axes[0]), strict=True):
        np.multiply(field[low], near, out=plane)
        np.add(plane, field[low + 1] * far, out=plane)
    return filled


def _between(lattice: Floats, at: Floats, *, axis: int) -> Floats:
    """Interpolate a lattice of noise along one axis."""
    low, near, far = _weights(at)
    shape = [-1 if n == axis else 1 for n in range(3)]
    read = np.take(lattice, low, axis=axis) * near.reshape(shape)
    read += np.take(lattice, low + 1, axis=axis) * far.reshape(shape)
    return read


def _weights(at: Floats) -> tuple[npt.NDArray[np.intp], Floats, Floats]:
    """Return the lower neighbour of each point and the weights of both, whose squares sum to 1.

    The interpolated noise then has the same variance everywhere.
    """
    low = at.astype(np.intp)
    part = at - low.astype(np.float32)
    scale = np.sqrt(part**2 + (1.0 - part) ** 2)
    return low, (1.0 - part) / scale, part / scale
