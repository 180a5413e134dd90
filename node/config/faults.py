"""What is wrong with a configuration file, and on which line of it."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from node.errors import ConfigurationError

__all__ = ["Faults", "suggestion"]

_HEADER = re.compile(r"\s*\[(\[?)\s*([A-Za-z0-9_.-]+)\s*\]?\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")


class Faults:
    """The faults found so far, in the order they were found.

    Parameters
    ----------
    text : str
        The file.
    name : str
        What to call it in a fault.
    """

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._lines = _lines_of(text)
        self._told: list[str] = []

    def note(self, table: str, key: str, message: str) -> None:
        """Note a fault at a key, or at its table where the key is not written."""
        # A name that should be a table may be written as a key or an array instead, and a table in a table in
        # one line.
        parent, _, child = table.rpartition(".")
        places = (
            (table, key), (table, ""), ("", table.removesuffix("[1]")), (parent, child), (parent, ""),
            (f"{table}[1]", ""),
        )  # fmt: skip
        line = next((self._lines[place] for place in places if place in self._lines), None)
        where = f"{self._name}:{line}" if line else self._name
        self._told.append(f"{where}: {message}")

    def raise_any(self) -> None:
        """Tell all of them.

        Raises
        ------
        ConfigurationError
            If there are any.
        """
        if self._told:
            raise ConfigurationError(tuple(self._told))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return what was probably meant by a word that nobody knows, to be added to a sentence; or nothing."""
    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _lines_of(text: str) -> dict[tuple[str, str], int]:
    """Find the line of every table and key; tomllib keeps none.

    Keys are (table, key), where the n-th element of an array of tables is "name[n]", and a table in it
    "name[n].inner"; (table, "") is a header.
    """
    lines: dict[tuple[str, str], int] = {}
    seen: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = header[2]
            parent, dot, child = table.partition(".")
            if header[1]:
                seen[table] = seen.get(table, 0) + 1
                table = f"{table}[{seen[table]}]"
            elif dot and parent in seen:
                table = f"{parent}[{seen[parent]}].{child}"
            lines.setdefault((table, ""), number)
        elif key := _KEY.match(line):
            lines.setdefault((table, key[1]), number)
    return lines
