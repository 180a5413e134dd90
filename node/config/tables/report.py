"""[report] of config.toml: the language of reports, and whether refusals are reported."""

from dataclasses import dataclass
from typing import Annotated

from node.config.checks import one_of
from node.config.table import Table

__all__ = ["ReportSettings", "report"]


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """[report]: the language of reports, and whether a refused study gets one."""

    language: Annotated[str, one_of("en", "de")] = "en"
    refusals: bool = False


def report(table: Table) -> ReportSettings:
    """Read the table."""
    return table.settings(ReportSettings)
