"""The middle slices with their outlines, side by side: for the summary picture and the PDF."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from analysis.domain.acquisition import Contrast
from dicom_templates.pictures.canvas import Canvas, Point
from dicom_templates.pictures.mid_sagittal import NamedOutline, SagittalPicture
from dicom_templates.pictures.palette import BODY, BRIGHT, EXCLUDED, PANEL, QUIET
from dicom_templates.pictures.slice_view import SliceView, draw_label, draw_ruler, draw_sides
from dicom_templates.words.study_report import StudyReport
from dicom_templates.words.texts import Texts

__all__ = ["PANEL_GAP", "draw_panels"]

PANEL_GAP = 16.0
_TEXT = 12.5


def draw_panels(
    canvas: Canvas, report: StudyReport, pictures: Sequence[SagittalPicture], corner: Point, extent: Point
) -> None:
    """Draw the series side by side; a single one gets the whole width.

    Parameters
    ----------
    canvas : Canvas
        Where to draw.
    report : StudyReport
        The report in words, to say which sequence is missing.
    pictures : sequence of SagittalPicture
        One per series.
    corner, extent : tuple of float
        Upper left corner, and width and height for all panels, in layout units.
    """
    left, top = corner
    whole, height = extent
    count = max(len(pictures), 1)
    width = (whole - (count - 1) * PANEL_GAP) / count
    for place, shown in enumerate(pictures):
        corner = (left + place * (width + PANEL_GAP), top)
        canvas.box(corner, (width, height), fill=PANEL, radius=6)
        _image(canvas, shown, corner, (width, height))
    analysed = {one.contrast for one in report.captions}
    for missing in {Contrast.T1, Contrast.T2} - analysed:
        words = report.texts("no_series", contrast=missing.value)
        canvas.text((left + whole - 14, top + 20), words, size=_TEXT, colour=EXCLUDED, anchor="rs")


def _image(canvas: Canvas, shown: SagittalPicture, corner: Point, extent: Point) -> None:
    left, top = corner
    width, height = extent
    name = Texts.weighting(shown.caption.contrast.value)
    canvas.text((left + 12, top + 30), name, size=19, colour=BRIGHT, bold=True)
    words, room = shown.caption.quality, width - 66
    two_lines = canvas.width_of(words, size=11.5) > room
    canvas.text(
        (left + 60, top + (15 if two_lines else 20)),
        shown.caption.acquisition,
        size=_TEXT,
        colour=BRIGHT,
    )
    canvas.paragraph(
        (left + 60, top + (28 if two_lines else 37)),
        words,
        size=10.5 if two_lines else 11.5,
        colour=QUIET,
        width=room,
        most_lines=2,
    )
    points = np.concatenate([one.points for one in shown.outlines]) if shown.outlines else None
    view = SliceView.fit(shown.pixels.shape, shown.spacing_mm, points, (left, top + 46), (width, height - 46))
    canvas.picture(view.corner, view.size, view.grey(shown.pixels))
    for outline in shown.outlines:
        _outline(canvas, outline, view.to_canvas)
    draw_ruler(canvas, view)
    draw_sides(canvas, view)


def _outline(
    canvas: Canvas, outline: NamedOutline, to_canvas: Callable[[npt.NDArray[np.float64]], list[Point]]
) -> None:
    points = to_canvas(outline.points)
    left = min(point[0] for point in points)
    middle = sum(point[1] for point in points) / len(points)
    colour = BODY if outline.usable else EXCLUDED
    if outline.usable:
        canvas.line(points, colour=colour, width=1.6)
    else:
        canvas.dashed(points, colour=colour, width=1.6, dash=4)
    draw_label(canvas, outline.name, (left, middle), colour)
