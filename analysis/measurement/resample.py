"""Resampling of each slice to square pixels of a given size."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.volume import Box, Grid

__all__ = [
    "continued",
    "covered",
    "in_plane_grid",
    "labels_on",
    "nearest_inside",
    "signal_on",
    "spline_reach",
]

_SPLINE_PIXELS = 64
"""Beyond it no pixel changes a cubic B-spline in double precision: its part falls to 0.27 with each step."""


def in_plane_grid(grid: Grid, pixel_mm: float) -> Grid:
    """Return a grid of square pixels over the same field of view, with the same slices.

    Parameters
    ----------
    grid : Grid
        The original grid.
    pixel_mm : float
        Side of the new pixels.

    Returns
    -------
    Grid
        With the same centre, so that a remainder of the field of view is shared by both edges.
    """
    spacing_mm = (grid.spacing_mm[0], pixel_mm, pixel_mm)
    rows, columns = (
        max(1, round(count * old / pixel_mm))
        for count, old in zip(grid.shape[1:], grid.spacing_mm[1:], strict=True)
    )
    shape = (grid.shape[0], rows, columns)
    centre_mm = grid.to_mm([(count - 1) / 2 for count in grid.shape])
    half_mm = np.array([(count - 1) / 2 * step for count, step in zip(shape, spacing_mm, strict=True)])
    left, back, up = (centre_mm - half_mm @ grid.axes).tolist()
    return Grid(shape, spacing_mm, (left, back, up), grid.axes)


def continued(
    voxels: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_], grid: Grid
) -> npt.NDArray[np.float32]:
    """Replace what is outside a mask by the nearest value of the mask in the same slice.

    A spline runs through all pixels of a slice; of a signal continued in this way it depends on those of the
    mask alone.

    Parameters
    ----------
    voxels : ndarray of float32, shape (slices, rows, columns)
        The signal.
    inside : ndarray of bool, same shape
        The mask.
    grid : Grid
        Their grid.

    Returns
    -------
    ndarray of float32
        A copy; 0 in slices without mask.
    """
    out = np.zeros_like(voxels)
    for index in np.flatnonzero(inside.any(axis=(1, 2))):
        out[index] = voxels[index][nearest_inside(inside[index], grid.spacing_mm[1:])]
    return out


def nearest_inside(
    mask: npt.NDArray[np.bool_], spacing_mm: tuple[float, ...] = (1.0, 1.0)
) -> tuple[npt.NDArray[np.int32], ...]:
    """Return, as an index of a slice, the nearest pixel of its mask for every pixel.

    Parameters
    ----------
    mask : ndarray of bool, shape (rows, columns)
        With at least one pixel.
    spacing_mm : tuple of float
        Distance between rows and between columns; only their ratio matters.
    """
    nearest = ndimage.distance_transform_edt(
        ~mask, sampling=spacing_mm, return_distances=False, return_indices=True
    )
    return tuple(nearest)


def spline_reach(box: Box, shape: tuple[int, int, int]) -> Box:
    """Return the box of voxels on which the spline in a box depends: in plane, as far as it can be told."""
    rows, columns = (
        slice(max(0, one.start - _SPLINE_PIXELS), min(length, one.stop + _SPLINE_PIXELS))
        for one, length in zip(box[1:], shape[1:], strict=True)
    )
    return box[0], rows, columns


def covered(target: Grid, grid: Grid, box: Box) -> Box:
    """Return the box of pixels of `target` that take their label from a box of `grid`.

    Parameters
    ----------
    target : Grid
        The result of `in_plane_grid` for `grid`.
    grid : Grid
        The original grid.
    box : Box
        Of voxels of `grid`.

    Returns
    -------
    Box
        Not empty: with at least one row and column.
    """
    rows, columns = (
        _span(np.flatnonzero((one.start <= at) & (at < one.stop)))
        for at, one in zip(_nearest(target, grid), box[1:], strict=True)
    )
    return box[0], rows, columns


def _span(found: npt.NDArray[np.intp]) -> slice:
    return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 1)


def signal_on(
    target: Grid,
    voxels: npt.NDArray[np.float32],
    grid: Grid,
    within: Box | None = None,
    corner: tuple[int, int] = (0, 0),
) -> npt.NDArray[np.float32]:
    """Interpolate a signal by cubic B-splines within its slices.

    Parameters
    ----------
    target : Grid
        The result of `in_plane_grid` for `grid`.
    voxels : ndarray of float32, shape (slices, rows, columns)
        The signal on slices of `grid`; mirrored beyond its edges.
    grid : Grid
        The original grid.
    within : Box, optional
        The rows and columns of `target` that are wanted; by default all.
    corner : tuple of int
        Row and column of the first of `voxels` on `grid`, if they are a part of it.

    Returns
    -------
    ndarray of float32
        The signal on the rows and columns of `target` that are wanted.
    """
    first, step = _positions(target, grid)
    every = tuple(slice(0, length) for length in target.shape[1:]) if within is None else within[1:]
    # Of the pixels as they lie on the whole grid, so that a part of it gives the same values to the last bit.
    rows, columns = (
        (np.arange(wanted.start, wanted.stop) + start / by) * by - begin
        for start, by, wanted, begin in zip(first, step, every, corner, strict=True)
    )
    at = np.meshgrid(rows, columns, indexing="ij")
    out = np.empty((len(voxels), len(rows), len(columns)), dtype=np.float32)
    for place, slice_ in zip(out, voxels, strict=True):
        ndimage.map_coordinates(slice_, at, output=place, order=3, mode="mirror")
    return out


def labels_on(
    target: Grid,
    labels: npt.NDArray[Any],
    grid: Grid,
    within: Box | None = None,
    corner: tuple[int, int] = (0, 0),
) -> npt.NDArray[Any]:
    """Resample labels by nearest neighbour; parameters as for `signal_on`."""
    rows, columns = _nearest(target, grid)
    if within is not None:
        rows, columns = rows[within[1]], columns[within[2]]
    return labels[:, rows[:, None] - corner[0], columns - corner[1]]


def _nearest(target: Grid, grid: Grid) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the nearest row of `grid` of each row of `target`, and the same for the columns."""
    first, step = _positions(target, grid)
    rows, columns = (
        np.clip(np.rint(start + by * np.arange(count)), 0, last - 1).astype(np.intp)
        for start, by, count, last in zip(first, step, target.shape[1:], grid.shape[1:], strict=True)
    )
    return rows, columns


def _positions(target: Grid, grid: Grid) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (row, column) of the first target pixel in pixels of `grid`, and the step to the next one."""
    first = grid.to_index(target.origin_mm)[1:]
    return first, np.asarray(target.spacing_mm[1:]) / np.asarray(grid.spacing_mm[1:])
