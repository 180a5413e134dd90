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
    """[models]: the prediction models.

    Attributes
    ----------
    bundle : Path or None
        Bundle of the model whose answers are results; None means that nothing is predicted, only measured.
    shadow : tuple of Path
        Bundles of models that answer in the shadow: their answers are kept and compared, and never delivered.
    """

    bundle: Path | None = DEMONSTRATION_MODEL
    shadow: tuple[Path, ...] = ()


def models(table: Table) -> ModelSettings:
    """Read the table."""
    written = table.take("bundle", "")
    shadow = table.texts("shadow", ())
    if not all(shadow):
        table.fault("shadow", "must be a list of folders: an empty text is none")
    shadows = tuple(table.folder / one for one in shadow)
    if written == NO_MODEL:
        return ModelSettings(None, shadows)
    return ModelSettings(table.folder / written if written else DEMONSTRATION_MODEL, shadows)
