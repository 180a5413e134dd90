"""A region of a slice on the canvas, without distortion, and labels and rulers on it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dicom_templates.pictures.canvas import Canvas, Colour, Point
from dicom_templates.pictures.palette import BACKGROUND, BRIGHT

__all__ = ["SliceView", "draw_label", "draw_ruler", "draw_sides"]

_WINDOW_PERCENTILES = (1.0, 99.5)
_MARGIN = 1.22
"""Ratio of the height that is shown to the height that must be visible."""


@dataclass(frozen=True, slots=True)
class SliceView:
    """The region of a slice that fills a rectangle, and the mapping from pixels to it.

    Attributes
    ----------
    corner, size : tuple of float
        Of the rectangle, in units of the layout.
    rows, columns : slice
        The region.
    units_per_mm : float
        Units of the layout per millimetre.
    """

    corner: Point
    size: Point
    rows: slice
    columns: slice
    units_per_mm: float

    @classmethod
    def fit(
        cls,
        shape: tuple[int, ...],
        spacing_mm: tuple[float, float],
        points: npt.NDArray[np.float64] | None,
        corner: Point,
        size: Point,
    ) -> "SliceView":
        """Choose the region around given points that has the aspect ratio of a rectangle.

        Parameters
        ----------
        shape : tuple of int
            (rows, columns) of the slice.
        spacing_mm : tuple of float
            Between the centres of rows and of columns.
        points : ndarray of shape (n, 2), or None
            (column, row) of what must be visible; None for the middle of the slice.
        corner, size : tuple of float
            Of the rectangle, in units of the layout.
        """
        row_mm, column_mm = spacing_mm
        rows, columns = shape
        if points is None:
            centre, tall = (columns / 2, rows / 2), rows * row_mm
        else:
            low, high = points.min(axis=0), points.max(axis=0)
            centre = (float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2)
            tall = _MARGIN * float(high[1] - low[1]) * row_mm
        tall = min(tall, rows * row_mm, columns * column_mm * size[1] / size[0])
        wide = tall * size[0] / size[1]
        shown = _window(centre[1], tall / row_mm, rows)
        return cls(
            corner,
            size,
            shown,
            _window(centre[0], wide / column_mm, columns),
            size[1] / (shown.stop - shown.start) / row_mm,
        )

    def grey(
        self, pixels: npt.NDArray[np.float32], window: tuple[float, float] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Return the region as grey levels, in a window of its own percentiles unless one is given."""
        return _grey_levels(pixels[self.rows, self.columns], window)

    def to_canvas(self, points: npt.NDArray[np.float64]) -> list[Point]:
        """Return points (column, row) of the slice on the canvas."""
        across = self.size[0] / (self.columns.stop - self.columns.start)
        down = self.size[1] / (self.rows.stop - self.rows.start)
        x = self.corner[0] + (points[:, 0] - self.columns.start) * across
        y = self.corner[1] + (points[:, 1] - self.rows.start) * down
        return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]


def _window(centre: float, length: float, limit: int) -> slice:
    length = min(round(length), limit)
    start = min(max(round(centre - length / 2), 0), limit - length)
    return slice(start, start + length)


def _grey_levels(
    part: npt.NDArray[np.float32], window: tuple[float, float] | None = None
) -> npt.NDArray[np.uint8]:
    """Scale signal to grey levels, from black at the lower end of the window to white at the upper."""
    low, high = window or (float(one) for one in np.percentile(part, _WINDOW_PERCENTILES))
    levels = np.clip((part - low) / max(high - low, 1e-6), 0.0, 1.0)
    return np.asarray(np.round(255 * levels), dtype=np.uint8)


def draw_label(canvas: Canvas, words: str, beside: Point, colour: Colour) -> None:
    """Write a label to the left of a point, on a dark background."""
    left, middle = beside
    width = canvas.width_of(words, size=13, bold=True)
    canvas.box((left - width - 15, middle - 10), (width + 9, 20), fill=BACKGROUND, radius=4)
    canvas.text((left - 10, middle), words, size=13, colour=colour, bold=True, anchor="rm")


def draw_ruler(canvas: Canvas, view: SliceView) -> None:
    """Draw a ruler of 5 cm into the lower right corner."""
    length = 50 * view.units_per_mm
    right, y = view.corner[0] + view.size[0] - 14, view.corner[1] + view.size[1] - 12
    canvas.box((right - length - 8, y - 22), (length + 16, 28), fill=BACKGROUND, radius=4)
    canvas.line([(right - length, y), (right, y)], colour=BRIGHT, width=1.5)
    for x in (right - length, right):
        canvas.line([(x, y - 4), (x, y)], colour=BRIGHT, width=1.5)
    canvas.text((right - length / 2, y - 7), "5 cm", size=11.5, colour=BRIGHT, anchor="ms")


def draw_sides(canvas: Canvas, view: SliceView, *, size: float = 13.0) -> None:
    """Mark front and back of a sagittal slice with the letters of DICOM, A and P; the face is on the left."""
    (left, top), (width, height) = view.corner, view.size
    middle, half = top + height / 2, 0.75 * size
    for letter, x in (("A", left + half + 2), ("P", left + width - half - 2)):
        canvas.box((x - half, middle - half), (2 * half, 2 * half), fill=BACKGROUND, radius=3)
        canvas.text((x, middle), letter, size=size, colour=BRIGHT, bold=True, anchor="mm")
