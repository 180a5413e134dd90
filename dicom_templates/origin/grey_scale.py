"""How the stored values of a source image are shown: rescaled, then through a window.

A presentation state replaces what the image itself says of this, so it has to repeat it.

References
----------
DICOM PS3.4 N.2 Pixel transformation sequence; PS3.3 C.11.1 Modality LUT, C.11.2 VOI LUT,
C.7.6.16.2.10 Frame VOI LUT.
"""

import math
import struct
from dataclasses import dataclass

from pydicom import Dataset

__all__ = ["GreyScale", "grey_scale_of"]


@dataclass(frozen=True, slots=True)
class GreyScale:
    """From stored values to grey.

    Attributes
    ----------
    slope, intercept : float
        Of the rescaled value: stored value times slope plus intercept.
    window : tuple of float, or None
        Centre and width, in rescaled values; None where the image gives none that can be used.
    """

    slope: float = 1.0
    intercept: float = 0.0
    window: tuple[float, float] | None = None


def grey_scale_of(header: Dataset, frame: int | None) -> GreyScale:
    """Read how an image is shown.

    Parameters
    ----------
    header : Dataset
        Of a classic or an enhanced MR object.
    frame : int or None
        Frame number from 1 in an enhanced object.

    Returns
    -------
    GreyScale
        Whatever is missing or damaged is replaced by its default, because it changes no measurement.
    """
    rescaled = _values(header, frame, "PixelValueTransformationSequence")
    shown = _values(header, frame, "FrameVOILUTSequence")
    centre, width = _number(shown, "WindowCenter"), _number(shown, "WindowWidth")
    return GreyScale(
        slope=_number(rescaled, "RescaleSlope") or 1.0,
        intercept=_number(rescaled, "RescaleIntercept") or 0.0,
        window=None if centre is None or width is None or width <= 0.0 else (centre, width),
    )


_DAMAGED = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, OSError, TypeError),
    *(ValueError, struct.error),
)
"""What pydicom raises for values that are not what their VR says."""


def _values(header: Dataset, frame: int | None, sequence: str) -> Dataset:
    """Return the dataset with the values: the header itself, or a functional group of the frame."""
    if frame is None:
        return header
    try:
        of_frame = header.PerFrameFunctionalGroupsSequence[frame - 1]
        groups = of_frame if sequence in of_frame else header.SharedFunctionalGroupsSequence[0]
        found: Dataset = groups[sequence].value[0]
    except _DAMAGED:
        return Dataset()
    return found


def _number(header: Dataset, keyword: str) -> float | None:
    """Return the first value of an attribute; None if it is missing or no number."""
    try:
        found = header.get(keyword)
        number = float(found if isinstance(found, str | float | int) else found[0])
    except _DAMAGED:
        return None
    return number if math.isfinite(number) else None
