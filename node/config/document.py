"""The TOML document of a configuration file, read table by table."""

import tomllib
from pathlib import Path
from typing import Any

from node.config.faults import Faults, suggestion
from node.config.table import Table
from node.errors import ConfigurationError

__all__ = ["TomlDocument", "read_text"]


class TomlDocument:
    """A parsed configuration file, which notes the tables that are read from it.

    Parameters
    ----------
    text : str
        Content of the file.
    name : str
        Name of the file in messages.
    folder : Path
        Folder of the file, to which its relative paths refer.

    Attributes
    ----------
    faults : Faults
        The faults found so far.

    Raises
    ------
    ConfigurationError
        If the text is not valid TOML.
    """

    def __init__(self, text: str, name: str, folder: Path) -> None:
        self.faults = Faults(text, name)
        self._folder = folder
        self._read: list[str] = []
        try:
            self._root: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError((f"{name}: {error}",)) from None

    def table(self, name: str) -> Table:
        """Return a table; an empty one if it is not in the file."""
        self._read.append(name)
        values = self._root.get(name, {})
        if not isinstance(values, dict):
            self.faults.note(name, "", f"[{name}] must be a table")
            values = {}
        return Table(self.faults, self._folder, name, values)

    def tables(self, name: str) -> list[Table]:
        """Return the elements of an array of tables; empty if it is not in the file."""
        self._read.append(name)
        values = self._root.get(name, [])
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            self.faults.note(name, "", f"write [[{name}]], one for each")
            return []
        return [
            Table(self.faults, self._folder, f"{name}[{index}]", value)
            for index, value in enumerate(values, start=1)
        ]

    def note_unknown_tables(self) -> None:
        """Note a fault for each table of the file that was not read."""
        for name in self._root:
            if name not in self._read:
                self.faults.note(name, "", f"there is no section [{name}]{suggestion(name, self._read)}")


def read_text(path: Path) -> str:
    """Read a file of settings.

    Raises
    ------
    ConfigurationError
        If it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError((f"{path}: cannot be read ({error.__class__.__name__})",)) from error
