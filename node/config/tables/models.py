"""[models] of config.toml: what predicts."""

from dataclasses import dataclass
from pathlib import Path

from node.config.table import Table

__all__ = ["ModelSettings", "models"]


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """[models]: the bundle that predicts; None is the demonstration bundle that is shipped."""

    bundle: Path | None = None


def models(table: Table) -> ModelSettings:
    """Read the table."""
    return table.settings(ModelSettings)
