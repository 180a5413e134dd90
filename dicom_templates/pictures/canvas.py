"""A drawing surface in units of the layout, independent of the resolution of the picture."""

import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

__all__ = ["Canvas", "Colour", "Point", "font_file", "unbroken"]

_UNBROKEN = re.compile(r"(?<=\d) (?=(?:%|mm|ms|ml|cm)(?!\w))|(?<=[<>±]) (?=\d)| (?=[;:!?»](?:\s|$))")
"""The space between a number and its unit or its sign, and before the signs that have one in French."""

Colour = tuple[int, int, int]
Point = tuple[float, float]

_OVERSAMPLING = 2
"""Pillow draws lines without anti-aliasing, so the picture is drawn larger by this factor and averaged."""


class Canvas:
    """A picture that is drawn in units of the layout.

    Parameters
    ----------
    width, height : int
        In layout units.
    scale : float
        Pixels of the finished picture per layout unit.
    background : tuple of int
        sRGB.
    """

    def __init__(self, width: int, height: int, *, scale: float, background: Colour) -> None:
        from PIL import Image, ImageDraw

        self._factor = scale * _OVERSAMPLING
        size = (round(width * self._factor), round(height * self._factor))
        self._image = Image.new("RGB", size, background)
        self._draw = ImageDraw.Draw(self._image)

    def finish(self) -> npt.NDArray[np.uint8]:
        """Return the picture.

        Returns
        -------
        ndarray of uint8, shape (rows, columns, 3)
        """
        return np.asarray(self._image.reduce(_OVERSAMPLING))

    def text(
        self, at: Point, words: str, *, size: float, colour: Colour, bold: bool = False, anchor: str = "ls"
    ) -> None:
        """Write one line; `anchor` as in Pillow, "ls" for left on the baseline."""
        self._draw.text(self._px(at), words, font=self._font(size, bold=bold), fill=colour, anchor=anchor)

    def width_of(self, words: str, *, size: float, bold: bool = False) -> float:
        """Return the width of one line, in units of the layout."""
        return float(self._font(size, bold=bold).getlength(words)) / self._factor

    def fitting_size(self, words: str, *, size: float, width: float, bold: bool = False) -> float:
        """Return the largest font size up to `size` at which one line fits a width."""
        return size * min(1.0, width / max(self.width_of(words, size=size, bold=bold), 1e-6))

    def wrap(self, words: str, *, size: float, width: float, bold: bool = False) -> list[str]:
        """Break words into lines that fit a width; a number stays with its unit."""
        lines: list[str] = []
        for word in re.split(r"[ \n]+", unbroken(words.strip())):
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and self.width_of(longer, size=size, bold=bold) <= width:
                lines[-1] = longer
            else:
                lines.append(word)
        return lines

    def paragraph(
        self,
        at: Point,
        words: str,
        *,
        size: float,
        colour: Colour,
        width: float,
        most_lines: int,
        bold: bool = False,
    ) -> float:
        """Write wrapped lines below each other, and an ellipsis where they do not fit.

        Returns
        -------
        float
            The baseline after the last line.
        """
        lines = self.wrap(words, size=size, width=width, bold=bold)
        if len(lines) > most_lines:
            lines = lines[:most_lines]
            lines[-1] = self._shorten(lines[-1], size=size, width=width, bold=bold)
        x, y = at
        for line in lines:
            self.text((x, y), line, size=size, colour=colour, bold=bold)
            y += 1.4 * size
        return y

    def box(self, corner: Point, size: Point, *, fill: Colour, radius: float = 0.0) -> None:
        """Fill a rectangle, with round corners if `radius` is positive."""
        x, y = self._px(corner)
        width, height = self._px(size)
        self._draw.rounded_rectangle((x, y, x + width, y + height), radius=radius * self._factor, fill=fill)

    def line(self, points: Sequence[Point], *, colour: Colour, width: float) -> None:
        """Draw a line through points."""
        self._draw.line(
            [self._px(point) for point in points],
            fill=colour,
            width=max(1, round(width * self._factor)),
            joint="curve",
        )

    def dashed(self, points: Sequence[Point], *, colour: Colour, width: float, dash: float) -> None:
        """Draw a dashed line through points."""
        corners = np.asarray(points, dtype=np.float64)
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
        for start in np.arange(0.0, along[-1], 2 * dash):
            stops = np.linspace(start, min(start + dash, along[-1]), 5)
            piece = np.stack([np.interp(stops, along, corners[:, axis]) for axis in (0, 1)], axis=1)
            self.line([(float(x), float(y)) for x, y in piece], colour=colour, width=width)

    def dot(self, at: Point, *, radius: float, fill: Colour, rim: Colour | None = None) -> None:
        """Draw a filled circle, with a border if `rim` is given."""
        x, y = self._px(at)
        reach = radius * self._factor
        self._draw.ellipse(
            (x - reach, y - reach, x + reach, y + reach),
            fill=fill,
            outline=rim,
            width=round(1.5 * self._factor) if rim else 0,
        )

    def polygon(self, points: Sequence[Point], *, fill: Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon([self._px(point) for point in points], fill=fill)

    def picture(self, corner: Point, size: Point, grey: npt.NDArray[np.uint8]) -> None:
        """Draw a greyscale image into a rectangle, which must have its aspect ratio."""
        from PIL import Image

        width, height = (round(length) for length in self._px(size))
        shown = Image.fromarray(grey).resize((width, height), Image.Resampling.BICUBIC).convert("RGB")
        x, y = self._px(corner)
        self._image.paste(shown, (round(x), round(y)))

    def _px(self, point: Point) -> Point:
        return point[0] * self._factor, point[1] * self._factor

    def _font(self, size: float, *, bold: bool) -> "FreeTypeFont":
        return _font(round(size * self._factor), bold=bold)

    def _shorten(self, line: str, *, size: float, width: float, bold: bool) -> str:
        while line and self.width_of(f"{line} …", size=size, bold=bold) > width:
            line = line.rpartition(" ")[0]
        return f"{line} …"


def font_file(*, bold: bool) -> Path:
    """Return the path of DejaVu Sans, which comes with matplotlib and covers all our languages."""
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("matplotlib, whose fonts the summary picture uses, is not installed")
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / name


@cache
def _font(pixels: int, *, bold: bool) -> "FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.truetype(font_file(bold=bold), pixels)


def unbroken(words: str) -> str:
    r"""Return words in which a line cannot end between a number and its sign or unit.

    Examples
    --------
    >>> unbroken("> 99 % of 160")
    '>\xa099\xa0% of 160'
    """
    return _UNBROKEN.sub("\u00a0", words)
