"""[models] of config.toml: the prediction model."""

from dataclasses import dataclass
from pathlib import Path

import analysis
from node.config.table import Table

__all__ = ["DEMONSTRATION_MODEL", "ModelSettings", "models"]

DEMONSTRATION_MODEL = Path(analysis.__file__).parent / "models" / "demonstration"
"""Bundle that is shipped; it was trained on simulated patients only."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """[models]: the bundle of the prediction model; None means the shipped demonstration bundle."""

    bundle: Path | None = None

    @property
    def bundle_folder(self) -> Path:
        """Folder of the bundle that predicts."""
        return self.bundle or DEMONSTRATION_MODEL


def models(table: Table) -> ModelSettings:
    """Read the table."""
    return table.settings(ModelSettings)
