"""The mid-sagittal slice of a series for display: head up, face to the left."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from analysis.domain.findings import Findings, SeriesFindings
from analysis.domain.segmentation import Level
from dicom_templates.words.levels import level_names
from dicom_templates.words.study_report import SeriesCaption, StudyReport
from dicom_templates.words.texts import Texts

__all__ = ["NamedOutline", "SagittalPicture", "Turn", "mid_sagittal", "sagittal_pictures"]

_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class NamedOutline:
    """One vertebral body on the picture.

    Attributes
    ----------
    name : str
        Its label.
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
    """The mid-sagittal slice of one series, with its outlines.

    Attributes
    ----------
    caption : SeriesCaption
        The text above it.
    pixels : ndarray of shape (rows, columns)
        Signal.
    spacing_mm : tuple of float
        Between the centres of rows and of columns.
    outlines : tuple of NamedOutline
        From cranial to caudal.
    """

    caption: SeriesCaption
    pixels: npt.NDArray[np.float32]
    spacing_mm: tuple[float, float]
    outlines: tuple[NamedOutline, ...]


def sagittal_pictures(findings: Findings, report: StudyReport) -> tuple[SagittalPicture, ...]:
    """Make the picture of every analysed series.

    Parameters
    ----------
    findings : Findings
        What the analysis found.
    report : StudyReport
        The same findings in words.

    Returns
    -------
    tuple of SagittalPicture
        In the order of the findings.
    """
    return tuple(
        mid_sagittal(found, caption, report.texts)
        for found, caption in zip(findings.series, report.captions, strict=True)
    )


def mid_sagittal(found: SeriesFindings, caption: SeriesCaption, texts: Texts) -> SagittalPicture:
    """Orient the mid-sagittal slice of a series, and the outlines on it, for display.

    Parameters
    ----------
    found : SeriesFindings
        An analysed series.
    caption : SeriesCaption
        The text above the picture.
    texts : Texts
        The language of numbered bodies.

    Returns
    -------
    SagittalPicture
    """
    volume = found.source.volume
    pixels = volume.signal(found.mid_slice)
    spacing = (volume.grid.spacing_mm[1], volume.grid.spacing_mm[2])
    turn = Turn.for_axes(volume.grid.axes)
    names = level_names(found, texts)
    outlines = tuple(
        NamedOutline(
            names[one.level], turn.points(one.outline.points, pixels.shape), _usable(found, one.level)
        )
        for one in found.measurements
        if one.outline is not None and one.outline.slice_index == found.mid_slice
    )
    return SagittalPicture(
        caption=caption,
        pixels=turn.pixels(pixels),
        spacing_mm=(spacing[1], spacing[0]) if turn.transpose else spacing,
        outlines=outlines,
    )


def _usable(found: SeriesFindings, level: Level) -> bool:
    region = found.segmentation.region(level)
    return region is not None and region.usable


@dataclass(frozen=True, slots=True)
class Turn:
    """Transposition and flips that bring a stored sagittal slice to head up and face left.

    Attributes
    ----------
    transpose : bool
        Whether stored columns run along the spine.
    flip_rows, flip_columns : bool
        Whether rows or columns are reversed after that.
    """

    transpose: bool
    flip_rows: bool
    flip_columns: bool

    @classmethod
    def for_axes(cls, axes: npt.NDArray[np.float64]) -> "Turn":
        """Choose the turn for a grid with these axes: LPS directions of slices, rows and columns."""
        down, across = axes[1], axes[2]
        transpose = bool(abs(across[2]) > abs(down[2]))
        if transpose:
            down, across = across, down
        # In LPS, z grows to the head and y to the back.
        return cls(transpose, flip_rows=bool(down[2] > 0), flip_columns=bool(across[1] < 0))

    def pixels(self, stored: npt.NDArray[_T]) -> npt.NDArray[_T]:
        """Orient a slice of shape (rows, columns)."""
        shown = stored.T if self.transpose else stored
        rows = slice(None, None, -1) if self.flip_rows else slice(None)
        columns = slice(None, None, -1) if self.flip_columns else slice(None)
        return shown[rows, columns]

    def points(self, stored: npt.NDArray[np.float64], shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        """Orient points (column, row) of a stored slice of that shape."""
        columns, rows = stored[:, 0], stored[:, 1]
        height, width = shape[0], shape[1]
        if self.transpose:
            columns, rows, height, width = rows, columns, width, height
        return np.stack(
            [width - columns if self.flip_columns else columns, height - rows if self.flip_rows else rows],
            axis=1,
        )
