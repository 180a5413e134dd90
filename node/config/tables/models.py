"""[models] of config.toml: the prediction model."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import analysis
from node.config.checks import one_of
from node.config.table import Table

__all__ = ["DEMONSTRATION_MODEL", "NO_MODEL", "ModelSettings", "ScannerDrift", "models"]

DEMONSTRATION_MODEL = Path(analysis.__file__).parent / "models" / "demonstration"
"""Bundle that is shipped; it was trained on simulated patients only."""

NO_MODEL = "none"
"""Value of the key for a node that measures and does not predict. A folder of this name is "./none"."""


class ScannerDrift(StrEnum):
    """What is done about a scanner whose images have left the range of a model's training."""

    ABSTAIN = "abstain"
    """The model gives no answer to its studies."""
    TELL = "tell"
    """It is shown and told to operators, and the model answers."""
    OFF = "off"
    """Nothing is counted."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """[models]: the prediction models, and what they do when a scanner has left the range of their training.

    Attributes
    ----------
    bundle : Path or None
        Bundle of the model whose answers are results; None means that nothing is predicted, only measured.
    shadow : tuple of Path
        Bundles of models that answer in the shadow: their answers are kept and compared, and never delivered.
    scanner_drift : ScannerDrift
        What is done about a scanner that has left the range of the training of the first one.
    """

    bundle: Path | None = DEMONSTRATION_MODEL
    shadow: tuple[Path, ...] = ()
    scanner_drift: ScannerDrift = ScannerDrift.ABSTAIN


def models(table: Table) -> ModelSettings:
    """Read the table."""
    written = table.take("bundle", "")
    shadow = table.texts("shadow", ())
    if not all(shadow):
        table.fault("shadow", "must be a list of folders: an empty text is none")
    shadows = tuple(table.folder / one for one in shadow)
    fallback = ScannerDrift.ABSTAIN.value
    drift = ScannerDrift(table.take("scanner_drift", fallback, check=one_of(*ScannerDrift)))
    if written == NO_MODEL:
        return ModelSettings(None, shadows, drift)
    return ModelSettings(table.folder / written if written else DEMONSTRATION_MODEL, shadows, drift)
