"""From stored values to the signal that they stand for, or the reason why it is unknown.

Of all that DICOM lets stand between a stored value and the signal, this module applies Rescale Slope and
Intercept, unused bits and pixel padding. It refuses what would make dark bright, what is not linear, and what
gives the pixels another meaning than signal.

References
----------
DICOM PS3.3 C.7.6.3.1.2 Photometric Interpretation, C.11.1 Modality LUT, C.11.6 Presentation LUT Shape,
C.7.5.1.1.2 Pixel Padding Value and Pixel Padding Range Limit, C.7.6.16.2.11 Real World Value Mapping;
PS3.5 8.1.1 Pixel Data Encoding of Related Data Elements.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.tag import Tag

from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from node.decode.header_values import is_given, items, number, numbers, text, value
from node.decode.series import SeriesHeaders

__all__ = ["check_meaning", "has_overlay_bits", "rescale", "signal"]

_LARGEST = 1e12
"""Signals above it cannot be squared and summed in single precision."""
_SMALLEST_STEP = 1e-12
_SAME_FACTOR = 1e-3
_RANGE = ("RealWorldValueFirstValueMapped", "RealWorldValueLastValueMapped")
_PADDING_SHOWS = 0.1
"""Fraction of the brightest signal above which padding inside of an image hides anatomy."""

_NO_UNITS = {
    *("", "1", "{no units}", "no units", "[arb'u]", "arbitrary units", "us", "unspecified", "none"),
    *("dimensionless", "unity", "{unspecified}", "{arbitrary}"),
}
"""Codes and names of units that only say that there is none."""

_BIT_POSITION = 0x0102
"""Element of Overlay Bit Position; overlays were once stored in the unused bits of the pixels."""

_Stored = npt.NDArray[np.number[Any]]


def check_meaning(series: SeriesHeaders) -> None:
    """Refuse a series if its headers do not say that its pixels are linear in the signal.

    Raises
    ------
    RefusedError
        With the attribute that says otherwise.
    """
    mappings = set()
    for header, image in zip(series.headers, series.objects, strict=True):
        _refuse_inverted(image)
        _refuse_colour(header)
        _refuse_not_linear(image)
        slope, intercept = rescale(header)
        mappings.add(tuple(_mapping_factors(header, slope, intercept)))
    first = next(iter(mappings))
    for other in mappings:
        if len(first) != len(other) or not np.allclose(first, other, rtol=_SAME_FACTOR, atol=0):
            raise RefusedError(Reason("values_contradicted", keyword="RealWorldValueMappingSequence"))


def _refuse_inverted(image: Dataset) -> None:
    photometric = text(image, "PhotometricInterpretation").upper()
    if not photometric:
        raise RefusedError(Reason("values_unknown", keyword="PhotometricInterpretation"))
    inverted = {
        "PhotometricInterpretation": photometric == "MONOCHROME1",
        "PresentationLUTShape": text(image, "PresentationLUTShape").upper() == "INVERSE",
        "PixelIntensityRelationshipSign": number(image, "PixelIntensityRelationshipSign") == -1,
    }
    for keyword, is_so in inverted.items():
        if is_so:
            raise RefusedError(Reason("values_inverted", keyword=keyword))
    if photometric != "MONOCHROME2":
        raise RefusedError(Reason("not_one_grey_image"))


def _refuse_colour(header: Dataset) -> None:
    if text(header, "PixelPresentation").upper() not in {"", "MONOCHROME"}:
        raise RefusedError(Reason("not_one_grey_image"))


def _refuse_not_linear(image: Dataset) -> None:
    not_linear = {
        "ModalityLUTSequence": bool(items(image, "ModalityLUTSequence"))
        or is_given(image, "ModalityLUTSequence"),
        "PixelIntensityRelationship": text(image, "PixelIntensityRelationship").upper() not in {"", "LIN"},
        "PresentationLUTShape": text(image, "PresentationLUTShape").upper() not in {"", "IDENTITY"},
    }
    for keyword, is_so in not_linear.items():
        if is_so:
            raise RefusedError(Reason("values_not_linear", keyword=keyword))
    stored, high = number(image, "BitsStored"), number(image, "HighBit")
    if stored is not None and high is not None and high != stored - 1:
        raise RefusedError(Reason("values_unknown", keyword="HighBit"))


def rescale(header: Dataset) -> tuple[float, float]:
    """Return slope and intercept; 1 and 0 if there are none.

    Raises
    ------
    RefusedError
        If one is damaged or missing beside the other, or if the slope leaves nothing of the signal.
    """
    given = {keyword: is_given(header, keyword) for keyword in ("RescaleSlope", "RescaleIntercept")}
    found = {keyword: number(header, keyword) for keyword in given}
    for keyword, is_there in given.items():
        if is_there and found[keyword] is None:
            raise RefusedError(Reason("values_unknown", keyword=keyword))
    slope, intercept = found["RescaleSlope"], found["RescaleIntercept"]
    if (slope is None and intercept) or (intercept is None and slope not in {None, 1.0}):
        missing = "RescaleSlope" if slope is None else "RescaleIntercept"
        raise RefusedError(Reason("values_unknown", keyword=missing))
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    if slope < 0:
        raise RefusedError(Reason("values_inverted", keyword="RescaleSlope"))
    if not _SMALLEST_STEP <= slope <= _LARGEST:
        raise RefusedError(Reason("values_unknown", keyword="RescaleSlope"))
    if abs(intercept) > _LARGEST:
        raise RefusedError(Reason("values_unknown", keyword="RescaleIntercept"))
    return slope, intercept


def _mapping_factors(header: Dataset, slope: float, intercept: float) -> Iterator[float]:
    """Yield how many real world units each rescaled unit has, in every mapping of an image.

    A factor that is the same in all slices changes no ratio of signals. An offset, a table or a unit does.
    """
    keyword = "RealWorldValueMappingSequence"
    mappings = items(header, keyword)
    if len({tuple(text(one, end) for end in _RANGE) for one in mappings}) > 1:
        raise RefusedError(Reason("values_not_linear", keyword=keyword))
    for mapping in mappings:
        _refuse_units(mapping)
        factor = numbers(mapping, "RealWorldValueSlope", 1)
        offset = numbers(mapping, "RealWorldValueIntercept", 1)
        if is_given(mapping, "RealWorldValueLUTData") or factor is None or offset is None:
            raise RefusedError(Reason("values_not_linear", keyword=keyword))
        if factor[0] <= 0 or abs(offset[0] / factor[0] - intercept / slope) > 0.5:  # half a stored value
            raise RefusedError(Reason("values_contradicted", keyword=keyword))
        yield factor[0] / slope


def _refuse_units(mapping: Dataset) -> None:
    for unit in items(mapping, "MeasurementUnitsCodeSequence"):
        if not {text(unit, "CodeValue").casefold(), text(unit, "CodeMeaning").casefold()} & _NO_UNITS:
            raise RefusedError(Reason("values_with_unit", keyword="RealWorldValueMappingSequence"))


def has_overlay_bits(image: Dataset) -> bool:
    """Tell whether the unused bits of the pixels hold an overlay, which is masked like the rest of them."""
    positions = (value(image, Tag(group, _BIT_POSITION)) for group in range(0x6000, 0x6020, 2))
    return any(element is not None and element.value for element in positions)


def signal(stored: _Stored, header: Dataset, image: Dataset) -> npt.NDArray[np.float32]:
    """Return the signal that stored values stand for; padding has the lowest.

    Parameters
    ----------
    stored : ndarray of shape (rows, columns)
        Stored values of one slice, without unused bits.
    header, image : Dataset
        Header of the slice, and of the object that it is part of.

    Raises
    ------
    RefusedError
        If padding hides anatomy or is not a number, or if single precision cannot hold the values or tell
        neighbouring ones apart.
    """
    slope, intercept = rescale(header)
    values = stored.astype(np.float64)
    values *= slope
    values += intercept
    _fill_padding(values, _padding(stored, image))
    largest = max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
    if not largest <= _LARGEST or float(np.spacing(np.float32(largest))) > slope:
        keyword = "RescaleIntercept" if abs(intercept) > largest / 2 else "RescaleSlope"
        raise RefusedError(Reason("values_unknown", keyword=keyword))
    return values.astype(np.float32)


def _fill_padding(values: npt.NDArray[np.float64], padding: npt.NDArray[np.bool_]) -> None:
    if not padding.any():
        return
    shown = values[~padding]
    lowest = float(shown.min(initial=0.0))
    within = values[padding & ~_reaches_border(padding)]
    brightest = float(np.percentile(shown, 99)) if shown.size else 0.0
    if within.size and float(within.max()) > lowest + _PADDING_SHOWS * (brightest - lowest):
        raise RefusedError(Reason("padding_within"))
    values[padding] = lowest


def _padding(stored: _Stored, image: Dataset) -> npt.NDArray[np.bool_]:
    limits = []
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        if not is_given(image, keyword):
            continue
        found = number(image, keyword)
        if found is None or not math.isfinite(found):
            raise RefusedError(Reason("values_unknown", keyword=keyword))
        limits.append(_as_stored(int(found), stored.dtype))
    if not limits or not is_given(image, "PixelPaddingValue"):
        return np.zeros(stored.shape, np.bool_)
    return np.asarray((stored >= min(limits)) & (stored <= max(limits)))


def _as_stored(told: int, kind: np.dtype[np.number[Any]]) -> int:
    """Read a padding value with the sign of the pixels; its VR often has the other one."""
    if kind.kind not in "iu":
        return told
    modulus = 1 << 8 * kind.itemsize
    told %= modulus
    return told - modulus if kind.kind == "i" and told >= modulus // 2 else told


def _reaches_border(padding: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Tell which padding reaches the border of the image along its row or column, through padding alone."""
    reached = np.zeros_like(padding)
    for axis in (0, 1):
        reached |= np.logical_and.accumulate(padding, axis=axis)
        reached |= np.flip(np.logical_and.accumulate(np.flip(padding, axis), axis=axis), axis)
    return reached
