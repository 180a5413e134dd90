"""The table in which highdicom looks up the attributes of modules, read only as far as it is asked for."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import highdicom
from highdicom import _standard_utils

__all__ = ["ModuleTable", "load_attribute_table", "table_of"]

_FILE = Path(highdicom.__file__).parent / "_standard" / "module_attribute_map.json"
_BEGIN, _END = b'{\n  "', b"]\n}"
_MODULE = re.compile(rb'\n  "([^"]+)": \[')


class ModuleTable(Mapping[str, list[dict[str, Any]]]):
    """The attributes of each module of the standard, read from a part of a file when they are looked up.

    Parameters
    ----------
    file : Path
        A JSON object of lists, one for each module.
    content : bytes
        What is in the file, written as `json.dump` does with an indent of two.
    """

    def __init__(self, file: Path, content: bytes) -> None:
        self._file = file
        found = list(_MODULE.finditer(content))
        ends = [*(after.start() for _, after in pairwise(found)), content.rindex(b"]") + 1]
        # From the bracket of its list to the comma before the next module.
        self._places = {one[1].decode(): (one.end() - 1, end) for one, end in zip(found, ends, strict=True)}
        self._read: dict[str, list[dict[str, Any]]] = {}

    def __getitem__(self, name: str) -> list[dict[str, Any]]:
        if name not in self._read:
            begin, end = self._places[name]
            with self._file.open("rb") as file:
                file.seek(begin)
                self._read[name] = json.loads(file.read(end - begin).removesuffix(b","))
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def table_of(file: Path) -> Mapping[str, list[dict[str, Any]]]:
    """Return the table in a file; it is read whole if it is not written as `ModuleTable` needs it."""
    content = file.read_bytes()
    if content.startswith(_BEGIN) and content.rstrip().endswith(_END):
        return ModuleTable(file, content)
    every: dict[str, list[dict[str, Any]]] = json.loads(content)
    return every


def load_attribute_table() -> None:
    """Have highdicom take our table, where it would read a whole one of its own with the first object.

    A whole one has a hundred thousand entries, takes a third of a second and is kept: 60 MB. The objects of a
    study need a few hundred of them.
    """
    reader = SimpleNamespace(loads=lambda _: table_of(_FILE))
    with patch.object(_standard_utils, "json", reader):
        _standard_utils.get_module_attribute_map()
