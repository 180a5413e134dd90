"""[storage] of config.toml: where the node keeps its data, and for how long."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from node.config.checks import between, named
from node.config.table import Table

__all__ = ["StorageSettings", "storage"]


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """[storage]: the folder of all data, the disk space to keep free, how long data are kept."""

    directory: Annotated[Path, named("a folder")] = Path("var")
    watermark_mb: Annotated[int, between(0, 2**30)] = 1024
    retention_days: Annotated[float, between(0, 36500)] = 30.0
    not_for_us_hours: Annotated[float, between(0, 876000)] = 24.0
    disk_days: Annotated[float, between(0, 36500)] = 7.0
    scores_days: Annotated[float, between(0, 36500)] = 3650.0


def storage(table: Table) -> StorageSettings:
    """Read the table."""
    return table.settings(StorageSettings)
