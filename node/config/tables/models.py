"""[models] of config.toml: the prediction model."""

from dataclasses import dataclass
from pathlib import Path

import analysis
from node.config.table import Table

__all__ = ["DEMONSTRATION_MODEL", "NO_MODEL", "ModelSettings", "models"]

DEMONSTRATION_MODEL = Path(analysis.__file__).parent / "models" / "demonstration"
"""Bundle that is shipped; it was trained on simulated patients only."""

NO_MODEL = "none"
"""Value of the key for a node that measures and does not predict. A folder of this name is "./none"."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """[models]: the bundle of the prediction model; None means that nothing is predicted, only measured."""

    bundle: Path | None = DEMONSTRATION_MODEL


def models(table: Table) -> ModelSettings:
    """Read the table."""
    written = table.take("bundle", "")
    if written == NO_MODEL:
        return ModelSettings(None)
    return ModelSettings(table.folder / written if written else DEMONSTRATION_MODEL)
