"""The TOML of a configuration file, handed out table by table."""

import tomllib
from pathlib import Path
from typing import Any

from node.config.faults import Faults, suggestion
from node.config.table import Table
from node.errors import ConfigurationError

__all__ = ["Reader"]


class Reader:
    """A parsed file; `finish` tells of the tables that nobody asked for.

    Parameters
    ----------
    text : str
        The file.
    name : str
        What to call it in a fault.
    folder : Path
        Where it lies; relative paths in it are meant from there.

    Attributes
    ----------
    faults : Faults
        What was found wrong so far.

    Raises
    ------
    ConfigurationError
        If the text is no TOML at all.
    """

    def __init__(self, text: str, name: str, folder: Path) -> None:
        self.faults = Faults(text, name)
        self._folder = folder
        self._asked: list[str] = []
        try:
            self._root: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError((f"{name}: {error}",)) from None

    def table(self, name: str) -> Table:
        """Return the table of that name; an empty one if it is missing."""
        self._asked.append(name)
        values = self._root.get(name, {})
        if not isinstance(values, dict):
            self.faults.note(name, "", f"[{name}] must be a table")
            values = {}
        return Table(self.faults, self._folder, name, values)

    def tables(self, name: str) -> list[Table]:
        """Return the elements of an array of tables."""
        self._asked.append(name)
        values = self._root.get(name, [])
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            self.faults.note(name, "", f"write [[{name}]], one for each")
            return []
        return [
            Table(self.faults, self._folder, f"{name}[{index}]", value)
            for index, value in enumerate(values, start=1)
        ]

    def finish(self) -> None:
        """Note every table that nobody asked for."""
        for name in self._root:
            if name not in self._asked:
                self.faults.note(name, "", f"there is no section [{name}]{suggestion(name, self._asked)}")
