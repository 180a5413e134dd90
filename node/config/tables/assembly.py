"""[assembly] of config.toml: when a study counts as whole."""

from dataclasses import dataclass
from typing import Annotated

from node.config.checks import between
from node.config.table import Table

__all__ = ["AssemblySettings", "assembly"]


@dataclass(frozen=True, slots=True)
class AssemblySettings:
    """[assembly]: when a study counts as whole."""

    quiet_s: Annotated[float, between(0, 3600)] = 5.0
    max_wait_s: Annotated[float, between(0, 7 * 86400)] = 600.0
    start_early: bool = True


def assembly(table: Table) -> AssemblySettings:
    """Read the table."""
    return table.settings(AssemblySettings)
