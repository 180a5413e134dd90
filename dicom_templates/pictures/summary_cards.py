"""The cards beside the images: answers and bone quality on their scales, and the model behind them."""

from collections.abc import Callable

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Verdict
from analysis.domain.published import T1_VBQ_BY_DECADE
from dicom_templates.pictures.canvas import Canvas, Colour, Point
from dicom_templates.pictures.palette import BODY, BRIGHT, EXCLUDED, PANEL, QUIET, RULE
from dicom_templates.words.study_report import StudyReport, TargetAnswer
from dicom_templates.words.vbq import decade_of

__all__ = ["VERDICT_COLOUR", "VERDICT_INK", "draw_cards", "draw_foot"]

VERDICT_COLOUR: dict[Verdict, Colour] = {
    Verdict.ABOVE: (255, 196, 61),
    Verdict.BELOW: (0, 92, 150),
    Verdict.INDETERMINATE: (140, 148, 160),
}
"""Bright, dark and between, so that they can be told apart without any colour."""
VERDICT_INK: dict[Verdict, Colour] = {
    Verdict.ABOVE: (0, 0, 0),
    Verdict.BELOW: (255, 255, 255),
    Verdict.INDETERMINATE: (0, 0, 0),
}
"""Of the words on them."""

_CARD_LEFT = 604.0
_RIGHT = 1000.0
_CARD_WIDTH = _RIGHT - _CARD_LEFT
_CARD_GAP = 8.0
_LEFT = 24.0
_LAST_LINE = 759.0
_FOOT_LINES = 8
_MOST_FOOT = 78.0
"""Height of the foot that the cards leave, above which its letters become smaller."""
_BODY_TEXT = 12.5


def draw_cards(canvas: Canvas, report: StudyReport, top: float) -> None:
    """Draw the cards in one column.

    Parameters
    ----------
    canvas : Canvas
        Of the summary picture.
    report : StudyReport
        The report in words.
    top : float
        Upper edge of the first one.
    """
    below = top
    for answer in report.answers:
        below = _answer(canvas, report, answer, below) + _CARD_GAP
    if not report.answers:
        below = _no_model(canvas, report, below) + _CARD_GAP
    _bone_quality(canvas, report, below)


# --- Answers --------------------------------------------------------------------------------------


def _answer(canvas: Canvas, report: StudyReport, answer: TargetAnswer, top: float) -> float:
    height = 181.0
    left, width = _CARD_LEFT + 16, _CARD_WIDTH - 32
    canvas.box((_CARD_LEFT, top), (_CARD_WIDTH, height), fill=PANEL, radius=6)
    canvas.text((left, top + 23), answer.name, size=16, colour=BRIGHT, bold=True)
    words = " · ".join(part for part in (answer.definition_brief, answer.basis) if part)
    size = canvas.fitting_size(words, size=12, width=width)
    canvas.text((left, top + 41), words, size=size, colour=QUIET)
    if answer.value:
        _probability(canvas, report, answer, top)
    else:
        _badge(canvas, answer, (left, top + 54), width)
        reasons = answer.reasons or (report.texts("no_number"),)
        _reasons(canvas, report.texts.in_line(reasons), (left, top + 98), width)
    for size in (11.0, 10.5, 10.0):
        if len(canvas.wrap(answer.figures_brief, size=size, width=width)) <= 3:
            break
    canvas.paragraph(
        (left, top + 145), answer.figures_brief, size=size, colour=QUIET, width=width, most_lines=3
    )
    return top + height


def _probability(canvas: Canvas, report: StudyReport, answer: TargetAnswer, top: float) -> None:
    """Draw the probability, the badge that compares it with the threshold, and both on a scale.

    The badge is beside the word "probability": alone it could be taken for a bone density above or below.
    """
    left, width = _CARD_LEFT + 16, _CARD_WIDTH - 32
    canvas.text((left, top + 77), answer.value, size=28, colour=BRIGHT, bold=True)
    after = left + canvas.width_of(answer.value, size=28, bold=True) + 8
    words = report.texts("probability_word")
    canvas.text((after, top + 77), words, size=11.5, colour=BRIGHT)
    after += canvas.width_of(words, size=11.5) + 8
    _badge(canvas, answer, (after, top + 57), left + width - after)
    canvas.text((left, top + 95), answer.interval, size=12, colour=QUIET)
    _risk_scale(canvas, report, answer, top + 103)


