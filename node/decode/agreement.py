"""Check that all slices of a series were acquired in the same way, so that one statement holds for them all.

A series may hold slices from before and after contrast agent, two echoes, or a derived image among originals.
Whatever tells the contrast, the place or the origin of a slice is therefore compared. What scanners do write
slice by slice is not: times, windows, Rescale Slope, the last values of Image Type, coil elements.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from pydicom import Dataset

from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from analysis.identify import identify
from node.decode.facts import facts_by_slice
from node.decode.header_values import acquired_on, is_given, number, text, words
from node.decode.series import SeriesHeaders

__all__ = ["check_agreement", "check_kinds"]

_Tell: TypeAlias = Callable[[Dataset], Hashable]

_TOLERANCES = {
    "RepetitionTime": (0.02, 1.0),
    "EchoTime": (0.02, 0.5),
    "InversionTime": (0.02, 1.0),
    "FlipAngle": (0.02, 1.0),
    "EchoTrainLength": (0.0, 0.0),
    "MagneticFieldStrength": (0.05, 0.0),
    "SliceThickness": (0.02, 0.01),
    "SpacingBetweenSlices": (0.02, 0.01),
}
"""Keyword to the difference that rounding makes: a fraction of the value, and a number in its unit."""

_OF_THE_SERIES = {"MagneticFieldStrength", "SliceThickness", "SpacingBetweenSlices"}
"""Numbers that tell nothing by being absent, while a slice without inversion time had no inversion."""

_IMPOSSIBLE_BELOW_ZERO = (
    *("RepetitionTime", "EchoTime", "InversionTime", "FlipAngle", "EchoTrainLength"),
    *("MagneticFieldStrength", "SliceThickness"),
)

_CODES = ("ScanningSequence", "SequenceVariant", "ScanOptions")

_TEXTS = (
    *("Modality", "MRAcquisitionType", "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber"),
    *("FrameOfReferenceUID", "PatientPosition", "RescaleType"),
)
"""Texts that are the same in all slices that have them."""

_PROCESSING = {
    *("NORM", "FIL", "FILTERED", "FILTERED_GEMS", "SCIC", "PURE", "CLEAR", "ND", "DIS2D", "DIS3D"),
    *("COMP", "COMPOSED", "COMBINED", "ADD", "MOCO"),
}
"""Values of Image Type that tell how signal or geometry were changed."""

_MOST_RANGES = 8


def check_agreement(series: SeriesHeaders) -> None:
    """Refuse a series whose slices contradict each other or whose timing is impossible.

    Raises
    ------
    RefusedError
        With what differs and in which images.
    """
    headers = series.headers
    for keyword in _IMPOSSIBLE_BELOW_ZERO:
        wrong = [index for index, header in enumerate(headers) if _is_impossible(header, keyword)]
        if wrong:
            raise RefusedError(Reason("header_impossible", keyword=keyword, images=_named(series, wrong)))
    if series.frames_between:
        between = _ranges(sorted(set(series.frames_between)))
        raise RefusedError(Reason("frames_between", images=between))
    if reasons := (*_different_numbers(series), *_different_values(series), *_different_days(series)):
        raise RefusedError(*reasons)


def check_kinds(series: SeriesHeaders) -> None:
    """Refuse a series whose slices would not all be taken for the same, whatever their headers tell it by.

    Raises
    ------
    RefusedError
        With what each kind is taken for.
    """
    if reasons := tuple(_different_kinds(series)):
        raise RefusedError(*reasons)


def _is_impossible(header: Dataset, keyword: str) -> bool:
    if not is_given(header, keyword):
        return False
    found = number(header, keyword)
    return found is None or found < 0


def _different_numbers(series: SeriesHeaders) -> Iterator[Reason]:
    for keyword, (fraction, least) in _TOLERANCES.items():
        told = [number(header, keyword) for header in series.headers]
        known = [
            (index, value or 0.0)
            for index, value in enumerate(told)
            if value is not None or keyword not in _OF_THE_SERIES
        ]
        if not known:
            continue
        values = sorted(value for _, value in known)
        usual = values[len(values) // 2]
        tolerance = max(fraction * usual, least)
        apart = [index for index, value in known if abs(value - usual) > tolerance]
        if apart:
            yield Reason(
                "images_differ_by",
                keyword=keyword,
                least=values[0],
                most=values[-1],
                images=_named(series, apart),
            )


def _different_values(series: SeriesHeaders) -> Iterator[Reason]:
    tells: dict[str, _Tell] = {keyword: _codes(keyword) for keyword in _CODES}
    tells |= {keyword: _text(keyword) for keyword in _TEXTS}
    tells |= {"ImageType": _origin_and_processing, "RescaleSlope": _is_rescaled}
    for keyword, tell in tells.items():
        if apart := _apart([tell(header) for header in series.headers]):
            yield Reason("images_differ", keyword=keyword, images=_named(series, apart))


def _different_days(series: SeriesHeaders) -> Iterator[Reason]:
    days = [acquired_on(header) for header in series.headers]
    known = sorted(day for day in days if day is not None)
    if not known or (known[-1] - known[0]).days <= 1:  # an acquisition may last beyond midnight
        return
    usual = known[len(known) // 2]
    apart = [index for index, day in enumerate(days) if day is not None and abs((day - usual).days) > 1]
    yield Reason("images_differ", keyword="AcquisitionDate", images=_named(series, apart or [0]))


def _different_kinds(series: SeriesHeaders) -> Iterator[Reason]:
    facts = facts_by_slice(series.headers)
    kinds = {one: identify(one) for one in dict.fromkeys(facts)}
    told = [(kinds[one].contrast, kinds[one].plane, kinds[one].lumbar is False) for one in facts]
    if apart := _apart(told):
        rest = next(index for index in range(len(facts)) if index not in set(apart))
        yield Reason(
            "images_of_two_kinds",
            images=_named(series, apart),
            why=kinds[facts[apart[0]]].reasons[-1],
            usual=kinds[facts[rest]].reasons[-1],
        )


def _apart(told: Sequence[Hashable]) -> list[int]:
    """Return the indices of those that do not tell what most do; None tells nothing."""
    counts = Counter(one for one in told if one is not None)
    if len(counts) < 2:
        return []
    (usual, _), *_ = counts.most_common(1)
    return [index for index, one in enumerate(told) if one is not None and one != usual]


def _codes(keyword: str) -> _Tell:
    return lambda header: frozenset(words(header, keyword)) - {""}


def _text(keyword: str) -> _Tell:
    return lambda header: text(header, keyword).casefold() or None


def _origin_and_processing(header: Dataset) -> Hashable:
    told = words(header, "ImageType")
    return told[:2], frozenset(told[2:]) & _PROCESSING


def _is_rescaled(header: Dataset) -> Hashable:
    """Tell whether slope and intercept change the stored values; None if they are there and do not."""
    if not is_given(header, "RescaleSlope"):
        return False
    unchanged = number(header, "RescaleSlope") == 1 and not number(header, "RescaleIntercept")
    return None if unchanged else True


def _named(series: SeriesHeaders, indices: Sequence[int]) -> str:
    """Name images by their Instance Number or frame number, or else by their order in the series."""
    if series.frames:
        numbered = list(series.frames)
    else:
        numbered = [int(number(header, "InstanceNumber") or 0) for header in series.headers]
    if len(set(numbered)) < len(numbered):
        numbered = list(range(1, len(series.headers) + 1))
    return _ranges(sorted(numbered[index] for index in indices))


def _ranges(sorted_numbers: Sequence[int]) -> str:
    """Write numbers briefly.

    >>> _ranges([1, 2, 3, 7, 9, 10])
    '1-3, 7, 9-10'
    """
    parts = np.split(np.array(sorted_numbers), np.flatnonzero(np.diff(sorted_numbers) != 1) + 1)
    written = [str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts]
    return ", ".join(written[:_MOST_RANGES]) + (", ..." if len(written) > _MOST_RANGES else "")
