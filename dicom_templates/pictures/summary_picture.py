"""The summary picture: the answers, the images they come from and the quality of both on one page.

Drawn for a dark reading room on 1024 x 768 units. Nothing is told by colour alone.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dicom_templates.pictures.canvas import Canvas
from dicom_templates.pictures.image_panels import PANEL_GAP, draw_panels
from dicom_templates.pictures.mid_sagittal import SagittalPicture
from dicom_templates.pictures.palette import BACKGROUND, BRIGHT, EXCLUDED, QUIET, RULE, WARNING
from dicom_templates.pictures.summary_cards import draw_cards, draw_foot
from dicom_templates.words.study_report import LevelRow, StudyReport

__all__ = ["draw_summary"]

_WIDTH, _HEIGHT = 1024, 768
_SCALE = 1.5

_LEFT = 24.0
_RIGHT = 1000.0
_IMAGE_WIDTH = 270.0
_GAP = PANEL_GAP
_BODY_TEXT = 12.5
_LEVELS_HEIGHT = 174.0
"""Of the table of levels and the caveats, with the gap above them."""


def draw_summary(report: StudyReport, pictures: Sequence[SagittalPicture]) -> npt.NDArray[np.uint8]:
    """Draw the summary picture.

    Parameters
    ----------
    report : StudyReport
        The report in words.
    pictures : sequence of SagittalPicture
        One per series.

    Returns
    -------
    ndarray of uint8, shape (1152, 1536, 3)
        sRGB.
    """
    canvas = Canvas(_WIDTH, _HEIGHT, scale=_SCALE, background=BACKGROUND)
    top = _warning(canvas, report)
    top = _heading(canvas, report, top)
    foot = draw_foot(canvas, report)
    bottom = foot - _LEVELS_HEIGHT
    draw_panels(canvas, report, pictures, (_LEFT, top), (2 * _IMAGE_WIDTH + _GAP, bottom - top))
    _levels(canvas, report, bottom + _GAP)
    draw_cards(canvas, report, top)
    return canvas.finish()


def _warning(canvas: Canvas, report: StudyReport) -> float:
    """Draw the warning over the whole width, above everything else."""
    if not report.warning:
        return 0.0
    canvas.box((0, 0), (_WIDTH, 34), fill=WARNING)
    words = report.texts("simulated_short")
    canvas.text((_WIDTH / 2, 23), words, size=16, colour=(0, 0, 0), bold=True, anchor="ms")
    return 34.0


def _heading(canvas: Canvas, report: StudyReport, top: float) -> float:
    base = top + (26 if report.holds else 33)
    canvas.text((_LEFT, base), report.title, size=20, colour=BRIGHT, bold=True)
    dated = report.texts("study_of", date=report.study_date) if report.study_date else ""
    made = " · ".join(part for part in (dated, report.analysed) if part)
    beside = _RIGHT - _LEFT - _GAP - canvas.width_of(report.title, size=20, bold=True)
    size = canvas.fitting_size(made, size=_BODY_TEXT, width=max(beside, _IMAGE_WIDTH))
    canvas.text((_RIGHT, base), made, size=size, colour=QUIET, anchor="rs")
    if not report.holds:
        return top + 48.0
    size = canvas.fitting_size(report.holds, size=_BODY_TEXT, width=_RIGHT - _LEFT)
    canvas.text((_LEFT, top + 44), report.holds, size=size, colour=BRIGHT)
    return top + 52.0


# --- Levels and caveats ---------------------------------------------------------------------------


def _levels(canvas: Canvas, report: StudyReport, top: float) -> None:
    columns = (_LEFT, _LEFT + 62, _LEFT + 148, _LEFT + 212)
    contrasts = [one.contrast.value for one in report.captions]
    heads = (
        report.texts("level_names"),
        f"{report.texts('volume')} ml",
        *(f"VBQ {report.texts.weighting(one)}" for one in contrasts),
    )
    for x, head in zip(columns, heads, strict=False):
        canvas.text((x, top + 10), head, size=12, colour=QUIET)
    canvas.line([(_LEFT, top + 17), (_LEFT + 266, top + 17)], colour=RULE, width=1.0)
    names = list(dict.fromkeys(row.name for row in report.levels))
    pitch = min(21.0, 126.0 / max(len(names), 1))
    for number, name in enumerate(names):
        rows = {row.contrast: row for row in report.levels if row.name == name}
        size = min(13.0, 0.8 * pitch)
        cells = [rows.get(one) for one in contrasts]
        _level_line(canvas, name, cells, columns, y=top + 36 + number * pitch, size=size)
    _caveats(canvas, report, top)


def _level_line(
    canvas: Canvas,
    name: str,
    rows: list[LevelRow | None],
    columns: tuple[float, ...],
    *,
    y: float,
    size: float,
) -> None:
    measured = [row for row in rows if row is not None]
    colour = BRIGHT if any(row.usable for row in measured) else EXCLUDED
    narrow = canvas.fitting_size(name, size=size, width=columns[1] - columns[0] - 6, bold=True)
    canvas.text((columns[0], y), name, size=narrow, colour=colour, bold=True)
    canvas.text((columns[1], y), measured[0].volume, size=size, colour=colour)
    for x, row in zip(columns[2:], rows, strict=False):
        words = "-" if row is None else row.vbq
        canvas.text((x, y), words, size=size, colour=BRIGHT if row is None or row.usable else EXCLUDED)


def _caveats(canvas: Canvas, report: StudyReport, top: float) -> None:
    left = _LEFT + _IMAGE_WIDTH + _GAP
    canvas.text((left, top + 10), report.texts("excluded_title"), size=12, colour=QUIET)
    canvas.line([(left, top + 17), (left + _IMAGE_WIDTH, top + 17)], colour=RULE, width=1.0)
    caveats = (*report.foremost, *_remarks(report), *report.caveats)
    if not caveats:
        words = report.texts("none_excluded")
        size = canvas.fitting_size(words, size=_BODY_TEXT, width=_IMAGE_WIDTH)
        canvas.text((left, top + 36), words, size=size, colour=BRIGHT)
    y = top + 36
    size = _size_of(canvas, caveats)
    for number, line in enumerate(caveats):
        left_over = len(caveats) - number
        if y > top + (130 if left_over == 1 else 112):
            words = report.texts("more_excluded", count=str(left_over))
            canvas.text((left, y), words, size=size, colour=QUIET)
            break
        room = 1 + int((top + 150 - y) // (1.4 * size))
        most = room if left_over == 1 else min(room, 5 if number < len(report.foremost) else 3)
        y = 4 + canvas.paragraph(
            (left, y), line, size=size, colour=BRIGHT, width=_IMAGE_WIDTH, most_lines=most
        )


def _size_of(canvas: Canvas, caveats: Sequence[str]) -> float:
    """Return the largest letters with which all caveats find room, or the smallest that can be read."""
    for size in (_BODY_TEXT, 11.5, 10.5):
        lines = sum(len(canvas.wrap(line, size=size, width=_IMAGE_WIDTH)) for line in caveats)
        if 1.4 * size * lines + 4 * len(caveats) <= 130:
            break
    return size


def _remarks(report: StudyReport) -> list[str]:
    """List the caveats of answers and scores."""
    texts = report.texts
    answers = [
        texts.labelled(one.name, texts.in_line(one.reasons))
        for one in report.answers
        if one.value and one.reasons
    ]
    scores = [
        f"{line.sentence} ({line.deciding})" if line.deciding else line.sentence
        for line in report.bone_quality
        if line.score is None
    ]
    doubtful = [
        texts.labelled(f"VBQ {texts.weighting(line.contrast.value)}", texts.in_line(line.concerns))
        for line in report.bone_quality
        if line.score is not None and line.concerns
    ]
    return [*answers, *scores, *doubtful]