def _reasons(canvas: Canvas, words: str, at: Point, width: float) -> None:
    """Write why there is no number, as large as the space allows; the text report has all of it."""
    room = 50.0
    for size in (13.0, 12.0, 11.5):
        most = int(room / (1.4 * size))
        if len(canvas.wrap(words, size=size, width=width)) <= most:
            break
    canvas.paragraph(at, words, size=size, colour=BRIGHT, width=width, most_lines=most)


def _badge(canvas: Canvas, answer: TargetAnswer, corner: Point, width: float) -> None:
    """Draw the verdict, with a symbol that says the same as its colour."""
    colour, ink = VERDICT_COLOUR[answer.verdict], VERDICT_INK[answer.verdict]
    size = canvas.fitting_size(answer.badge, size=13.0, width=width - 38, bold=True)
    left, top = corner
    canvas.box(
        (left, top), (canvas.width_of(answer.badge, size=size, bold=True) + 38, 26), fill=colour, radius=13
    )
    x, y = left + 17, top + 13
    if answer.verdict is Verdict.ABOVE:
        canvas.polygon([(x - 6, y + 5), (x + 6, y + 5), (x, y - 6)], fill=ink)
    elif answer.verdict is Verdict.BELOW:
        canvas.polygon([(x - 6, y - 5), (x + 6, y - 5), (x, y + 6)], fill=ink)
    else:
        canvas.text((x, y), "?", size=15, colour=ink, bold=True, anchor="mm")
    canvas.text((left + 28, y), answer.badge, size=size, colour=ink, bold=True, anchor="lm")


def _risk_scale(canvas: Canvas, report: StudyReport, answer: TargetAnswer, top: float) -> None:
    left, width = _CARD_LEFT + 16, _CARD_WIDTH - 32
    colour = VERDICT_COLOUR[answer.verdict]

    def at(fraction: float) -> float:
        return left + fraction * width

    canvas.box((left, top), (width, 8), fill=RULE, radius=4)
    if answer.limits is not None:
        low, high = answer.limits
        canvas.box((at(low), top), (max(at(high) - at(low), 3.0), 8), fill=QUIET, radius=4)
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
    canvas.text((centre, top + 26), words, size=11.5, colour=BRIGHT, anchor="ms")


def _no_model(canvas: Canvas, report: StudyReport, top: float) -> float:
    canvas.box((_CARD_LEFT, top), (_CARD_WIDTH, 84), fill=PANEL, radius=6)
    canvas.paragraph(
        (_CARD_LEFT + 16, top + 28),
        report.texts("no_model"),
        size=14,
        colour=BRIGHT,
        width=_CARD_WIDTH - 32,
        most_lines=3,
    )
    return top + 84


# --- Bone quality ---------------------------------------------------------------------------------


def _bone_quality(canvas: Canvas, report: StudyReport, top: float) -> None:
    score = next((one.score for one in report.bone_quality if one.contrast is Contrast.T1), None)
    age = report.age_years
    # A reference without a value beside it would be taken for one, and one of another age for one of this.
    charted = score is not None and (age is None or decade_of(age) is not None)
    height = 200.0 if charted else 112.0 if score is not None else 70.0
    prior = 14.0 if report.prior else 0.0
    left = _CARD_LEFT + 16
    canvas.box((_CARD_LEFT, top), (_CARD_WIDTH, height + prior), fill=PANEL, radius=6)
    canvas.text((left, top + 26), report.texts("bone_quality"), size=15, colour=BRIGHT, bold=True)
    _scored_levels(canvas, report, top + 26)
    x = left
    for line in report.bone_quality:
        canvas.text((x, top + 54), report.texts.weighting(line.contrast.value), size=13, colour=QUIET)
        if line.score is None:
            # The reason is among the caveats below the images.
            words = report.texts("vbq_none")
            canvas.text((x + 32, top + 54), words, size=13, colour=EXCLUDED)
            x += canvas.width_of(words, size=13)
        else:
            value = report.texts.number(line.score, 2)
            canvas.text((x + 32, top + 54), value, size=20, colour=BRIGHT, bold=True)
            x += 50
        x += 68
    if report.prior:
        size = canvas.fitting_size(report.prior, size=12.0, width=_CARD_WIDTH - 32)
        canvas.text((left, top + 71), report.prior, size=size, colour=BRIGHT)
    if score is not None and not charted:
        width, at = _CARD_WIDTH - 32, (left, top + 78 + prior)
        canvas.paragraph(at, report.reference, size=12, colour=QUIET, width=width, most_lines=2)
    if score is not None and charted:
        words = report.texts("this_patient")
        canvas.text((_RIGHT - 16, top + 54), words, size=12, colour=BODY, anchor="rs")
        bar = _RIGHT - 24 - canvas.width_of(words, size=12)
        canvas.line([(bar, top + 43), (bar, top + 56)], colour=BODY, width=2.0)
        _vbq_scale(canvas, report, score, top + 64 + prior)


