"""One table of the configuration file, read key by key, so that all faults are found in one pass."""

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
    """One table, which notes the keys that are read from it.

    Parameters
    ----------
    faults : Faults
        Collects the faults that are found.
    folder : Path
        Folder to which relative paths refer.
    name : str
        "node"; "sources[1]" for the first element of an array; "node.tls" for a table in a table.
    values : dict
        Its content.
    """

    def __init__(self, faults: Faults, folder: Path, name: str, values: dict[str, Any]) -> None:
        self._faults = faults
        self._values = values
        self._keys_read: list[str] = []
        self.folder = folder
        self.name = name

    def read(self, function: "Callable[[Table], T]") -> T:
        """Return what a function makes of this table, and note a fault for each key that it did not read."""
        value = function(self)
        for key in self._values:
            if key not in self._keys_read:
                self.fault(key, f"is unknown{suggestion(key, self._keys_read)}")
        return value

    def settings(self, kind: type[S], **given: Any) -> S:  # noqa: ANN401 - the class says what each may be
        """Return settings whose fields are the keys of this table.

        Parameters
        ----------
        kind : type
            A dataclass whose fields all have defaults. The default determines the type of the value: str,
            int, float, bool, Path, or tuple of str; None means an optional path. A check (see `take`) is part
            of the annotation: `port: Annotated[int, between(0, 65535)] = 104`.
        **given
            Values of fields that the caller has read itself.
        """
        fallback = kind()
        taken = {
            field.name: self._by_type(field, getattr(fallback, field.name))
            for field in fields(kind)
            if field.name not in given
        }
        return replace(fallback, **given, **taken)

    def take(self, key: str, default: T, *, check: Callable[[T], str | None] | None = None) -> T:
        """Return the value of a key, or the default if the key is missing or its value has a fault.

        Parameters
        ----------
        key : str
            Name of the key.
        default : T
            Also determines the type that the value must have.
        check : callable, optional
            Returns what is wrong with a value ("must be …"), or None.
        """
        self._keys_read.append(key)
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
        """Do the same as `take`, and note a fault if the key is missing."""
        if key not in self._values:
            self.fault(key, "is missing")
        return self.take(key, default, check=check)

    def path(self, key: str) -> Path | None:
        """Return a path, relative to the folder of the file; None if the key is missing or empty."""
        name = self.take(key, "")
        return self.folder / name if name else None

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return a list of texts, in the order in which they are written."""
        self._keys_read.append(key)
        value = self._values.get(key, list(default))
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            self.fault(key, "must be a list of words")
            return default
        return tuple(value)

    def text_or_texts(self, key: str) -> tuple[str, ...]:
        """Return a text, or a list of texts, as a tuple; empty if the key is missing."""
        value = self._values.get(key, [])
        if isinstance(value, str):
            self._keys_read.append(key)
            return (value,)
        texts = self.texts(key, ())
        if key in self._values and value == []:
            self.fault(key, "must not be empty")
        return texts

    def has(self, key: str) -> bool:
        """Tell whether a key is in the table."""
        return key in self._values

    def words(self, key: str, default: tuple[str, ...], allowed: Iterable[str]) -> tuple[str, ...]:
        """Return a list of texts, each one of `allowed` and none of them twice."""
        value = self.texts(key, default)
        allowed = list(allowed)
        if not set(value) <= set(allowed) or len(set(value)) < len(value):
            self.fault(key, f"may hold each of {', '.join(allowed)} once")
            return default
        return value

    def numbers(self, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        """Return a list of positive numbers."""
        self._keys_read.append(key)
        value = self._values.get(key, list(default))
        if not isinstance(value, list) or not all(type(item) in {int, float} and item > 0 for item in value):
            self.fault(key, "must be a list of positive numbers")
            return default
        return tuple(float(number) for number in value)

    def choices(self, key: str, default: tuple[T, ...], check: Callable[[Any], str | None]) -> tuple[T, ...]:
        """Return a list of values to choose from, none of them twice.

        Each must be of a type, or one of the texts, that the default has; `check` says what is wrong with a
        number.
        """
        self._keys_read.append(key)
        value = self._values.get(key, list(default))
        allowed = {type(item) for item in default if not isinstance(item, str)}
        texts = [item for item in default if isinstance(item, str)]
        if not isinstance(value, list) or not value or len({str(item) for item in value}) < len(value):
            self.fault(key, "must be a list of different values")
            return default
        found: list[Any] = []
        for item in value:
            number = float(item) if type(item) is int and int not in allowed else item
            if item not in texts and type(number) not in allowed:
                words = [_WORDS[kind] for kind in allowed]
                self.fault(key, f"must hold {' or '.join([*words, *texts])}, and {item!r} is none")
                return default
            if not isinstance(number, str) and (wrong := check(number)):
                self.fault(key, wrong)
                return default
            found.append(number)
        return tuple(found)

    def numbers_by_name(
        self, key: str, default: tuple[tuple[str, int], ...], allowed: Iterable[str]
    ) -> tuple[tuple[str, int], ...]:
        """Return a table of different positive whole numbers by name, each name one of `allowed`."""
        self._keys_read.append(key)
        value = self._values.get(key, dict(default))
        allowed = list(allowed)
        if not isinstance(value, dict) or not all(type(item) is int and item > 0 for item in value.values()):
            self.fault(key, "must give positive whole numbers to names, such as { L1 = 1, L2 = 2 }")
            return default
        if not value or not set(value) <= set(allowed) or len(set(value.values())) < len(value):
            self.fault(key, f"may give each of {', '.join(allowed)} one number of its own")
            return default
        return tuple((name, value[name]) for name in allowed if name in value)

    def number_or_word(
        self, key: str, word: str, *, check: Callable[[float], str | None]
    ) -> float | str | None:
        """Return a number that passes a check, or this word; None if the key is missing or has a fault."""
        self._keys_read.append(key)
        value = self._values.get(key)
        if value is None or value == word:
            return value
        if type(value) not in {int, float}:
            self.fault(key, f'must be a number or "{word}"')
            return None
        if wrong := check(value):
            self.fault(key, wrong)
            return None
        return float(value)

    def table(self, key: str) -> "Table":
        """Return a table in this table; an empty one if it is missing."""
        self._keys_read.append(key)
        values = self._values.get(key, {})
        if not isinstance(values, dict):
            self.fault(key, "must be a table")
            values = {}
        return Table(self._faults, self.folder, f"{self.name}.{key}", values)

    def fault(self, key: str, message: str) -> None:
        """Note a fault of a key."""
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
