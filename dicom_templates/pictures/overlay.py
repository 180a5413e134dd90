"""The outlines over the images of one series, slice by slice, so that a person can check them.

On the left the mid-sagittal slice, on the right all slices and a table of the bodies. It names no patient.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.domain.findings import SeriesFindings
from analysis.domain.segmentation import CRANIAL_TO_CAUDAL, Level, Region
from dicom_templates.borders import borders
from dicom_templates.pictures.canvas import Canvas, Colour, Point
from dicom_templates.pictures.mid_sagittal import Turn
from dicom_templates.pictures.palette import (
    BACKGROUND,
    BODY,
    BRIGHT,
    EXCLUDED,
    FLUID,
    NEXT_BODY,
    PANEL,
    QUIET,
    RULE,
)
from dicom_templates.pictures.slice_view import SliceView, draw_label, draw_ruler, draw_sides
from dicom_templates.words.checks import body_check, checks, named_concerns, qualities, score_concerns
from dicom_templates.words.levels import level_names
from dicom_templates.words.sections import acquisition
from dicom_templates.words.texts import Texts

__all__ = ["draw_overlay"]

Points = npt.NDArray[np.float64]

_WIDTH, _HEIGHT = 1600, 1000
_EDGE = 24.0
_TOP = 76.0
_MIDDLE_WIDTH = 560.0
_SHEET_LEFT = _EDGE + _MIDDLE_WIDTH + 20.0
_SHEET_WIDTH = _WIDTH - _EDGE - _SHEET_LEFT
_TABLE_TOP = 672.0
_ROW = 24.0
_REMARK = 300.0
_TILE_GAP = 5.0
_TEXT = 13.0
_REMARK_TEXT = 12.0


@dataclass(frozen=True, slots=True, eq=False)
class _Series:
    """A series oriented for display, with one window for all slices."""

    found: SeriesFindings
    turn: Turn
    spacing_mm: tuple[float, float]
    window: tuple[float, float]
    reach: Points | None
    """Opposite corners (column, row) of the box around bodies and CSF, oriented for display."""

    @classmethod
    def of(cls, found: SeriesFindings) -> "_Series":
        grid = found.source.volume.grid
        turn = Turn.for_axes(grid.axes)
        rows, columns = grid.spacing_mm[1:]
        middle = found.source.volume.signal(found.mid_slice)
        low, high = (float(one) for one in np.percentile(middle, (1.0, 99.5)))
        spacing_mm = (columns, rows) if turn.transpose else (rows, columns)
        return cls(found, turn, spacing_mm, (low, high), _reach(found, turn))

    def pixels(self, number: int) -> npt.NDArray[np.float32]:
        return self.turn.pixels(self.found.source.volume.signal(number))

    def lines(self, mask: npt.NDArray[np.bool_]) -> list[Points]:
        """Return the borders of a mask on a stored slice, every part and every hole, as (column, row)."""
        return [self.turn.points(line, mask.shape) for line in borders(mask)]


def _reach(found: SeriesFindings, turn: Turn) -> Points | None:
    boxes = [found.segmentation.box]
    if found.segmentation.csf is not None:
        boxes.append(found.segmentation.csf.part.box)
    planes = [box[1:] for box in boxes if box[0].stop]
    if not planes:
        return None
    corners = np.array(
        [
            np.min([[columns.start, rows.start] for rows, columns in planes], axis=0),
            np.max([[columns.stop, rows.stop] for rows, columns in planes], axis=0),
        ],
        dtype=np.float64,
    )
    return np.sort(turn.points(corners, found.segmentation.labels.shape[1:]), axis=0)


def draw_overlay(found: SeriesFindings, texts: Texts, *, analysed: str = "") -> npt.NDArray[np.uint8]:
    """Draw the overlay of one analysed series.

    Parameters
    ----------
    found : SeriesFindings
        The series.
    texts : Texts
        The sentences in the language of the report.
    analysed : str
        The sentence that says when which program analysed the study; empty for none.

    Returns
    -------
    ndarray of uint8, shape (1000, 1600, 3)
        sRGB.
    """
    canvas = Canvas(_WIDTH, _HEIGHT, scale=1.0, background=BACKGROUND)
    series = _Series.of(found)
    _heading(canvas, found, texts, analysed)
    _middle(canvas, series, texts)
    _sheet(canvas, series, texts)
    _table(canvas, found, texts)
    return canvas.finish()


def _heading(canvas: Canvas, found: SeriesFindings, texts: Texts, analysed: str) -> None:
    contrast = found.identification.contrast.value
    canvas.text((_EDGE, 40), texts.weighting(contrast), size=24, colour=BRIGHT, bold=True)
    facts = acquisition(found.source.facts, texts)
    canvas.text((_EDGE + 64, 30), facts, size=14, colour=BRIGHT)
    told = texts("picture_quality", **checks(found, texts))
    canvas.text((_EDGE + 64, 50), told, size=_TEXT, colour=QUIET)
    grade = qualities(found, texts)["grade"]
    method = texts("outlines_by", method=found.segmentation.method) + f", {grade}"
    canvas.text((_WIDTH - _EDGE, 30), method, size=14, colour=BRIGHT, anchor="rs")
    canvas.text((_WIDTH - _EDGE, 49), texts("not_for_short"), size=_TEXT, colour=QUIET, anchor="rs")
    canvas.text((_WIDTH - _EDGE, 67), analysed, size=_TEXT, colour=QUIET, anchor="rs")


def _colour(region: Region) -> Colour:
    if not region.level.lumbar:
        return QUIET
    if not region.usable:
        return EXCLUDED
    return BODY if CRANIAL_TO_CAUDAL.index(region.level) % 2 else NEXT_BODY


def _draw_slice(
    canvas: Canvas, series: _Series, number: int, view: SliceView, *, width: float
) -> dict[Level, Point]:
    """Draw a slice with its outlines; return the middle of the left edge of each body."""
    segmentation = series.found.segmentation
    canvas.picture(view.corner, view.size, view.grey(series.pixels(number), series.window))
    edges = {}
    for region in segmentation.regions:
        lines = [view.to_canvas(line) for line in series.lines(segmentation.labels[number] == region.level)]
        for line in lines:
            _draw_line(
                canvas, line, _colour(region), width=width, whole=region.usable or not region.level.lumbar
            )
        if lines:
            largest = max(lines, key=len)
            left = min(point[0] for point in largest)
            edges[region.level] = (left, sum(point[1] for point in largest) / len(largest))
    if segmentation.csf is not None:
        for border in series.lines(segmentation.csf.mask[number]):
            _draw_line(canvas, view.to_canvas(border), FLUID, width=width, whole=True)
    return edges


def _draw_line(canvas: Canvas, line: list[Point], colour: Colour, *, width: float, whole: bool) -> None:
    if whole:
        canvas.line(line, colour=colour, width=width)
    else:
        canvas.dashed(line, colour=colour, width=width, dash=3.0 * width)


def _middle(canvas: Canvas, series: _Series, texts: Texts) -> None:
    found = series.found
    size = (_MIDDLE_WIDTH, _HEIGHT - _TOP - _EDGE)
    pixels = series.pixels(found.mid_slice)
    view = SliceView.fit(pixels.shape, series.spacing_mm, series.reach, (_EDGE, _TOP), size)
    edges = _draw_slice(canvas, series, found.mid_slice, view, width=1.7)
    names = level_names(found, texts)
    for region in found.segmentation.regions:
        if region.level in edges:
            words = names[region.level]
            if region.level.lumbar:
                words = _remarkable(words, body_check(region, texts), texts)
            left, height = edges[region.level]
            inside = _EDGE + canvas.width_of(words, size=_TEXT, bold=True) + 18
            draw_label(canvas, words, (max(left, inside), height), _colour(region))
    csf = found.segmentation.csf
    if csf is not None and csf.mask[found.mid_slice].any():
        line = view.to_canvas(np.concatenate(series.lines(csf.mask[found.mid_slice])))
        right = max(point[0] for point in line)
        middle = sum(point[1] for point in line) / len(line)
        words = _remarkable(texts("fluid"), checks(found, texts)["fluid"], texts)
        place = right + canvas.width_of(words, size=_TEXT, bold=True) + 24
        draw_label(canvas, words, (place, middle), FLUID)
    draw_ruler(canvas, view)
    draw_sides(canvas, view)


def _remarkable(words: str, check: str, texts: Texts) -> str:
    """Add to a name how the outline was judged, unless it is good."""
    return words if check == texts("check_passed") else f"{words}  {check}"


# --- All slices -----------------------------------------------------------------------------------


def _sheet(canvas: Canvas, series: _Series, texts: Texts) -> None:
    """Draw every slice, cropped to the spine, as large as the space allows."""
    found = series.found
    count = found.source.volume.grid.shape[0]
    height = _TABLE_TOP - 22.0 - _TOP
    columns, tile = _tiling(count, _proportions(series), (_SHEET_WIDTH, height))
    for number in range(count):
        row, column = divmod(number, columns)
        corner = (_SHEET_LEFT + column * (tile[0] + _TILE_GAP), _TOP + row * (tile[1] + _TILE_GAP))
        if number == found.mid_slice:
            canvas.box((corner[0] - 3, corner[1] - 3), (tile[0] + 6, tile[1] + 6), fill=BRIGHT)
        pixels = series.pixels(number)
        view = SliceView.fit(pixels.shape, series.spacing_mm, series.reach, corner, tile)
        _draw_slice(canvas, series, number, view, width=1.0)
        words = f"{number + 1}  {_place(found, number, texts)}"
        size = canvas.fitting_size(words, size=11, width=tile[0] - 8)
        canvas.box((corner[0], corner[1]), (canvas.width_of(words, size=size) + 8, 16), fill=BACKGROUND)
        canvas.text((corner[0] + 4, corner[1] + 12), words, size=size, colour=BRIGHT)
        draw_sides(canvas, view, size=10.0)


def _place(found: SeriesFindings, number: int, texts: Texts) -> str:
    """Write on which side of the mid-sagittal slice a slice lies, and how far from it."""
    grid = found.source.volume.grid
    away_mm = (number - found.mid_slice) * grid.spacing_mm[0]
    if not away_mm:
        return texts("mid_sagittal")
    # In LPS, x grows to the left of the patient.
    key = "slice_left" if away_mm * grid.axes[0][0] > 0 else "slice_right"
    return texts(key, distance=texts.number(abs(away_mm), 0))


def _proportions(series: _Series) -> float:
    """Return width over height of the region that each tile shows."""
    reach = series.reach
    if reach is None:
        return 1.0
    wide, tall = (reach[1] - reach[0]) * (series.spacing_mm[1], series.spacing_mm[0])
    return float(np.clip((wide + 24.0) / (tall + 24.0), 0.3, 1.5))


def _tiling(count: int, proportions: float, room: Point) -> tuple[int, Point]:
    """Return number of columns and size of the largest tiles that fit a space."""

    def size(columns: int) -> Point:
        rows = -(-count // columns)
        wide = (room[0] - (columns - 1) * _TILE_GAP) / columns
        tall = (room[1] - (rows - 1) * _TILE_GAP) / rows
        return min(wide, tall * proportions), min(tall, wide / proportions)

    columns = max(range(1, count + 1), key=lambda one: size(one)[0])
    return columns, size(columns)


# --- Table of bodies ------------------------------------------------------------------------------


def _table(canvas: Canvas, found: SeriesFindings, texts: Texts) -> None:
    canvas.box((_SHEET_LEFT, _TABLE_TOP), (_SHEET_WIDTH, _HEIGHT - _EDGE - _TABLE_TOP), fill=PANEL, radius=6)
    left, y = _SHEET_LEFT + 16.0, _TABLE_TOP + 24.0
    places = (left, left + 85.0, left + 220.0, left + _REMARK)
    heads = ("level_names", "outline", "volume", "remarks")
    for x, key in zip(places, heads, strict=True):
        canvas.text((x, y), texts(key), size=12, colour=QUIET)
    canvas.line([(left, y + 7), (_WIDTH - _EDGE - 16, y + 7)], colour=RULE, width=1.0)
    room = _SHEET_WIDTH - _REMARK - 32.0
    for cells, colour in _rows(found, texts):
        y += _ROW
        for x, words in zip(places[:-1], cells[:-1], strict=True):
            canvas.text((x, y), words, size=_TEXT, colour=colour, bold=x == left)
        # Two lines at most; the text report has every reason in full.
        below = canvas.paragraph(
            (places[-1], y), cells[-1], size=_REMARK_TEXT, colour=colour, width=room, most_lines=2
        )
        y = max(y, below - 1.4 * _REMARK_TEXT)
    for concern in found.segmentation.concerns:
        lines = int((_HEIGHT - _EDGE - 6 - y) // _ROW)
        if lines > 0:
            y = canvas.paragraph(
                (left, y + _ROW),
                texts.reason(concern),
                size=_TEXT,
                colour=BRIGHT,
                width=_SHEET_WIDTH - 32,
                most_lines=min(lines, 2),
            )
            y -= 1.4 * _TEXT


def _rows(found: SeriesFindings, texts: Texts) -> Iterator[tuple[tuple[str, ...], Colour]]:
    names = level_names(found, texts)
    for region in found.segmentation.regions:
        remark = texts.listed(region.concerns)
        if region.level.lumbar and not region.usable:
            remark = remark or texts("no_reason")
        yield (
            (
                names[region.level],
                body_check(region, texts),
                f"{texts.number(region.volume_ml, 1)} ml",
                remark or "-",
            ),
            _colour(region),
        )
    csf = found.segmentation.csf
    if csf is None:
        yield (
            (texts("fluid"), checks(found, texts)["fluid"], "-", texts.listed(score_concerns(found)) or "-"),
            FLUID,
        )
        return
    volume = float(csf.part.mask.sum()) * found.segmentation.grid.voxel_ml
    yield (
        (
            texts("fluid"),
            checks(found, texts)["fluid"],
            f"{texts.number(volume, 1)} ml",
            texts.listed(named_concerns(found, csf.concerns)) or "-",
        ),
        FLUID,
    )
