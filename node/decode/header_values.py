"""Read values of a header that may be damaged; a value that cannot be read counts as missing."""

from typing import Any

import numpy as np
from pydicom import Dataset, config
from pydicom.multival import MultiValue

from analysis.domain.reason import Reason
from analysis.errors import RefusedError

__all__ = ["number", "numbers", "required", "text", "value", "values", "words"]

# Damaged values are handled here one by one; the warnings of pydicom about them would quote patient data.
config.settings.reading_validation_mode = config.IGNORE


def value(header: Dataset, keyword: str) -> Any:  # noqa: ANN401 - a header may hold anything
    """Return the value of an attribute as pydicom reads it; None if it is missing or damaged."""
    # pydicom decodes a value on first access, so a damaged one fails only here.
    try:
        return header.get(keyword)
    except (TypeError, ValueError):
        return None


def values(header: Dataset, keyword: str) -> list[Any]:
    """Return all values of an attribute; empty if it is missing, empty or damaged."""
    found = value(header, keyword)
    if found is None or found == "":
        return []
    return list(found) if isinstance(found, MultiValue) else [found]


def text(header: Dataset, keyword: str) -> str:
    """Return a value as text with single spaces; empty if there is none."""
    found = value(header, keyword)
    return "" if found is None else " ".join(str(found).split())


def words(header: Dataset, keyword: str) -> tuple[str, ...]:
    """Return all values of an attribute as words in capitals."""
    return tuple(str(word).strip().upper() for word in values(header, keyword))


def numbers(header: Dataset, keyword: str, count: int) -> list[float] | None:
    """Return the values of an attribute if they are `count` finite numbers, otherwise None."""
    try:
        found = [float(item) for item in values(header, keyword)]
    except (TypeError, ValueError):
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
