"""[models] of config.toml: the prediction model."""

from dataclasses import dataclass
from pathlib import Path

from node.config.table import Table

__all__ = ["ModelSettings", "models"]


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """[models]: the bundle of the prediction model; None means the shipped demonstration bundle."""

    bundle: Path | None = None


def models(table: Table) -> ModelSettings:
    """Read the table."""
    return table.settings(ModelSettings)
