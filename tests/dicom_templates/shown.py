"""A presentation state drawn over its images: grey by DCMTK, lines and words as PS3.3 C.10.5 places them.

dcmp2pgm of DCMTK applies windows and the displayed area, but draws no annotations.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from highdicom.color import CIELabColor
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset

from tests.peers import program, run

__all__ = ["annotations_on", "drawn"]


def annotations_on(state: Dataset, sop_instance_uid: str, frame: int | None = None) -> Iterator[Dataset]:
    """Yield the graphic annotations of an image; those without a reference are on all images."""
    for annotation in state.GraphicAnnotationSequence:
        references = annotation.get("ReferencedImageSequence")
        if not references or any(
            one.ReferencedSOPInstanceUID == sop_instance_uid
            and (frame is None or frame in np.atleast_1d(one.ReferencedFrameNumber))
            for one in references
        ):
            yield annotation


def drawn(
    image: Path, sop_instance_uid: str, state_file: Path, state: Dataset, work: Path, *, zoom: int = 3
) -> Image.Image:
    """Return an image as its presentation state shows it, each pixel as a square of `zoom` pixels."""
    grey = work / "grey.pgm"
    run([program("dcmp2pgm", "dcmtk"), "-p", state_file, image, grey])
    opened = Image.open(grey).convert("RGB")
    shown = opened.resize((opened.width * zoom, opened.height * zoom), Image.Resampling.NEAREST)
    pen, font = ImageDraw.Draw(shown), ImageFont.load_default(size=5.0 * zoom)
    colours = {
        one.GraphicLayer: CIELabColor(*_lab(one.GraphicLayerRecommendedDisplayCIELabValue)).to_rgb()
        for one in state.GraphicLayerSequence
    }
    for annotation in annotations_on(state, sop_instance_uid):
        colour = colours[annotation.GraphicLayer]
        for line in annotation.get("GraphicObjectSequence", ()):
            # Coordinates count from the outer corner of the first pixel, as those of the enlarged picture do.
            pen.line([zoom * float(one) for one in line.GraphicData], fill=colour, width=1)
        for words in annotation.get("TextObjectSequence", ()):
            scale = (
                (shown.width, shown.height) if words.BoundingBoxAnnotationUnits == "DISPLAY" else (zoom, zoom)
            )
            left, top = (a * float(b) for a, b in zip(scale, words.BoundingBoxTopLeftHandCorner, strict=True))
            right, _ = (
                a * float(b) for a, b in zip(scale, words.BoundingBoxBottomRightHandCorner, strict=True)
            )
            at_right = words.BoundingBoxTextHorizontalJustification == "RIGHT"
            pen.text(
                (right if at_right else left, top),
                str(words.UnformattedTextValue).replace("\r", ""),
                fill=colour, font=font, anchor="ra" if at_right else "la",
            )  # fmt: skip
    return shown


def _lab(stored: list[int]) -> tuple[float, float, float]:
    """Read CIELab as PS3.3 C.10.7.1.1 stores it in 16 bits."""
    light, red, yellow = (int(one) / 65535 for one in stored)
    return light * 100, red * 255 - 128, yellow * 255 - 128
