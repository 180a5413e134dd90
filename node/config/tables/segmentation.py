"""[segmentation] of config.toml: which back end segments the vertebral bodies, and where it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from analysis.domain.segmentation import Level
from analysis.settings import BACKENDS, MASKS, ONNX, SegmentationSettings
from node.config.checks import between, one_of
from node.config.table import Table

__all__ = ["BackendSettings", "segmentation"]

_CANAL = "canal"
"""Name of the spinal canal among the labels of a mask."""


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """[segmentation]: where a back end is; the keys that affect its results are in `AnalysisSettings`.

    Attributes
    ----------
    masks : Path or None
        Folder of masks that another program made.
    model : Path or None
        An ONNX file; its card is in the same folder.
    executable : str
        Path of a program; empty means that its usual name is looked up on the PATH.
    time_limit_s : float
        For one series; a program that runs longer is killed.
    """

    masks: Path | None = None
    model: Path | None = None
    executable: str = ""
    time_limit_s: Annotated[float, between(1, 86400)] = 240.0


def segmentation(table: Table) -> tuple[SegmentationSettings, BackendSettings]:
    """Read the table; the keys that affect results and the location of the back end are separate values."""
    fallback = SegmentationSettings()
    settings = SegmentationSettings(
        backend=table.take("backend", fallback.backend, check=one_of(*BACKENDS)),
        labels=table.numbers_by_name("labels", fallback.labels, [*Level.__members__, _CANAL]),
        whole_vertebrae=table.take("whole_vertebrae", fallback.whole_vertebrae),
        arguments=table.texts("arguments", fallback.arguments),
    )
    executable = table.take("executable", "")
    # A name without a slash is looked up on the PATH.
    place = table.settings(
        BackendSettings, executable=str(table.folder / executable) if "/" in executable else executable
    )
    for backend, key, found in ((MASKS, "masks", place.masks), (ONNX, "model", place.model)):
        if settings.backend == backend and found is None:
            table.fault(key, f'must be named for backend = "{backend}"')
    return settings, place
