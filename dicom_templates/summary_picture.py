"""The summary picture: one look tells what was found, in which images, and how far to trust it.

Drawn for a dark reading room on 1024 x 768 units. Meaning never rests on colour alone, and the colours differ
for every kind of colour vision (Okabe and Ito 2008).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Verdict
from dicom_templates.canvas import Canvas, Colour, Point
from dicom_templates.mid_sagittal import NamedOutline, SagittalPicture
from dicom_templates.palette import BACKGROUND, BODY, BRIGHT, EXCLUDED, PANEL, QUIET, RULE, WARNING
from dicom_templates.slice_view import SliceView, draw_label, draw_ruler
from dicom_templates.study_report import VBQ_BY_DECADE, Answer, LevelRow, StudyReport

__all__ = ["draw_summary"]

_WIDTH, _HEIGHT = 1024, 768
_SCALE = 1.5

_VERDICT_COLOUR: dict[Verdict, Colour] = {
    Verdict.LIKELY: (230, 159, 0),
    Verdict.UNLIKELY: (86, 180, 233),
    Verdict.INDETERMINATE: (176, 183, 195),
}

_LEFT = 24.0
_RIGHT = 1000.0
_IMAGE_WIDTH = 270.0
_GAP = 16.0
_CARD_LEFT = 604.0
_CARD_WIDTH = _RIGHT - _CARD_LEFT
_CARD_GAP = 8.0
_BODY_TEXT = 12.5
_LAST_LINE = 758.0


def draw_summary(report: StudyReport) -> npt.NDArray[np.uint8]:
    """Draw the summary picture.

    Parameters
    ----------
    report : StudyReport
        What the reader is told.

    Returns
    -------
    ndarray of uint8, shape (1152, 1536, 3)
        sRGB.
    """
    canvas = Canvas(_WIDTH, _HEIGHT, scale=_SCALE, background=BACKGROUND)
    top = _warning(canvas, report)
    top = _heading(canvas, report, top)
    bottom = _images(canvas, report, top)
    _levels(canvas, report, bottom + _GAP)
    below = top
    for answer in report.answers:
        below = _answer(canvas, report, answer, below) + _CARD_GAP
    if not report.answers:
        below = _no_model(canvas, report, below) + _CARD_GAP
    below = _bone_quality(canvas, report, below) + _CARD_GAP
    _about(canvas, report, below)
    return canvas.finish()


def _warning(canvas: Canvas, report: StudyReport) -> float:
    """Draw the warning over the whole width, before anything else."""
    if not report.warning:
        return 0.0
    canvas.box((0, 0), (_WIDTH, 34), fill=WARNING)
    words = report.texts("simulated_short")
    canvas.text((_WIDTH / 2, 23), words, size=16, colour=(0, 0, 0), bold=True, anchor="ms")
    return 34.0


def _heading(canvas: Canvas, report: StudyReport, top: float) -> float:
    canvas.text((_LEFT, top + 33), report.title, size=20, colour=BRIGHT, bold=True)
    made = report.software
    if report.study_date:
        made = f"{report.texts('study_of', date=report.study_date)} · {made}"
    canvas.text((_RIGHT, top + 33), made, size=_BODY_TEXT, colour=QUIET, anchor="rs")
    return top + 48.0


# --- Images ---------------------------------------------------------------------------------------


def _images(canvas: Canvas, report: StudyReport, top: float) -> float:
    """Draw the series beside each other; one alone gets the whole width."""
    height = 584.0 - top
    count = max(len(report.pictures), 1)
    width = (2 * _IMAGE_WIDTH + _GAP - (count - 1) * _GAP) / count
    for place, shown in enumerate(report.pictures):
        corner = (_LEFT + place * (width + _GAP), top)
        canvas.box(corner, (width, height), fill=PANEL, radius=6)
        _image(canvas, shown, corner, (width, height))
    analysed = {one.contrast for one in report.pictures}
    for missing in {Contrast.T1, Contrast.T2} - analysed:
        words = report.texts("no_series", contrast=missing.value)
        right = _LEFT + 2 * _IMAGE_WIDTH + _GAP - 14
        canvas.text((right, top + 20), words, size=_BODY_TEXT, colour=EXCLUDED, anchor="rs")
    return top + height


def _image(canvas: Canvas, shown: SagittalPicture, corner: Point, extent: Point) -> None:
    left, top = corner
    width, height = extent
    name = shown.contrast.value
    canvas.text((left + 12, top + 30), name, size=19, colour=BRIGHT, bold=True)
    canvas.text((left + 46, top + 20), shown.caption, size=_BODY_TEXT, colour=BRIGHT)
    size = canvas.fitting_size(shown.quality, size=12, width=width - 56)
    canvas.text((left + 46, top + 37), shown.quality, size=size, colour=QUIET)
    points = np.concatenate([one.points for one in shown.outlines]) if shown.outlines else None
    view = SliceView.fit(shown.pixels.shape, shown.spacing_mm, points, (left, top + 46), (width, height - 46))
    canvas.picture(view.corner, view.size, view.grey(shown.pixels))
    for outline in shown.outlines:
        _outline(canvas, outline, view.place)
    draw_ruler(canvas, view)


def _outline(
    canvas: Canvas, outline: NamedOutline, place: Callable[[npt.NDArray[np.float64]], list[Point]]
) -> None:
    points = place(outline.points)
    left = min(point[0] for point in points)
    middle = sum(point[1] for point in points) / len(points)
    colour = BODY if outline.usable else EXCLUDED
    if outline.usable:
        canvas.line(points, colour=colour, width=1.6)
    else:
        canvas.dashed(points, colour=colour, width=1.6, dash=4)
    draw_label(canvas, outline.name, (left, middle), colour)


# --- Answers --------------------------------------------------------------------------------------


def _answer(canvas: Canvas, report: StudyReport, answer: Answer, top: float) -> float:
    height = 162.0
    left, width = _CARD_LEFT + 16, _CARD_WIDTH - 32
    canvas.box((_CARD_LEFT, top), (_CARD_WIDTH, height), fill=PANEL, radius=6)
    name = canvas.width_of(answer.name, size=16, bold=True)
    chip = _chip(canvas, answer, (_RIGHT - 14, top + 8), beside=name)
    size = canvas.fitting_size(answer.name, size=16, width=width - chip - 6, bold=True)
    canvas.text((left, top + 27), answer.name, size=size, colour=BRIGHT, bold=True)
    size = canvas.fitting_size(answer.definition, size=12, width=width)
    canvas.text((left, top + 49), answer.definition, size=size, colour=QUIET)
    if answer.value:
        canvas.text((left, top + 84), answer.value, size=30, colour=BRIGHT, bold=True)
        after = left + canvas.width_of(answer.value, size=30, bold=True) + 14
        canvas.text((after, top + 84), answer.interval, size=_BODY_TEXT, colour=QUIET)
        _risk_scale(canvas, report, answer, top + 100)
        below = top + 147
    else:
        below = 6 + _reasons(canvas, answer.reasons or (report.texts("no_number"),), (left, top + 71), width)
    size = canvas.fitting_size(answer.basis, size=_BODY_TEXT, width=width)
    canvas.text((left, below), answer.basis, size=size, colour=QUIET)
    return top + height


def _reasons(canvas: Canvas, reasons: tuple[str, ...], at: Point, width: float) -> float:
    """Write why there is no number, as large as the room allows; the text report has them in full."""
    words, room = "; ".join(reasons), 84.0
    for size in (13.0, 12.0, 11.5):
        most = int(room / (1.4 * size))
        if len(canvas.wrap(words, size=size, width=width)) <= most:
            break
    return canvas.paragraph(at, words, size=size, colour=BRIGHT, width=width, most_lines=most)


def _chip(canvas: Canvas, answer: Answer, corner: Point, *, beside: float) -> float:
    """Draw the verdict, whose shape says the same as its colour, and return its width.

    It is written smaller where it would leave too little room for what stands `beside` it.
    """
    words = answer.verdict_text.upper()
    colour = _VERDICT_COLOUR[answer.verdict]
    for size in (13.0, 11.0):
        width = canvas.width_of(words, size=size, bold=True) + 40
        if beside + width <= _CARD_WIDTH - 38:
            break
    left, top = corner[0] - width, corner[1]
    canvas.box((left, top), (width, 26), fill=colour, radius=13)
    x, y = left + 17, top + 13
    ink = (0, 0, 0)
    if answer.verdict is Verdict.LIKELY:
        canvas.polygon([(x - 6, y + 5), (x + 6, y + 5), (x, y - 6)], fill=ink)
    elif answer.verdict is Verdict.UNLIKELY:
        canvas.dot((x, y), radius=5, fill=ink)
    else:
        canvas.text((x, y), "?", size=15, colour=ink, bold=True, anchor="mm")
    canvas.text((left + 29, y), words, size=size, colour=ink, bold=True, anchor="lm")
    return width


def _risk_scale(canvas: Canvas, report: StudyReport, answer: Answer, top: float) -> None:
    left, width = _CARD_LEFT + 16, _CARD_WIDTH - 32
    colour = _VERDICT_COLOUR[answer.verdict]

    def at(fraction: float) -> float:
        return left + fraction * width

    canvas.box((left, top), (width, 8), fill=RULE, radius=4)
    if answer.limits is not None:
        low, high = answer.limits
        canvas.box((at(low), top), (max(at(high) - at(low), 3.0), 8), fill=colour, radius=4)
    threshold = at(answer.threshold)
    canvas.line([(threshold, top - 5), (threshold, top + 13)], colour=BRIGHT, width=1.5)
    if answer.probability is not None:
        canvas.dot((at(answer.probability), top + 4), radius=7, fill=colour, rim=BRIGHT)
    for fraction, anchor in ((0.0, "ls"), (1.0, "rs")):
        words = f"{100 * fraction:.0f} %"
        canvas.text((at(fraction), top + 26), words, size=11.5, colour=QUIET, anchor=anchor)
    words = report.texts("threshold", value=report.texts.percent(answer.threshold))
    half = canvas.width_of(words, size=11.5) / 2
    centre = min(max(threshold, left + 40 + half), left + width - 48 - half)
    canvas.text((centre, top + 26), words, size=11.5, colour=QUIET, anchor="ms")


def _no_model(canvas: Canvas, report: StudyReport, top: float) -> float:
    canvas.box((_CARD_LEFT, top), (_CARD_WIDTH, 76), fill=PANEL, radius=6)
    canvas.paragraph(
        (_CARD_LEFT + 16, top + 28),
        report.texts("no_model"),
        size=14,
        colour=BRIGHT,
        width=_CARD_WIDTH - 32,
        most_lines=3,
    )
    return top + 76


# --- Bone quality ---------------------------------------------------------------------------------


def _bone_quality(canvas: Canvas, report: StudyReport, top: float) -> float:
    height = 206.0
    left = _CARD_LEFT + 16
    canvas.box((_CARD_LEFT, top), (_CARD_WIDTH, height), fill=PANEL, radius=6)
    canvas.text((left, top + 26), report.texts("bone_quality"), size=15, colour=BRIGHT, bold=True)
    x = left
    for line in report.bone_quality:
        canvas.text((x, top + 54), line.contrast.value, size=13, colour=QUIET)
        if line.score is None:
            # Why stands below the images, with what else must be known.
            words = report.texts("vbq_none")
            canvas.text((x + 24, top + 54), words, size=13, colour=EXCLUDED)
            x += canvas.width_of(words, size=13)
        else:
            value = report.texts.number(line.score, 2)
            canvas.text((x + 24, top + 54), value, size=20, colour=BRIGHT, bold=True)
            x += 50
        x += 60
    score = next((one.score for one in report.bone_quality if one.contrast is Contrast.T1), None)
    if score is not None:
        words = report.texts("this_patient")
        canvas.text((_RIGHT - 16, top + 54), words, size=12, colour=BODY, anchor="rs")
        bar = _RIGHT - 24 - canvas.width_of(words, size=12)
        canvas.line([(bar, top + 43), (bar, top + 56)], colour=BODY, width=2.0)
    _vbq_scale(canvas, report, score, top + 66)
    return top + height


def _vbq_scale(canvas: Canvas, report: StudyReport, score: float | None, top: float) -> None:
    """Draw the T1 reference by decade of age, and this patient's value across it."""
    left, right = _CARD_LEFT + 74, _RIGHT - 18
    low, high = 1.0, 5.0

    def at(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (right - left)

    for row, (start, mean, spread) in enumerate(VBQ_BY_DECADE):
        y = top + 10 + row * 16
        last = start == VBQ_BY_DECADE[-1][0]
        own = report.age_years is not None and start <= report.age_years < (start + 10)
        colour = BRIGHT if own else QUIET
        words = f"{start}-{start + 9}"
        canvas.text((left - 12, y), words, size=12, colour=colour, bold=own, anchor="rm")
        canvas.line(
            [(at(mean - spread), y), (at(mean + spread), y)], colour=colour, width=3.0 if own else 2.0
        )
        canvas.dot((at(mean), y), radius=4.0, fill=colour)
        if last:
            _vbq_axis(canvas, at, y + 12)
    if score is not None:
        x = at(score)
        canvas.line([(x, top - 4), (x, top + 84)], colour=BODY, width=2.0)
    left = _CARD_LEFT + 16
    canvas.paragraph(
        (left, top + 117),
        report.texts("vbq_scale"),
        size=11.5,
        colour=QUIET,
        width=_CARD_WIDTH - 32,
        most_lines=2,
    )


def _vbq_axis(canvas: Canvas, at: Callable[[float], float], y: float) -> None:
    canvas.line([(at(1.0), y), (at(5.0), y)], colour=RULE, width=1.0)
    for value in (1, 2, 3, 4, 5):
        canvas.line([(at(value), y), (at(value), y + 3)], colour=RULE, width=1.0)
        canvas.text((at(value), y + 14), str(value), size=11.5, colour=QUIET, anchor="ms")


# --- Levels and caveats ---------------------------------------------------------------------------


def _levels(canvas: Canvas, report: StudyReport, top: float) -> None:
    columns = (_LEFT, _LEFT + 62, _LEFT + 148, _LEFT + 212)
    contrasts = [one.contrast.value for one in report.pictures]
    heads = (
        report.texts("level_names"),
        f"{report.texts('volume')} ml",
        *(f"VBQ {one}" for one in contrasts),
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
    caveats = (*_remarks(report), *report.caveats)
    if not caveats:
        canvas.text((left, top + 36), report.texts("none_excluded"), size=_BODY_TEXT, colour=BRIGHT)
    y = top + 36
    for number, line in enumerate(caveats):
        left_over = len(caveats) - number
        if y > top + (130 if left_over == 1 else 112):
            words = report.texts("more_excluded", count=str(left_over))
            canvas.text((left, y), words, size=_BODY_TEXT, colour=QUIET)
            break
        room = max(1, int((top + 150 - y) // (1.4 * _BODY_TEXT)))
        most = room if left_over == 1 else min(room, 3)
        y = 4 + canvas.paragraph(
            (left, y), line, size=_BODY_TEXT, colour=BRIGHT, width=_IMAGE_WIDTH, most_lines=most
        )


def _remarks(report: StudyReport) -> list[str]:
    """Tell what must be known with an answer, and why a score is missing; its decisive reason comes last."""
    answers = [f"{one.name}: {'; '.join(one.reasons)}" for one in report.answers if one.value and one.reasons]
    scores = [
        f"{line.sentence} ({line.concerns[-1]})" if line.concerns else line.sentence
        for line in report.bone_quality
        if line.score is None
    ]
    return [*answers, *scores]


def _about(canvas: Canvas, report: StudyReport, top: float) -> None:
    """Write what it is not and who made it; smaller where a model has much to say of itself."""
    told = [
        (words, colour)
        for words, colour in (
            (report.texts("not_for_short"), BRIGHT),
            (report.intended_use, QUIET),
            (report.model, QUIET),
            (report.cohort, QUIET),
        )
        if words
    ]
    y = top + 10
    for size in (12.0, 11.5, 11.0):
        lines = sum(len(canvas.wrap(words, size=size, width=_CARD_WIDTH)) for words, _ in told)
        if y + 1.4 * size * (lines - 1) <= _LAST_LINE:
            break
    for words, colour in told:
        room = int((_LAST_LINE - y) // (1.4 * size)) + 1
        if room > 0:
            y = canvas.paragraph(
                (_CARD_LEFT, y), words, size=size, colour=colour, width=_CARD_WIDTH, most_lines=room
            )
