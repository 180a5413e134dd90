"""[segmentation] of config.toml: which back end outlines the bodies, and where it lies."""

from dataclasses import dataclass
from pathlib import Path

from analysis.domain.segmentation import Level
from analysis.settings import BACKENDS, MASKS, ONNX, SegmentationSettings
from node.config_reader import Table

__all__ = ["CANAL", "BackEndPlace", "segmentation"]

CANAL = "canal"
"""Name of the spinal canal among the labels of a mask."""


@dataclass(frozen=True, slots=True)
class BackEndPlace:
    """[segmentation]: where a back end lies; what decides its values is in `AnalysisSettings`.

    Attributes
    ----------
    masks : Path or None
        Folder of masks made elsewhere.
    model : Path or None
        An ONNX file with its card beside it.
    executable : str
        A program; empty means its usual name on the PATH.
    time_limit_s : float
        For one series; a program that takes longer is ended.
    """

    masks: Path | None = None
    model: Path | None = None
    executable: str = ""
    time_limit_s: float = 240.0


def segmentation(table: Table, folder: Path) -> tuple[SegmentationSettings, BackEndPlace]:
    """Read the section; relative paths are meant from `folder`."""
    fallback, nowhere = SegmentationSettings(), BackEndPlace()
    settings = SegmentationSettings(
        backend=table.take("backend", fallback.backend, check=_backend),
        labels=table.numbers_by_name("labels", fallback.labels, [*Level.__members__, CANAL]),
        whole_vertebrae=table.take("whole_vertebrae", fallback.whole_vertebrae),
        arguments=table.texts("arguments", fallback.arguments),
    )
    masks, model, executable = (table.take(key, "") for key in ("masks", "model", "executable"))
    place = BackEndPlace(
        masks=folder / masks if masks else None,
        model=folder / model if model else None,
        executable=str(folder / executable) if "/" in executable else executable,
        time_limit_s=table.take("time_limit_s", nowhere.time_limit_s, check=_limit),
    )
    for backend, key, found in ((MASKS, "masks", place.masks), (ONNX, "model", place.model)):
        if settings.backend == backend and found is None:
            table.fault(key, f'must be named for backend = "{backend}"')
    table.finish()
    return settings, place


def _backend(value: str) -> str | None:
    return None if value in BACKENDS else f"must be one of {', '.join(BACKENDS)}"


def _limit(value: float) -> str | None:
    return None if 1 <= value <= 86400 else "must be between 1 and 86400"
