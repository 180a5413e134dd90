"""Read values of a header that may be damaged; a value that cannot be read counts as missing."""

import struct
from datetime import date, datetime
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag

from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from node.domain.scanner import scanner_key

__all__ = [
    "acquired_on",
    "is_given",
    "items",
    "number",
    "numbers",
    "required",
    "scanner_of",
    "text",
    "value",
    "values",
    "words",
]


_DAMAGED = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, OSError, TypeError),
    *(ValueError, struct.error),
)
"""What pydicom raises for values that are not what their VR says."""


_TEXT = {"CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UI"}


def value(header: Dataset, keyword: str | BaseTag) -> Any:  # noqa: ANN401 - a header may hold anything
    """Return the value of an attribute, or the element of a tag, as pydicom reads it.

    None if it is missing or damaged.
    """
    # pydicom decodes a value on first access, so a damaged one fails only here.
    try:
        return None if _is_no_text(header, keyword) else header.get(keyword)
    except _DAMAGED:
        return None


def _is_no_text(header: Dataset, keyword: str | BaseTag) -> bool:
    """Tell whether a number that is written as text holds other bytes, which pydicom would read as binary."""
    if keyword not in header:
        return False
    encoded = header.get_item(keyword).value
    return isinstance(encoded, bytes) and dictionary_VR(keyword) in {"DS", "IS"} and not encoded.isascii()


def is_given(header: Dataset, keyword: str) -> bool:
    """Tell whether an attribute has a value, be it damaged or not."""
    if keyword not in header:
        return False
    encoded = header.get_item(keyword).value
    if isinstance(encoded, bytes):
        # Zeros pad a text, while they are a value of a binary number.
        return bool(encoded.strip(b"\0 ") if dictionary_VR(keyword) in _TEXT else encoded)
    return encoded is not None and encoded not in ("", [])


def items(header: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; none if it is missing or damaged."""
    found = value(header, keyword)
    return list(found) if isinstance(found, Items) else []


def values(header: Dataset, keyword: str) -> list[Any]:
    """Return all values of an attribute; empty if it is missing, empty or damaged."""
    found = value(header, keyword)
    if found is None or found == "":
        return []
    return list(found) if isinstance(found, MultiValue) else [found]


def text(header: Dataset, keyword: str) -> str:
    """Return a value as text with single spaces; empty if there is none."""
    found = value(header, keyword)
    try:
        return "" if found is None else " ".join(str(found).split())
    except _DAMAGED:  # a name is decoded only here
        return ""


def words(header: Dataset, keyword: str) -> tuple[str, ...]:
    """Return all values of an attribute as words in capitals."""
    return tuple(str(word).strip().upper() for word in values(header, keyword))


def numbers(header: Dataset, keyword: str, count: int) -> list[float] | None:
    """Return the values of an attribute if they are `count` finite numbers, otherwise None."""
    try:
        found = [float(item) for item in values(header, keyword)]
    except (OverflowError, TypeError, ValueError):
        return None
    return found if len(found) == count and np.isfinite(found).all() else None


def number(header: Dataset, keyword: str) -> float | None:
    """Return the value of an attribute if it is one finite number, otherwise None."""
    found = numbers(header, keyword, 1)
    return None if found is None else found[0]


def required(header: Dataset, keyword: str, count: int) -> list[float]:
    """Return the values of an attribute of the image geometry, which must be `count` finite numbers.

    Raises
    ------
    RefusedError
        If they are not: without them the position of the image is unknown.
    """
    found = numbers(header, keyword, count)
    if found is None:
        raise RefusedError(Reason("place_unknown", keyword=keyword))
    return found


_DAYS = ("FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionDate", "SeriesDate", "StudyDate")
"""Where the day of an image stands, the closest to its acquisition first."""


def acquired_on(header: Dataset) -> date | None:
    """Return the day on which an image was acquired, or else that of its series or study; None if unknown."""
    for keyword in _DAYS:
        digits = text(header, keyword).replace(".", "").replace("-", "")[:8]
        try:
            return datetime.strptime(digits, "%Y%m%d").date()  # noqa: DTZ007 - a day has no time zone
        except ValueError:
            continue
    return None


def scanner_of(header: Dataset) -> str:
    """Return the key of the scanner that an image states; empty if it states none."""
    return scanner_key(
        text(header, "Manufacturer"),
        text(header, "ManufacturerModelName"),
        number(header, "MagneticFieldStrength"),
        text(header, "DeviceSerialNumber"),
    )
