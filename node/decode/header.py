"""Values of a header that may be damaged: each is read alone, and what cannot be read is missing."""

from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.multival import MultiValue

from analysis.domain.reason import Reason
from analysis.errors import RefusedError

__all__ = ["number", "numbers", "required", "text", "words"]


def _value(header: Dataset, keyword: str) -> Any:  # noqa: ANN401 - a header may hold anything
    # pydicom parses values when they are first asked for, and damaged ones fail only then.
    try:
        return header.get(keyword)
    except (TypeError, ValueError):
        return None


def text(header: Dataset, keyword: str) -> str:
    """Return a value as words with single spaces; empty where there is none."""
    value = _value(header, keyword)
    return "" if value is None else " ".join(str(value).split())


def words(header: Dataset, keyword: str) -> tuple[str, ...]:
    """Return all values of an attribute, in capitals."""
    value = _value(header, keyword)
    if value is None or value == "":
        return ()
    several = value if isinstance(value, MultiValue) else [value]
    return tuple(str(word).strip().upper() for word in several)


def numbers(header: Dataset, keyword: str, count: int) -> list[float] | None:
    """Return the values of an attribute if they are that many finite numbers."""
    value = _value(header, keyword)
    several = list(value) if isinstance(value, MultiValue) else [value]
    try:
        found = [float(item) for item in several]
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and np.isfinite(found).all() else None


def number(header: Dataset, keyword: str) -> float | None:
    """Return the value of an attribute if it is one finite number."""
    found = numbers(header, keyword, 1)
    return None if found is None else found[0]


def required(header: Dataset, keyword: str, count: int) -> list[float]:
    """Return that many numbers.

    Raises
    ------
    RefusedError
        If the header does not hold them: nobody can tell where the image lies.
    """
    found = numbers(header, keyword, count)
    if found is None:
        raise RefusedError(Reason("place_unknown", keyword=keyword))
    return found
