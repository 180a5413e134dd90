"""[report] of config.toml: what is told, and in which language."""

from dataclasses import dataclass
from typing import Annotated

from node.config.checks import one_of
from node.config.table import Table

__all__ = ["ReportSettings", "report"]


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """[report]: language of the words, and whether refusals are sent."""

    language: Annotated[str, one_of("en", "de")] = "en"
    refusals: bool = False


def report(table: Table) -> ReportSettings:
    """Read the table."""
    return table.settings(ReportSettings)
