"""Datasets in the JSON of an archive, as far as they can be read.

References
----------
DICOM PS3.18 Annex F, DICOM JSON Model.
"""

import json
from contextlib import suppress
from typing import Any

from pydicom import Dataset

from node.errors import PermanentError

__all__ = ["datasets_in"]


def datasets_in(body: bytes) -> list[Dataset]:
    """Return the datasets that a JSON response holds.

    A value that cannot be read counts as missing: one damaged study must not hide all others of its day.

    Raises
    ------
    PermanentError
        If it is no list of datasets, or none of them can be read.

    Examples
    --------
    >>> body = b'[{"0020000D": {"vr": "UI", "Value": ["1.2"]}, "00201208": {"vr": "IS", "Value": ["x"]}}, 5]'
    >>> [one.to_json_dict() for one in datasets_in(body)]
    [{'0020000D': {'vr': 'UI', 'Value': ['1.2']}}]
    """
    try:
        answers = json.loads(body if _is_utf(body) else body.decode("utf-8", "replace"))
        if not isinstance(answers, list):
            raise TypeError("it is no list")  # noqa: TRY301 - handled as any other fault
    except (ValueError, TypeError, RecursionError) as error:
        raise PermanentError("its answer is no DICOM JSON") from error
    found = [dataset for answer in answers if (dataset := _dataset(answer)) is not None]
    if answers and not found:
        raise PermanentError("its answer is no DICOM JSON")
    return found


def _is_utf(body: bytes) -> bool:
    try:
        body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        return False
    return True


def _dataset(answer: object) -> Dataset | None:
    """Return one dataset; None if nothing of it can be read."""
    if not isinstance(answer, dict):
        return None
    with suppress(Exception):
        return _read(answer)
    found = Dataset()
    for tag, value in answer.items():
        with suppress(Exception):  # pydicom raises whatever the value makes it raise
            found.update(_read({tag: value}))
    return found if found or not answer else None


def _read(answer: dict[str, Any]) -> Dataset:
    return Dataset.from_json(answer, lambda _tag, _vr, _uri: None)
