"""A sagittal or isotropic volume in the orientation of the network: rows to the feet, columns to the back."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.reason import Reason
from analysis.domain.volume import Box, Grid, Volume, box_of
from analysis.errors import RefusedError

__all__ = ["NETWORK_MM", "SagittalView", "Window", "weights"]

Floats = npt.NDArray[np.float32]
_Marked = TypeVar("_Marked", np.uint8, np.bool_)

Stored = npt.NDArray[np.float32] | npt.NDArray[np.uint16]

Window = Box
"""A box of native voxels."""

NETWORK_MM = 1.0
"""Pixel size that the network was trained on."""

_SLAB_MM = 2.4
_LARGEST_IN_PLANE_MM = 2.0
_SMALLEST_VIEW_MM = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class SagittalView:
    """A volume in the network's orientation and pixel size.

    Attributes
    ----------
    slices : ndarray of float32, shape (slabs, rows, columns)
        Non-negative values; thin slices are averaged to slabs.
    spacing_mm : tuple of float
        Distance between slabs, rows and columns of `slices`.
    grid : Grid
        Geometry of the native voxels in the network's orientation: the voxels of the input, reordered.
    signal : ndarray of float32 or uint16, shape (slices, rows, columns)
        The values of the input on `grid`, as the volume keeps them; `values` gives them in single precision.
    order : tuple of int
        Array axes of the input that became axes 0, 1 and 2 of `grid`.
    flipped : tuple of bool
        Whether each of these axes was reversed.
    slab : int
        Number of slices in a slab.
    """

    slices: Floats
    spacing_mm: tuple[float, float, float]
    grid: Grid
    signal: Stored
    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    slab: int

    @classmethod
    def of(cls, volume: Volume) -> "SagittalView":
        """Reorient and resample a volume.

        Raises
        ------
        RefusedError
            If the volume is not sagittal and too coarse to be resliced, too small, or empty.
        """
        order, flipped = _orientation(volume.grid)
        signal = _turn(volume.voxels, order, flipped)
        grid = _turned_grid(volume.grid, order, flipped)
        _check(grid, signal)
        slab = max(1, round(_SLAB_MM / grid.spacing_mm[0])) if grid.spacing_mm[0] < _SLAB_MM / 1.5 else 1
        slices = _in_plane(signal, grid, slab)
        slices -= min(0.0, float(slices.min()))
        return cls(
            slices, (grid.spacing_mm[0] * slab, NETWORK_MM, NETWORK_MM), grid, signal, order, flipped, slab
        )

    @property
    def everything(self) -> Window:
        """The window that holds all voxels of `grid`."""
        slices, rows, columns = self.grid.shape
        return slice(0, slices), slice(0, rows), slice(0, columns)

    def window(self, box: Window) -> Window:
        """Return the native voxels that a box of slabs, rows and columns of `slices` covers."""
        steps = (self.slab, *(NETWORK_MM / step for step in self.grid.spacing_mm[1:]))
        slices, rows, columns = (
            slice(max(0, int(one.start * step)), min(length, int(np.ceil(one.stop * step))))
            for one, step, length in zip(box, steps, self.grid.shape, strict=True)
        )
        return slices, rows, columns

    def part(self, window: Window) -> Grid:
        """Return the geometry of a window."""
        return self.grid.part(window)

    def values(self) -> Floats:
        """Return `signal` in single precision; of whole numbers this is a copy twice their size."""
        return _single(self.signal)

    def to_native(self, maps: Floats, window: Window | None = None) -> Floats:
        """Interpolate maps of shape (slabs, rows, columns) to the voxels of `grid` or of a window."""
        within = window or self.everything
        fine = np.empty([one.stop - one.start for one in within], np.float32)
        for place, one in zip(fine, self.native_slices(maps, within), strict=True):
            place[:] = one
        return fine

    def native_slices(self, maps: Floats, window: Window) -> Iterator[Floats]:
        """Yield the slices of `to_native` one by one; together they are as large as the image."""
        slices, rows, columns = self.grid.shape
        between = _linear(len(maps), slices, self.slab)[window[0]]
        down = weights(maps.shape[1], NETWORK_MM, rows, self.grid.spacing_mm[1])[window[1]]
        across = weights(maps.shape[2], NETWORK_MM, columns, self.grid.spacing_mm[2])[window[2]]
        for shares in between:
            near = np.flatnonzero(shares)
            yield np.asarray(down @ np.tensordot(shares[near], maps[near], axes=1) @ across.T)

    def to_slabs(self, maps: Floats) -> Floats:
        """Resample maps on the voxels of `grid` to the slabs and pixels of the network."""
        return _in_plane(maps, self.grid, self.slab)

    def sample(self, slab: int, rows_mm: Floats, columns_mm: Floats) -> Floats:
        """Interpolate the signal of a slab at points, in mm from the corner of the image."""
        _, rows, columns = self.grid.spacing_mm
        points = np.stack([rows_mm / rows - 0.5, columns_mm / columns - 0.5])
        slices = self.signal[slab * self.slab : (slab + 1) * self.slab]
        return np.asarray(
            np.mean(
                [ndimage.map_coordinates(_single(one), points, order=1, mode="nearest") for one in slices],
                axis=0,
            )
        )

    def nearest(self, labels: npt.NDArray[np.uint8], window: Window | None = None) -> npt.NDArray[np.uint8]:
        """Resample labels of shape (slabs, rows, columns) like `to_native`, but by nearest neighbour."""
        within = window or self.everything
        slices = np.minimum(np.arange(self.grid.shape[0]) // self.slab, len(labels) - 1)
        rows, columns = (
            np.minimum(
                ((np.arange(length) + 0.5) * step / NETWORK_MM).astype(np.intp), labels.shape[axis] - 1
            )
            for axis, length, step in zip((1, 2), self.grid.shape[1:], self.grid.spacing_mm[1:], strict=True)
        )
        return np.asarray(labels[np.ix_(slices[within[0]], rows[within[1]], columns[within[2]])])

    def from_input(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Reorder an array on the voxels of the input to `grid`; the inverse of `to_input`."""
        return _turn(array, self.order, self.flipped)

    def to_input(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Reorder an array on `grid` to the voxels of the input."""
        array = np.flip(array, _flipped_axes(self.flipped))
        return np.ascontiguousarray(np.transpose(array, np.argsort(self.order)))

    def marked_on_input(self, marked: npt.NDArray[_Marked], window: Window) -> npt.NDArray[_Marked]:
        """Return labels or a mask of a window on the voxels of the input, and 0 outside the window."""
        shape = [0, 0, 0]
        for axis, length in zip(self.order, self.grid.shape, strict=True):
            shape[axis] = length
        whole = np.zeros(shape, marked.dtype)
        # Nothing is written beside what is marked: untouched pages of new zeros take no memory.
        box = box_of(marked)
        self.from_input(whole)[window][box] = marked[box]
        return whole


def _orientation(grid: Grid) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Return the array axes nearest to right-left, head-foot and front-back, and whether each is reversed."""
    towards = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    cosines = grid.axes @ towards.T
    across = int(np.argmax(np.abs(cosines[:, 0])))
    others = [axis for axis in range(3) if axis != across]
    down = max(others, key=lambda axis: abs(cosines[axis, 1]))
    back = next(axis for axis in others if axis != down)
    order = (across, down, back)
    flips = tuple(bool(cosines[axis, wanted] < 0) for wanted, axis in enumerate(order))
    return order, (flips[0], flips[1], flips[2])


def _turn(
    array: npt.NDArray[Any], order: tuple[int, int, int], flipped: tuple[bool, bool, bool]
) -> npt.NDArray[Any]:
    # A view: a copy of a fine volume would be larger than all that is derived from it.
    return np.flip(np.transpose(array, order), _flipped_axes(flipped))


def _flipped_axes(flipped: tuple[bool, bool, bool]) -> tuple[int, ...]:
    return tuple(axis for axis in range(3) if flipped[axis])


def _turned_grid(grid: Grid, order: tuple[int, int, int], flipped: tuple[bool, bool, bool]) -> Grid:
    first = [0, 0, 0]
    axes = grid.axes[list(order)].copy()
    for position, axis in enumerate(order):
        if flipped[position]:
            first[axis] = grid.shape[axis] - 1
            axes[position] *= -1
    origin = grid.to_mm(first)
    return Grid(
        shape=(grid.shape[order[0]], grid.shape[order[1]], grid.shape[order[2]]),
        spacing_mm=(grid.spacing_mm[order[0]], grid.spacing_mm[order[1]], grid.spacing_mm[order[2]]),
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        axes=axes,
    )


def _single(stored: Stored) -> Floats:
    """Return values in single precision, in the order in memory that they have: sums depend on it."""
    if stored.dtype == np.float32:
        return np.asarray(stored, dtype=np.float32)
    reversed_axes = tuple(axis for axis, step in enumerate(stored.strides) if step < 0)
    return np.flip(np.flip(stored, reversed_axes).astype(np.float32), reversed_axes)


def _check(grid: Grid, signal: Stored) -> None:
    reasons = []
    if max(grid.spacing_mm[1:]) > _LARGEST_IN_PLANE_MM:
        _, rows_mm, columns_mm = grid.spacing_mm
        reasons.append(Reason("image_too_coarse", rows_mm=rows_mm, columns_mm=columns_mm))
    view = [length * step for length, step in zip(grid.shape, grid.spacing_mm, strict=True)]
    if min(view[1:]) < _SMALLEST_VIEW_MM:
        reasons.append(Reason("view_too_small", rows_mm=view[1], columns_mm=view[2]))
    if not signal.max() > signal.min():
        reasons.append(Reason("image_empty"))
    if reasons:
        raise RefusedError(*reasons)


def _in_plane(signal: Stored, grid: Grid, slab: int) -> Floats:
    """Average slices of the pixels of `grid` to slabs, and resample these to the pixels of the network."""
    _, rows, columns = grid.shape
    height = round(rows * grid.spacing_mm[1] / NETWORK_MM)
    width = round(columns * grid.spacing_mm[2] / NETWORK_MM)
    down = weights(rows, grid.spacing_mm[1], height, NETWORK_MM)
    across = weights(columns, grid.spacing_mm[2], width, NETWORK_MM)
    # Slab by slab, because a copy of the whole volume is larger than everything else together.
    slabs = (_single(signal[start : start + slab]).mean(axis=0) for start in range(0, len(signal), slab))
    return np.stack([np.asarray(down @ one @ across.T, dtype=np.float32) for one in slabs])


def weights(inputs: int, input_mm: float, outputs: int, output_mm: float) -> Floats:
    """Return the weights of linear interpolation along an axis, of shape (outputs, inputs).

    Both grids have their edges at the same position; the triangle is as wide as the coarser spacing.
    """
    at = (np.arange(outputs) + 0.5) * output_mm / input_mm - 0.5
    reach = max(1.0, output_mm / input_mm)
    weights = np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(inputs)) / reach)
    total = weights.sum(axis=1, keepdims=True)
    return np.asarray(weights / np.where(total > 0, total, 1.0), dtype=np.float32)


def _linear(slabs: int, slices: int, slab: int) -> Floats:
    """Return weights of shape (slices, slabs) that interpolate between the centres of the slabs."""
    at = np.clip((np.arange(slices) - (slab - 1) / 2) / slab, 0, slabs - 1)
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(slabs))), dtype=np.float32)