def _scored_levels(canvas: Canvas, report: StudyReport, y: float) -> None:
    """Write which levels the scores come from; levels that only one of them lacks are among the caveats."""
    levels = {line.levels for line in report.bone_quality if line.levels}
    if len(levels) == 1:
        words = report.texts("vbq_from", levels=levels.pop())
        title = canvas.width_of(report.texts("bone_quality"), size=15, bold=True)
        size = canvas.fitting_size(words, size=12, width=_CARD_WIDTH - 40 - title)
        canvas.text((_RIGHT - 16, y), words, size=size, colour=QUIET, anchor="rs")


def _vbq_scale(canvas: Canvas, report: StudyReport, score: float, top: float) -> None:
    """Draw the T1 reference by decade of age, and the score of this patient across it."""
    left, right = _CARD_LEFT + 74, _RIGHT - 18
    low, high = 1.0, 5.0

    def at(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (right - left)

    for row, decade in enumerate(T1_VBQ_BY_DECADE):
        y = top + 10 + row * 13
        start, mean, sd = decade.first_year, decade.mean, decade.sd
        own = report.age_years is not None and decade.holds(report.age_years)
        colour = BRIGHT if own else QUIET
        words = f"{start}-{start + 9}"
        canvas.text((left - 12, y), words, size=12, colour=colour, bold=own, anchor="rm")
        canvas.line([(at(mean - sd), y), (at(mean + sd), y)], colour=colour, width=3.0 if own else 2.0)
        canvas.dot((at(mean), y), radius=4.0, fill=colour)
    _vbq_axis(canvas, at, y + 11)
    canvas.line([(at(score), top - 4), (at(score), top + 73)], colour=BODY, width=2.0)
    words, left, width = report.texts("vbq_scale"), _CARD_LEFT + 16, _CARD_WIDTH - 32
    canvas.paragraph((left, top + 103), words, size=10.5, colour=QUIET, width=width, most_lines=3)


def _vbq_axis(canvas: Canvas, at: Callable[[float], float], y: float) -> None:
    canvas.line([(at(1.0), y), (at(5.0), y)], colour=RULE, width=1.0)
    for value in (1, 2, 3, 4, 5):
        canvas.line([(at(value), y), (at(value), y + 3)], colour=RULE, width=1.0)
        canvas.text((at(value), y + 14), str(value), size=11.5, colour=QUIET, anchor="ms")


# --- What to do next, disclaimer and model --------------------------------------------------------


def draw_foot(canvas: Canvas, report: StudyReport) -> float:
    """Draw what to do next, the disclaimer and the sentences about the model below everything else.

    Parameters
    ----------
    canvas : Canvas
        Of the summary picture.
    report : StudyReport
        The report in words.

    Returns
    -------
    float
        Its upper edge. The letters are smaller if the sentences are long.
    """
    next_step = report.texts.labelled(report.texts("next"), report.next_step) if report.next_step else ""
    told = [
        (words, colour)
        for words, colour in (
            (next_step, BRIGHT),
            (report.texts("not_for_short"), BRIGHT),
            # Without answers there is room for it.
            (report.texts("vbq_caution") if report.measurements_only else "", QUIET),
            (" · ".join(one for one in (report.intended_use, report.model, report.cohort) if one), QUIET),
        )
        if words
    ]
    width = _RIGHT - _LEFT
    for size in (12.0, 11.5, 11.0, 10.5):
        lines = sum(len(canvas.wrap(words, size=size, width=width)) for words, _ in told)
        if 1.4 * size * lines <= _MOST_FOOT:
            break
    lines = min(lines, _FOOT_LINES)
    y = _LAST_LINE - 1.4 * size * (lines - 1)
    top = y - size - 6
    canvas.line([(_LEFT, top), (_RIGHT, top)], colour=RULE, width=1.0)
    for words, colour in told:
        room = round((_LAST_LINE - y) / (1.4 * size)) + 1
        if room > 0:
            y = canvas.paragraph((_LEFT, y), words, size=size, colour=colour, width=width, most_lines=room)
    return top
