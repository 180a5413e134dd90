"""Conversion between our arrays and SimpleITK images.

Our arrays are (slices, rows, columns), and a `Grid` names its axes in that order. SimpleITK uses the reverse
order, (columns, rows, slices), and keeps directions as the columns of a matrix. All conversions are here, so
that the reversal is written once.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK

from analysis.domain.reason import Reason
from analysis.domain.volume import Grid
from analysis.errors import RefusedError

__all__ = ["grid_of", "read_labels", "to_array", "to_image", "write"]


def to_image(array: npt.NDArray[Any], grid: Grid) -> SimpleITK.Image:
    """Wrap an array as an image in the patient's space.

    Parameters
    ----------
    array : ndarray of shape (slices, rows, columns)
        Voxel values or labels; booleans become 0 and 1. Copied.
    grid : Grid
        Geometry of the array.

    Returns
    -------
    SimpleITK.Image
        Image of size (columns, rows, slices).

    Raises
    ------
    ValueError
        If the array does not fill the grid.
    """
    if array.shape != grid.shape:
        raise ValueError(f"{array.shape} voxels do not fill a grid of {grid.shape}")
    image = SimpleITK.GetImageFromArray(array.astype(np.uint8) if array.dtype == np.bool_ else array)
    image.SetSpacing([float(length) for length in reversed(grid.spacing_mm)])
    image.SetOrigin([float(position) for position in grid.origin_mm])
    # Row n of `axes` is array axis n; ITK wants column m for its axis m, in reverse order.
    image.SetDirection(grid.axes[::-1].T.ravel().tolist())
    return image


def to_array(image: SimpleITK.Image) -> npt.NDArray[Any]:
    """Return the voxels of an image as an array of shape (slices, rows, columns), copied."""
    return np.asarray(SimpleITK.GetArrayFromImage(image))


def grid_of(image: SimpleITK.Image) -> Grid:
    """Return the grid of an image; the inverse of `to_image`.

    Parameters
    ----------
    image : SimpleITK.Image
        Three-dimensional.

    Returns
    -------
    Grid
        Geometry in our order of axes.
    """
    columns, rows, slices = image.GetSize()
    across_columns, across_rows, across_slices = image.GetSpacing()
    direction = np.asarray(image.GetDirection(), dtype=np.float64).reshape(3, 3)
    return Grid(
        shape=(slices, rows, columns),
        spacing_mm=(across_slices, across_rows, across_columns),
        origin_mm=image.GetOrigin(),
        axes=direction.T[::-1],
    )


def read_labels(path: Path) -> tuple[npt.NDArray[np.int32], Grid]:
    """Read a mask, such as a NIfTI file, into LPS coordinates.

    Parameters
    ----------
    path : Path
        File of a three-dimensional image.

    Returns
    -------
    labels : ndarray of int32, shape (slices, rows, columns)
        Label values.
    grid : Grid
        Geometry of the mask.

    Raises
    ------
    RefusedError
        If the file cannot be read, is not three-dimensional, or holds fractions.
    """
    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise RefusedError(Reason("mask_damaged")) from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise RefusedError(Reason("mask_not_solid"))
    values = to_array(image)
    labels = values.astype(np.int32)
    if not np.array_equal(labels, values):
        raise RefusedError(Reason("mask_fractions"))
    return labels, grid_of(image)


def write(path: Path, array: npt.NDArray[Any], grid: Grid) -> None:
    """Write an array in the format that the file name implies (`image.nii.gz`), without other metadata."""
    SimpleITK.WriteImage(to_image(array, grid), str(path))
