"""[assembly] of config.toml: when a study counts as complete."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from node.config.checks import between
from node.config.table import Table
from node.domain.completeness import Patience

__all__ = ["AssemblySettings", "assembly"]


@dataclass(frozen=True, slots=True)
class AssemblySettings:
    """[assembly]: when a study counts as complete."""

    quiet_s: Annotated[float, between(0, 3600)] = 5.0
    max_wait_s: Annotated[float, between(0, 7 * 86400)] = 600.0
    start_early: bool = True
    max_images: Annotated[int, between(100, 10**6)] = 10_000

    @property
    def patience(self) -> Patience:
        """The same times as the value that the assembly rules take."""
        return Patience(quiet=timedelta(seconds=self.quiet_s), wait=timedelta(seconds=self.max_wait_s))


def assembly(table: Table) -> AssemblySettings:
    """Read the table."""
    return table.settings(AssemblySettings)
