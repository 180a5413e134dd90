"""The report as a PDF: on an A4 page the images and every answer, and the details below if they fit.

matplotlib writes words as text, so that they can be searched and copied.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

from dicom_templates.pictures.canvas import Canvas, Point, font_file
from dicom_templates.pictures.image_panels import draw_panels
from dicom_templates.pictures.mid_sagittal import SagittalPicture
from dicom_templates.pictures.palette import BACKGROUND
from dicom_templates.words.sections import level_lines
from dicom_templates.words.study_report import LevelRow, StudyReport
from dicom_templates.words.whom import named, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_pdf"]

_WIDTH, _HEIGHT = 595.0, 842.0
"""A4 in points."""
_MARGIN = 40.0
_FOOT = 42.0
_TEXT_WIDTH = _WIDTH - 2 * _MARGIN
_TEXT = 7.5
_HEADING = 9.0
_TITLE = 13.0
_LEADING = 1.3
_DETAIL = 6.5
_PANELS_WIDTH = 700
"""Of the images in layout units, three pixels each."""
_PANELS_HEIGHTS = 300, 260, 220, 190
"""The largest with which the report fits on one page is taken; the second where none does."""
_INK, _QUIET, _WARNING = "#14181f", "#566273", "#f0e442"
_RULER = Canvas(1, 1, scale=8, background=(0, 0, 0))
"""Measures text; nothing is drawn on it, so it is one unit large."""


def draw_pdf(report: StudyReport, pictures: Sequence[SagittalPicture]) -> bytes:
    """Draw the report as a PDF.

    Parameters
    ----------
    report : StudyReport
        The report in words.
    pictures : sequence of SagittalPicture
        One per series; none for a refusal.

    Returns
    -------
    bytes
        Equal for equal reports. Every page names the patient, as far as the report does, and its number.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_pdf import PdfPages

    stream = BytesIO()
    # No date, so that equal reports are equal files. Type 42 embeds fonts with a character map, so that text
    # can be searched.
    about = {"Title": report.title, "Creator": report.software, "CreationDate": None}
    with rc_context({"pdf.fonttype": 42}), PdfPages(stream, metadata=about) as file:
        for figure in _laid_out(report, pictures).finish():
            file.savefig(figure)
    return stream.getvalue()


def _laid_out(report: StudyReport, pictures: Sequence[SagittalPicture]) -> "_Pages":
    tried = []
    for height in _PANELS_HEIGHTS if pictures else _PANELS_HEIGHTS[1:2]:
        pages = _Pages(report)
        pages.write(pictures, height)
        if pages.count == 1:
            return pages
        tried.append(pages)
    return tried[min(1, len(tried) - 1)]


@dataclass(frozen=True, slots=True)
class _Style:
    size: float
    bold: bool = False
    colour: str = _INK
    indent: float = 0.0


