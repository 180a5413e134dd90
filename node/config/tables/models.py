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
    """[models]: the prediction model, and what it does when a scanner has left the range of its training.

    Attributes
    ----------
    bundle : Path or None
        Folder of the model; None means that nothing is predicted, only measured.
    scanner_drift : ScannerDrift
        What is done about such a scanner.
    """

    bundle: Path | None = DEMONSTRATION_MODEL
    scanner_drift: ScannerDrift = ScannerDrift.ABSTAIN


def models(table: Table) -> ModelSettings:
    """Read the table."""
    written = table.take("bundle", "")
    fallback = ScannerDrift.ABSTAIN.value
    drift = ScannerDrift(table.take("scanner_drift", fallback, check=one_of(*ScannerDrift)))
    if written == NO_MODEL:
        return ModelSettings(None, drift)
    return ModelSettings(table.folder / written if written else DEMONSTRATION_MODEL, drift)
