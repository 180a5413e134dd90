"""Reading TOML so that every fault is found in one pass and told with its line."""

import re
import tomllib
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, TypeVar

from node.errors import ConfigurationError

__all__ = ["Reader", "Table"]

T = TypeVar("T")

_HEADER = re.compile(r"\s*\[(\[?)\s*([A-Za-z0-9_.-]+)\s*\]?\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")
_INDEX = re.compile(r"\[\d+\]")
_WORDS: dict[type, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


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


class Reader:
    """A parsed file, and the faults found so far.

    Parameters
    ----------
    text : str
        The file.
    name : str
        What to call it in a fault.

    Raises
    ------
    ConfigurationError
        If the text is no TOML at all.
    """

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._lines = _lines_of(text)
        self.faults: list[str] = []
        try:
            self._root: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError((f"{name}: {error}",)) from None

    def table(self, name: str) -> "Table":
        """Return the table of that name, dotted for a table in a table; an empty one if it is missing."""
        values: Any = self._root
        for part in name.split("."):
            values = values.get(part, {}) if isinstance(values, dict) else {}
        if not isinstance(values, dict):
            self.fault(name, "", f"[{name}] must be a table")
            values = {}
        return Table(self, name, values)

    def tables(self, name: str) -> list["Table"]:
        """Return the elements of an array of tables."""
        values = self._root.get(name, [])
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            self.fault(name, "", f"write [[{name}]], one for each")
            return []
        return [Table(self, f"{name}[{index}]", value) for index, value in enumerate(values, start=1)]

    def refuse_unknown_tables(self, known: Iterable[str]) -> None:
        """Note every top-level name that nothing reads."""
        known = list(known)
        for name in self._root:
            if name not in known:
                table = name if (name, "") in self._lines else f"{name}[1]"
                self.fault(table, "", f"there is no section [{name}]{_suggestion(name, known)}")

    def fault(self, table: str, key: str, message: str) -> None:
        """Note a fault at a key, or at its table where the key is not written."""
        # A name that should be a table may be written as a key instead, and a table in a table in one line.
        parent, _, child = table.rpartition(".")
        places = ((table, key), (table, ""), ("", table.removesuffix("[1]")), (parent, child), (parent, ""))
        line = next((self._lines[place] for place in places if place in self._lines), None)
        where = f"{self._name}:{line}" if line else self._name
        self.faults.append(f"{where}: {message}")


class Table:
    """One table, read key by key; `finish` tells of the keys that nobody asked for."""

    def __init__(self, reader: Reader, name: str, values: dict[str, Any]) -> None:
        self._reader = reader
        self._values = values
        self._asked: list[str] = []
        self.name = name

    def take(self, key: str, default: T, *, check: Callable[[T], str | None] | None = None) -> T:
        """Return a value of the default's type, or the default when it is missing or faulty.

        Parameters
        ----------
        key : str
            Its name.
        default : T
            Used when it is not written; its type is the one wanted.
        check : callable, optional
            Returns what is wrong with a value ("must be …"), or None.
        """
        self._asked.append(key)
        if key not in self._values:
            return default
        value = self._values[key]
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not type(default):
            self.fault(key, f"must be {_WORDS[type(default)]}")
            return default
        wrong = check(value) if check else None
        if wrong:
            self.fault(key, wrong)
            return default
        return value

    def require(self, key: str, default: T, *, check: Callable[[T], str | None] | None = None) -> T:
        """Like `take`, for a key that must be written; the default only stands in once a fault is noted."""
        if key not in self._values:
            self.fault(key, "is missing")
        return self.take(key, default, check=check)

    def words(self, key: str, default: tuple[str, ...], allowed: Iterable[str]) -> tuple[str, ...]:
        """Return a list of words, each one of those allowed."""
        self._asked.append(key)
        value = self._values.get(key, list(default))
        allowed = list(allowed)
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            self.fault(key, "must be a list of words")
            return default
        unknown = [word for word in value if word not in allowed]
        if unknown or len(set(value)) < len(value):
            self.fault(key, f"may hold each of {', '.join(allowed)} once")
            return default
        return tuple(value)

    def numbers(self, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        """Return a list of positive numbers."""
        self._asked.append(key)
        value = self._values.get(key, list(default))
        if not isinstance(value, list) or not all(type(item) in {int, float} and item > 0 for item in value):
            self.fault(key, "must be a list of positive numbers")
            return default
        return tuple(float(number) for number in value)

    def table(self, key: str) -> "Table":
        """Return the table inside this one that has this key; an empty one if it is missing."""
        self._asked.append(key)
        values = self._values.get(key, {})
        if not isinstance(values, dict):
            self.fault(key, "must be a table")
            values = {}
        return Table(self._reader, f"{self.name}.{key}", values)

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return a list of any words, in their order."""
        self._asked.append(key)
        value = self._values.get(key, list(default))
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            self.fault(key, "must be a list of words")
            return default
        return tuple(value)

    def numbers_by_name(
        self, key: str, default: tuple[tuple[str, int], ...], allowed: Iterable[str]
    ) -> tuple[tuple[str, int], ...]:
        """Return a table of names that are allowed and of different positive whole numbers."""
        self._asked.append(key)
        value = self._values.get(key, dict(default))
        allowed = list(allowed)
        if not isinstance(value, dict) or not all(type(item) is int and item > 0 for item in value.values()):
            self.fault(key, "must give positive whole numbers to names, such as { L1 = 1, L2 = 2 }")
            return default
        if not value or not set(value) <= set(allowed) or len(set(value.values())) < len(value):
            self.fault(key, f"may give each of {', '.join(allowed)} one number of its own")
            return default
        return tuple((name, value[name]) for name in allowed if name in value)

    def skip(self, key: str) -> None:
        """Leave a key to another reader, so that it is not called unknown."""
        self._asked.append(key)

    def fault(self, key: str, message: str) -> None:
        """Note what is wrong with a key."""
        name = _INDEX.sub("", self.name)
        self._reader.fault(self.name, key, f"{name}.{key} {message}")

    def finish(self) -> None:
        """Note every key that nobody asked for."""
        for key in self._values:
            if key not in self._asked:
                self.fault(key, f"is unknown{_suggestion(key, self._asked)}")


def _suggestion(word: str, known: list[str]) -> str:
    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