class _Pages:
    """Writes from top to bottom, and starts a new page when one is full."""

    def __init__(self, report: StudyReport) -> None:
        self._report = report
        self._figures: list[Figure] = []
        self._y = 0.0
        self._turn()

    @property
    def count(self) -> int:
        """How many pages there are."""
        return len(self._figures)

    def write(self, pictures: Sequence[SagittalPicture], panels_height: int) -> None:
        """Write the whole report."""
        report = self._report
        if report.warning:
            self._banner(report.warning)
        self._lines(report.title, _Style(_TITLE, bold=True))
        dated = report.texts("study_of", date=report.study_date) if report.study_date else ""
        self._lines(
            " · ".join(part for part in (dated, report.analysed) if part), _Style(_TEXT, colour=_QUIET)
        )
        if report.whom is not None:
            self._y += 3
            told = (
                report.texts.labelled(label, _printed(value, report))
                for label, value in named(report.whom, report.texts)
            )
            # A line never ends within one of them.
            words = " · ".join(one.replace(" ", "\u00a0") for one in told)
            self._lines(words, _Style(_fitting(words, largest=8.5), bold=True))
        self._y += 6
        if pictures:
            self._images(pictures, panels_height)
        self._levels()
        for section in report.sections:
            self._section(section.heading, [line for line in section.lines if line not in section.details])
        self._details()

    def finish(self) -> "list[Figure]":
        """Add page number and disclaimer to each page, and return the pages."""
        count = len(self._figures)
        for number, figure in enumerate(self._figures, start=1):
            foot = self._report.texts("page", number=str(number), count=str(count))
            y = _HEIGHT - 30
            self._put(figure, (_MARGIN, y), self._report.texts("not_for_short"), _Style(7.5, colour=_QUIET))
            # Pages get parted, so each says whose it is.
            words = _in_short(self._report)
            size = _RULER.fitting_size(words, size=7.5, width=_TEXT_WIDTH, bold=True)
            self._put(figure, (_MARGIN, y + 11), words, _Style(size, bold=True, colour=_QUIET))
            self._put(figure, (_WIDTH - _MARGIN, y), foot, _Style(7.5, colour=_QUIET), align="right")
        return self._figures

    def _turn(self) -> None:
        from matplotlib.figure import Figure

        # At 72 dots per inch a dot is a point.
        self._figures.append(Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), dpi=72))
        self._y = _MARGIN

    def _need(self, height: float) -> None:
        if self._y + height > _HEIGHT - _FOOT:
            self._turn()

    def _section(self, heading: str, lines: Sequence[str]) -> None:
        if not lines:
            return
        # Keep a heading together with the first lines below it.
        self._need((_HEADING + 2 * _TEXT) * _LEADING)
        self._y += 3
        self._lines(heading, _Style(_HEADING, bold=True))
        self._y += 1
        for line in lines:
            self._lines(line, _Style(_TEXT, indent=9.0), mark="•")
            self._y += 1.0

    def _levels(self) -> None:
        """Write the table of levels: for each series volume, median signal and VBQ."""
        report, texts = self._report, self._report.texts
        contrasts = [one.contrast.value for one in report.captions]
        names = list(dict.fromkeys(row.name for row in report.levels))
        if not names:
            return
        measured = {(row.name, row.contrast): row for row in report.levels}
        pitch = _TEXT * _LEADING
        self._need((len(names) + 1) * pitch)
        heads = [
            f"{texts.weighting(one)}: {told}"
            for one in contrasts
            for told in (f"{texts('volume')} (ml)", texts("signal"), "VBQ")
        ]
        self._row([texts("level_names"), *heads], _Style(_DETAIL, colour=_QUIET))
        for name in names:
            rows = [measured.get((name, one)) for one in contrasts]
            self._row([name, *(cell for row in rows for cell in _cells(row))], _Style(_TEXT))

    def _row(self, cells: Sequence[str], style: _Style) -> None:
        self._y += _TEXT * _LEADING
        width = _TEXT_WIDTH / len(cells)
        for number, words in enumerate(cells):
            size = _RULER.fitting_size(words, size=style.size, width=width - 4)
            fitted = replace(style, size=size)
            self._put(self._figures[-1], (_MARGIN + number * width, self._y), words, fitted)

    def _details(self) -> None:
        """Write all details: below the answers if they fit there, else together on the next page."""
        in_table = level_lines(self._report.levels, self._report.texts)
        lines = [
            line
            for section in self._report.sections
            for line in section.lines
            if line in section.details and line not in in_table
        ]
        if not lines:
            return
        style = _Style(_DETAIL, colour=_QUIET)
        wrapped = sum(len(list(self._wrap(line, style))) for line in lines)
        self._need(min(3 + (_HEADING + wrapped * _DETAIL) * _LEADING, _HEIGHT - _MARGIN - _FOOT))
        self._y += 3
        self._lines(self._report.texts("details"), _Style(_HEADING, bold=True))
        for line in lines:
            self._lines(line, style)

    def _lines(self, words: str, style: _Style, *, mark: str = "") -> None:
        for number, line in enumerate(self._wrap(words, style)):
            self._need(style.size * _LEADING)
            self._y += style.size * _LEADING
            at = (_MARGIN + style.indent, self._y)
            if mark and number == 0:
                self._put(self._figures[-1], (_MARGIN, self._y), mark, style)
            self._put(self._figures[-1], at, line, style)

    def _wrap(self, words: str, style: _Style) -> Iterator[str]:
        yield from _RULER.wrap(words, size=style.size, width=_TEXT_WIDTH - style.indent, bold=style.bold)

    def _banner(self, words: str) -> None:
        from matplotlib.patches import Rectangle

        # Near the upper edge of the page, but where every printer prints.
        self._y = 14.0
        style = _Style(_fitting(words, largest=8.5), bold=True, colour="#000000")
        height = 12 + style.size * _LEADING * len(list(self._wrap(words, style)))
        self._figures[-1].add_artist(
            Rectangle(
                (0, 1 - (self._y + height) / _HEIGHT),
                1,
                height / _HEIGHT,
                transform=self._figures[-1].transFigure,
                color=_WARNING,
                linewidth=0,
            )
        )
        self._y += 3
        self._lines(words, style)
        self._y += 10

    def _images(self, pictures: Sequence[SagittalPicture], panels_height: int) -> None:
        extent = _PANELS_WIDTH, panels_height
        canvas = Canvas(*extent, scale=3.0, background=BACKGROUND)
        draw_panels(canvas, self._report, pictures, (0.0, 0.0), extent)
        height = _TEXT_WIDTH * panels_height / _PANELS_WIDTH
        self._need(height)
        place = (_MARGIN / _WIDTH, 1 - (self._y + height) / _HEIGHT, _TEXT_WIDTH / _WIDTH, height / _HEIGHT)
        axes = self._figures[-1].add_axes(place)
        axes.imshow(canvas.finish(), interpolation="none", aspect="auto")
        axes.set_axis_off()
        self._y += height + 4

    @staticmethod
    def _put(figure: "Figure", at: Point, words: str, style: _Style, *, align: Any = "left") -> None:  # noqa: ANN401 - a literal type of matplotlib
        from matplotlib.font_manager import FontProperties

        font = FontProperties(fname=str(font_file(bold=style.bold)), size=style.size)
        figure.text(
            at[0] / _WIDTH,
            1 - at[1] / _HEIGHT,
            words,
            parse_math=False,
            fontproperties=font,
            color=style.colour,
            horizontalalignment=align,
            verticalalignment="baseline",
        )


def _cells(row: LevelRow | None) -> tuple[str, str, str]:
    if row is None:
        return "-", "-", "-"
    return row.volume, row.signal, row.vbq


def _fitting(words: str, *, largest: float) -> float:
    """Return the size at which bold words fit in a line; they are wrapped where it would be too small."""
    size = 0.995 * _RULER.fitting_size(words, size=largest, width=_TEXT_WIDTH, bold=True)
    return size if size >= _TEXT else largest


def _in_short(report: StudyReport) -> str:
    """Write patient and date of the study in one line."""
    if report.whom is None:
        return ""
    told = [_printed(value, report) for _, value in named(report.whom, report.texts)[:3]]
    return " · ".join([*told, *([report.study_date] if report.study_date else [])])


def _printed(words: str, report: StudyReport) -> str:
    """Return words of the header as the fonts of the page can print them."""
    return printable(words, report.texts, lambda letter: ord(letter) in _letters())


@cache
def _letters() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(font_file(bold=True))).get_charmap())
