"""Faults of a configuration file, each with its line."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from node.errors import ConfigurationError

__all__ = ["Faults", "suggestion"]

_HEADER = re.compile(r"\s*\[(\[?)\s*([A-Za-z0-9_.-]+)\s*\]?\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")


class Faults:
    """The faults found so far, in the order in which they were found.

    Parameters
    ----------
    text : str
        Content of the file.
    name : str
        Name of the file in messages.
    """

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._lines = _lines_of(text)
        self._messages: list[str] = []

    def note(self, table: str, key: str, message: str) -> None:
        """Note a fault with the line of the key, or of its table if the key is not in the file."""
        # A key or an array may stand where a table belongs, and a nested table may be written inline.
        parent, _, child = table.rpartition(".")
        places = (
            (table, key), (table, ""), ("", table.removesuffix("[1]")), (parent, child), (parent, ""),
            (f"{table}[1]", ""),
        )  # fmt: skip
        line = next((self._lines[place] for place in places if place in self._lines), None)
        where = f"{self._name}:{line}" if line else self._name
        self._messages.append(f"{where}: {message}")

    def raise_any(self) -> None:
        """Raise all faults, if there are any.

        Raises
        ------
        ConfigurationError
            With all of them.
        """
        if self._messages:
            raise ConfigurationError(tuple(self._messages))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" for an unknown word that is close to a known one, or an empty string."""
    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _lines_of(text: str) -> dict[tuple[str, str], int]:
    """Find the line of each table and key, which tomllib does not keep.

    The result has an entry for each (table, key), and one for (table, ""), the header of the table. The n-th
    element of an array of tables is called "name[n]", and a table in it "name[n].inner".
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
