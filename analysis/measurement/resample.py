"""Resampling of each slice to square pixels of a given size."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.volume import Grid

__all__ = ["continued", "in_plane_grid", "labels_on", "nearest_inside", "signal_on"]


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


def signal_on(target: Grid, voxels: npt.NDArray[np.float32], grid: Grid) -> npt.NDArray[np.float32]:
    """Interpolate a signal by cubic B-splines within its slices.

    Parameters
    ----------
    target : Grid
        The result of `in_plane_grid` for `grid`.
    voxels : ndarray of float32, shape (slices, rows, columns)
        The signal on `grid`; mirrored beyond its edges.
    grid : Grid
        The original grid.

    Returns
    -------
    ndarray of float32
        The signal on `target`.
    """
    first, step = _positions(target, grid)
    out = np.empty(target.shape, dtype=np.float32)
    for index, slice_ in enumerate(voxels):
        ndimage.affine_transform(
            slice_,
            step,
            offset=first,
            output=out[index],
            output_shape=target.shape[1:],
            order=3,
            mode="mirror",
        )
    return out


def labels_on(target: Grid, labels: npt.NDArray[Any], grid: Grid) -> npt.NDArray[Any]:
    """Resample labels by nearest neighbour; parameters as for `signal_on`."""
    first, step = _positions(target, grid)
    rows, columns = (
        np.clip(np.rint(start + by * np.arange(count)), 0, last - 1).astype(int)
        for start, by, count, last in zip(first, step, target.shape[1:], labels.shape[1:], strict=True)
    )
    return labels[:, rows[:, None], columns]


def _positions(target: Grid, grid: Grid) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (row, column) of the first target pixel in pixels of `grid`, and the step to the next one."""
    first = grid.to_index(target.origin_mm)[1:]
    return first, np.asarray(target.spacing_mm[1:]) / np.asarray(grid.spacing_mm[1:])
