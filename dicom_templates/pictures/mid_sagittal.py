"""The mid-sagittal slice as a reader expects it: head up, face to the left, square pixels known."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import SeriesFindings
from dicom_templates.words.levels import level_names

__all__ = ["NamedOutline", "SagittalPicture", "Turn", "mid_sagittal"]

_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class NamedOutline:
    """One vertebral body on the picture.

    Attributes
    ----------
    name : str
        What to write beside it.
    points : ndarray of shape (n, 2)
        (column, row) on the picture, pixel centres at .5.
    usable : bool
        Whether it went into the result.
    """

    name: str
    points: npt.NDArray[np.float64]
    usable: bool


@dataclass(frozen=True, slots=True, eq=False)
class SagittalPicture:
    """One slice to look at.

    Attributes
    ----------
    contrast : Contrast
        T1 or T2.
    pixels : ndarray of shape (rows, columns)
        Signal.
    spacing_mm : tuple of float
        Between rows, between columns.
    outlines : tuple of NamedOutline
        From cranial to caudal.
    caption, quality : str
        The acquisition, and how good the outlines are, in a few words.
    """

    contrast: Contrast
    pixels: npt.NDArray[np.float32]
    spacing_mm: tuple[float, float]
    outlines: tuple[NamedOutline, ...]
    caption: str
    quality: str


def mid_sagittal(found: SeriesFindings, *, caption: str, quality: str, body: str) -> SagittalPicture:
    """Turn the mid-sagittal slice of a series, and the outlines on it, for display.

    Parameters
    ----------
    found : SeriesFindings
        An analysed series.
    caption, quality : str
        What to write above the picture.
    body : str
        Pattern for the name of a body whose level is not certain ("body {number}").

    Returns
    -------
    SagittalPicture
    """
    volume = found.source.volume
    pixels = volume.voxels[found.mid_slice]
    spacing = (volume.grid.spacing_mm[1], volume.grid.spacing_mm[2])
    turn = Turn.for_axes(volume.grid.axes)
    names = level_names(found, body)
    outlines = tuple(
        NamedOutline(
            names[one.level], turn.points(one.outline.points, pixels.shape), _usable(found, one.level)
        )
        for one in found.measurements
        if one.outline is not None and one.outline.slice_index == found.mid_slice
    )
    return SagittalPicture(
        contrast=found.identification.contrast,
        pixels=turn.pixels(pixels),
        spacing_mm=(spacing[1], spacing[0]) if turn.transpose else spacing,
        outlines=outlines,
        caption=caption,
        quality=quality,
    )


def _usable(found: SeriesFindings, level: object) -> bool:
    return any(region.level is level and region.usable for region in found.segmentation.regions)


@dataclass(frozen=True, slots=True)
class Turn:
    """How stored rows and columns become head up and face left.

    Attributes
    ----------
    transpose : bool
        Whether stored columns run along the spine.
    flip_rows, flip_columns : bool
        Whether what is then rows or columns runs the other way.
    """

    transpose: bool
    flip_rows: bool
    flip_columns: bool

    @classmethod
    def for_axes(cls, axes: npt.NDArray[np.float64]) -> "Turn":
        """Decide from the directions (LPS) in which rows and columns of the slice run."""
        down, across = axes[1], axes[2]
        transpose = bool(abs(across[2]) > abs(down[2]))
        if transpose:
            down, across = across, down
        # In LPS, z grows to the head and y to the back.
        return cls(transpose, flip_rows=bool(down[2] > 0), flip_columns=bool(across[1] < 0))

    def pixels(self, stored: npt.NDArray[_T]) -> npt.NDArray[_T]:
        """Turn a slice of shape (rows, columns)."""
        shown = stored.T if self.transpose else stored
        rows = slice(None, None, -1) if self.flip_rows else slice(None)
        columns = slice(None, None, -1) if self.flip_columns else slice(None)
        return shown[rows, columns]

    def points(self, stored: npt.NDArray[np.float64], shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        """Turn points (column, row) of a stored slice of that shape."""
        columns, rows = stored[:, 0], stored[:, 1]
        height, width = shape[0], shape[1]
        if self.transpose:
            columns, rows, height, width = rows, columns, width, height
        return np.stack(
            [width - columns if self.flip_columns else columns, height - rows if self.flip_rows else rows],
            axis=1,
        )
