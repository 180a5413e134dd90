"""Choose the segmentation back end that is configured, and check its state."""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from analysis.errors import ModelRejectedError
from analysis.segment import Segmenter, embedded
from analysis.settings import EMBEDDED, MASKS, ONNX, SegmentationSettings
from node.config import BackendSettings
from node.errors import NodeError, PermanentError

__all__ = ["BackEndState", "back_end_state", "fingerprint", "segmenter_for"]


def segmenter_for(settings: SegmentationSettings, place: BackendSettings) -> Segmenter:
    """Return the segmenter that is configured.

    Parameters
    ----------
    settings : SegmentationSettings
        Names the back end, and says what the labels in its masks mean.
    place : BackendSettings
        Where to find the back end.

    Raises
    ------
    ModelRejectedError
        If an ONNX file does not match its card.
    """
    if settings.backend == EMBEDDED:
        return embedded
    if settings.backend == MASKS:
        from node.analyse.segmenters.mask_folder import masks_segmenter

        return masks_segmenter(settings, _configured(place.masks, "masks"))
    if settings.backend == ONNX:
        return _onnx(_configured(place.model, "model"))
    from node.analyse.segmenters.run_program import program_segmenter

    return program_segmenter(settings.backend, place.executable, settings.arguments, place.time_limit_s)


def _configured(path: Path | None, key: str) -> Path:
    if path is None:
        raise PermanentError(f"[segmentation] {key} names nothing")
    return path


@cache
def _onnx(model: Path) -> Segmenter:
    """Load a model once per process."""
    from analysis.segment.onnx_file import load_onnx, segment_with_onnx

    loaded = load_onnx(model)
    return lambda source, _contrast: segment_with_onnx(loaded, source.volume)


def fingerprint(settings: SegmentationSettings, place: BackendSettings) -> str:
    """Return a text that identifies the configured back end: it changes if the back end is another version.

    Settings are not part of it.

    Raises
    ------
    ModelRejectedError, PermanentError
        If the back end is missing or damaged.
    """
    if settings.backend == MASKS:
        from node.analyse.segmenters.mask_folder import masks_in

        hasher = sha256()
        for path in masks_in(_configured(place.masks, "masks")):
            hasher.update(path.name.encode() + sha256(path.read_bytes()).digest())
        return f"masks {hasher.hexdigest()}"
    if settings.backend == ONNX:
        from analysis.segment.onnx_card import read_card

        return f"onnx {read_card(_configured(place.model, 'model'))[0].sha256}"
    if settings.backend != EMBEDDED:
        return _name_and_version(settings.backend, place.executable)
    from analysis.segment.network import embedded_network

    return embedded_network().digest


def _name_and_version(backend: str, executable: str) -> str:
    from node.analyse.segmenters.programs import PROGRAM_OF
    from node.analyse.segmenters.run_program import executable_of, version_of

    program = PROGRAM_OF[backend]
    return f"{program.name} {version_of(program, executable_of(program, executable))}"


@dataclass(frozen=True, slots=True)
class BackEndState:
    """State of the configured back end.

    Attributes
    ----------
    ready : bool
        Whether it can run.
    message : str
        What was found, in words.
    """

    ready: bool
    message: str


def back_end_state(settings: SegmentationSettings, place: BackendSettings) -> BackEndState:
    """Check whether the configured back end can run, without running it on an image."""
    try:
        return _checked(settings, place)
    except (ModelRejectedError, NodeError) as error:
        return BackEndState(ready=False, message=str(error))


def _checked(settings: SegmentationSettings, place: BackendSettings) -> BackEndState:
    if settings.backend == MASKS:
        from node.analyse.segmenters.mask_folder import masks_in

        count = len(masks_in(_configured(place.masks, "masks")))
        return BackEndState(ready=count > 0, message=f"{count} files in {place.masks} may be masks")
    if settings.backend == ONNX:
        from analysis.segment.onnx_file import load_onnx

        model = load_onnx(_configured(place.model, "model"))
        return BackEndState(ready=True, message=f"{model.method} is the file that its card describes")
    if settings.backend == EMBEDDED:
        from analysis.segment.network import embedded_network

        return BackEndState(ready=True, message=f"{embedded_network().name} is whole")
    return BackEndState(
        ready=True, message=f"{_name_and_version(settings.backend, place.executable)} is installed"
    )
