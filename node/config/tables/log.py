"""[log] of config.toml: how the log is written."""

from dataclasses import dataclass
from typing import Annotated

from node.config.checks import one_of
from node.config.table import Table

__all__ = ["LogSettings", "log"]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """[log]: how the log is written, to standard error."""

    format: Annotated[str, one_of("console", "json")] = "console"
    level: Annotated[str, one_of("debug", "info", "warning", "error")] = "info"


def log(table: Table) -> LogSettings:
    """Read the table."""
    return table.settings(LogSettings)
