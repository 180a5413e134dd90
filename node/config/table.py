"""One table of TOML, read key by key so that every fault is found in one pass."""

import re
from collections.abc import Callable, Iterable
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from node.config.faults import Faults, suggestion

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Table"]

T = TypeVar("T")
S = TypeVar("S", bound="DataclassInstance")

_INDEX = re.compile(r"\[\d+\]")
_WORDS: dict[type, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


class Table:
    """One table; a function that reads it asks for the values it wants.

    Parameters
    ----------
    faults : Faults
        Where to note what is wrong.
    folder : Path
        What relative paths are meant from.
    name : str
        "node", "sources[1]" for the first element of an array, "node.tls" for a table in a table.
    values : dict
        What is written in it.
    """

    def __init__(self, faults: Faults, folder: Path, name: str, values: dict[str, Any]) -> None:
        self._faults = faults
        self._values = values
        self._asked: list[str] = []
        self.folder = folder
        self.name = name

    def read(self, how: "Callable[[Table], T]") -> T:
        """Return what a function makes of this table, and note every key that it did not ask for."""
        value = how(self)
        for key in self._values:
            if key not in self._asked:
                self.fault(key, f"is unknown{suggestion(key, self._asked)}")
        return value

    def settings(self, kind: type[S], **given: Any) -> S:  # noqa: ANN401 - the class says what each may be
        """Return the settings whose fields are the keys of this table.

        Parameters
        ----------
        kind : type
            A dataclass whose fields have defaults of the type wanted: text, number, truth, path or a list of
            any words, where None stands for a path that need not be named. A check (see `take`) stands beside
            the type: `port: Annotated[int, between(0, 65535)] = 104`.
        **given
            Fields that the caller has read.
        """
        fallback = kind()
        taken = {
            field.name: self._by_type(field, getattr(fallback, field.name))
            for field in fields(kind)
            if field.name not in given
        }
        return replace(fallback, **given, **taken)

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

    def path(self, key: str) -> Path | None:
        """Return a path, meant from the folder of the file; None when it is missing or empty."""
        name = self.take(key, "")
        return self.folder / name if name else None

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return a list of any words, in their order."""
        self._asked.append(key)
        value = self._values.get(key, list(default))
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            self.fault(key, "must be a list of words")
            return default
        return tuple(value)

    def words(self, key: str, default: tuple[str, ...], allowed: Iterable[str]) -> tuple[str, ...]:
        """Return a list of words, each one of those allowed."""
        value = self.texts(key, default)
        allowed = list(allowed)
        if not set(value) <= set(allowed) or len(set(value)) < len(value):
            self.fault(key, f"may hold each of {', '.join(allowed)} once")
            return default
        return value

    def numbers(self, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        """Return a list of positive numbers."""
        self._asked.append(key)
        value = self._values.get(key, list(default))
        if not isinstance(value, list) or not all(type(item) in {int, float} and item > 0 for item in value):
            self.fault(key, "must be a list of positive numbers")
            return default
        return tuple(float(number) for number in value)

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

    def table(self, key: str) -> "Table":
        """Return the table inside this one that has this key; an empty one if it is missing."""
        self._asked.append(key)
        values = self._values.get(key, {})
        if not isinstance(values, dict):
            self.fault(key, "must be a table")
            values = {}
        return Table(self._faults, self.folder, f"{self.name}.{key}", values)

    def fault(self, key: str, message: str) -> None:
        """Note what is wrong with a key."""
        name = _INDEX.sub("", self.name)
        self._faults.note(self.name, key, f"{name}.{key} {message}")

    def _by_type(self, field: "Field[Any]", default: Any) -> Any:  # noqa: ANN401 - a field may hold anything
        check = next(iter(getattr(field.type, "__metadata__", ())), None)
        if default is None:
            return self.path(field.name)
        if isinstance(default, Path):
            return self.folder / self.take(field.name, str(default), check=check)
        if isinstance(default, tuple):
            return self.texts(field.name, default)
        return self.take(field.name, default, check=check)
