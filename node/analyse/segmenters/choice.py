"""From [segmentation] of config.toml to the segmenter that it names, and how that one is."""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from analysis.errors import ModelRejectedError
from analysis.segment import Segmenter, embedded
from analysis.settings import EMBEDDED, MASKS, ONNX, SegmentationSettings
from node.config import BackEndPlace
from node.errors import NodeError, PermanentError

__all__ = ["BackEndState", "back_end_state", "fingerprint", "segmenter_for"]


def segmenter_for(settings: SegmentationSettings, place: BackEndPlace) -> Segmenter:
    """Return the segmenter that is configured.

    Parameters
    ----------
    settings : SegmentationSettings
        Which, and what its masks mean.
    place : BackEndPlace
        Where it lies.

    Raises
    ------
    ModelRejectedError
        If an ONNX file is not what its card says.
    """
    if settings.backend == EMBEDDED:
        return embedded
    if settings.backend == MASKS:
        from node.analyse.segmenters.masks import masks_segmenter

        return masks_segmenter(settings, _named(place.masks, "masks"))
    if settings.backend == ONNX:
        return _onnx(_named(place.model, "model"))
    from node.analyse.segmenters.run_program import program_segmenter

    return program_segmenter(settings.backend, place.executable, settings.arguments, place.time_limit_s)


def _named(path: Path | None, key: str) -> Path:
    if path is None:
        raise PermanentError(f"[segmentation] {key} names nothing")
    return path


@cache
def _onnx(model: Path) -> Segmenter:
    """Load a model once per process."""
    from analysis.segment.onnx_file import load_onnx, segment_with_onnx

    loaded = load_onnx(model)
    return lambda source, _contrast: segment_with_onnx(loaded, source.volume)


def fingerprint(settings: SegmentationSettings, place: BackEndPlace) -> str:
    """Text that changes when the configured back end would outline differently, apart from its settings.

    Raises
    ------
    ModelRejectedError, PermanentError
        If the back end is not as it must be.
    """
    if settings.backend == MASKS:
        from node.analyse.segmenters.masks import masks_in

        hasher = sha256()
        for path in masks_in(_named(place.masks, "masks")):
            hasher.update(path.name.encode() + sha256(path.read_bytes()).digest())
        return f"masks {hasher.hexdigest()}"
    if settings.backend == ONNX:
        from analysis.segment.onnx_card import read_card

        return f"onnx {read_card(_named(place.model, 'model'))[0].sha256}"
    if settings.backend != EMBEDDED:
        return _installed(settings.backend, place.executable)
    from analysis.segment.network import embedded_network

    return embedded_network().digest


def _installed(backend: str, executable: str) -> str:
    from node.analyse.segmenters.programs import PROGRAM_OF
    from node.analyse.segmenters.run_program import executable_of, version_of

    program = PROGRAM_OF[backend]
    return f"{program.name} {version_of(program, executable_of(program, executable))}"


@dataclass(frozen=True, slots=True)
class BackEndState:
    """How the configured back end is.

    Attributes
    ----------
    ready : bool
        Whether it can work.
    message : str
        What was found, in words.
    """

    ready: bool
    message: str


def back_end_state(settings: SegmentationSettings, place: BackEndPlace) -> BackEndState:
    """Look whether the configured back end can work, without running it on an image."""
    try:
        return _look(settings, place)
    except (ModelRejectedError, NodeError) as error:
        return BackEndState(ready=False, message=str(error))


def _look(settings: SegmentationSettings, place: BackEndPlace) -> BackEndState:
    if settings.backend == MASKS:
        from node.analyse.segmenters.masks import masks_in

        count = len(masks_in(_named(place.masks, "masks")))
        return BackEndState(ready=count > 0, message=f"{count} files in {place.masks} may be masks")
    if settings.backend == ONNX:
        from analysis.segment.onnx_file import load_onnx

        model = load_onnx(_named(place.model, "model"))
        return BackEndState(ready=True, message=f"{model.method} is the file that its card describes")
    if settings.backend == EMBEDDED:
        from analysis.segment.network import embedded_network

        return BackEndState(ready=True, message=f"{embedded_network().name} is whole")
    return BackEndState(ready=True, message=f"{_installed(settings.backend, place.executable)} is installed")
