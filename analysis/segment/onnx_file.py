"""Segmentation with a site's own ONNX model, whose classes are levels, or bodies that are named here."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Grid, Volume
from analysis.errors import ModelRejectedError
from analysis.segment import network
from analysis.segment.embedded import interpret
from analysis.segment.external_mask import CANAL, SACRUM, ExternalMask, adopt
from analysis.segment.onnx_card import BODY, OnnxCard, read_card
from analysis.segment.onnx_card import CANAL as CANAL_CLASS
from analysis.segment.onnx_card import SACRUM as SACRUM_CLASS
from analysis.segment.runtime import open_session
from analysis.segment.sagittal import SagittalView, weights

__all__ = ["OnnxModel", "load_onnx", "segment_with_onnx"]

Floats = npt.NDArray[np.float32]

_CHANNELS = {BODY: network.BODY, SACRUM_CLASS: network.SACRUM, CANAL_CLASS: network.CANAL}
"""Class of the embedded network for each class of a card; from there on both are handled alike."""


@dataclass(frozen=True, slots=True, eq=False)
class OnnxModel:
    """A loaded model and its card."""

    session: Any
    card: OnnxCard

    @property
    def method(self) -> str:
        """Name, version and the first 12 digits of the SHA-256."""
        return f"{self.card.name} {self.card.version}+{self.card.sha256[:12].lower()}"


def load_onnx(model: Path) -> OnnxModel:
    """Load an ONNX file after checking it against its card.

    Raises
    ------
    ModelRejectedError
        If the file does not match the card, or has another input.
    """
    card, content = read_card(model)
    try:
        session = open_session(content)
    except Exception as error:  # onnxruntime's errors have no public base class
        raise ModelRejectedError(
            f"{model.name} cannot be loaded by onnxruntime ({type(error).__name__})"
        ) from error
    inputs = {one.name: one for one in session.get_inputs()}
    dimensions = 2 + len(card.voxel_mm)
    if card.input_name not in inputs or len(inputs[card.input_name].shape) != dimensions:
        raise ModelRejectedError(
            f"{model.name} has no input {card.input_name} of {dimensions} dimensions; it has "
            + ", ".join(f"{name} of {len(one.shape)}" for name, one in inputs.items())
        )
    return OnnxModel(session, card)


def segment_with_onnx(model: OnnxModel, volume: Volume) -> Segmentation:
    """Outline and name the bodies of a sagittal or isotropic series.

    Parameters
    ----------
    model : OnnxModel
        The result of `load_onnx`.
    volume : Volume
        One series.

    Raises
    ------
    RefusedError
        If the series cannot be resliced sagittally, or nothing of the lumbar spine was found.
    ModelRejectedError
        If the output of the model has another shape or other classes than its card says.
    """
    view = SagittalView.of(volume)
    maps = _native_maps(_scores(model, view), model.card, view)
    if model.card.names_levels:
        return adopt(_named(maps, model, view, volume.grid), volume)
    probabilities = np.zeros((len(view.slices), 6, *view.slices.shape[1:]), np.float32)
    for role, scores in maps:
        if role in _CHANNELS:
            probabilities[:, _CHANNELS[role]] += view.to_slabs(scores)
    probabilities[:, network.BACKGROUND] = np.clip(1.0 - probabilities.sum(axis=1), 0.0, 1.0)
    return interpret(probabilities, view, volume.grid, model.method)


def _scores(model: OnnxModel, view: SagittalView) -> Floats:
    """Return the probability of every class on the model's voxels, shape (classes, slices, rows, columns)."""
    image = _normalised(_to_model(view, model.card), model.card.normalisation)
    if len(model.card.voxel_mm) == 3:
        return _probabilities(model, image)
    # One slice at a time, because a model may have been exported with a batch size of 1.
    return np.stack([_probabilities(model, one) for one in image], axis=1)


def _probabilities(model: OnnxModel, image: Floats) -> Floats:
    """Return probabilities of shape (classes, ...) for a slice or a volume of shape (...)."""
    card = model.card
    padded = np.pad(image, [(0, -length % card.multiple) for length in image.shape])[None, None]
    answer = _run(model, padded)
    expected = (1, len(card.classes), *padded.shape[2:])
    if card.output == "classes":
        answer = _one_hot(answer, expected, card)
    if answer.shape != expected:
        raise ModelRejectedError(f"{card.name} answers {answer.shape}, not {expected} as its card has it")
    if card.output == "logits":
        answer = network.softmax(answer)
    return np.asarray(answer[0][(slice(None), *map(slice, image.shape))], dtype=np.float32)


def _run(model: OnnxModel, image: Floats) -> Floats:
    try:
        return np.asarray(model.session.run(None, {model.card.input_name: image})[0], dtype=np.float32)
    except MemoryError:
        raise
    except Exception as error:  # onnxruntime's errors have no public base class
        raise ModelRejectedError(
            f"{model.card.name} cannot read an image of {image.shape}; its card may lack the right multiple"
        ) from error


def _one_hot(numbers: Floats, expected: tuple[int, ...], card: OnnxCard) -> Floats:
    """Turn class numbers, with or without a channel axis, into probabilities of 0 and 1."""
    if numbers.size != np.prod(expected) // expected[1]:
        return numbers  # the caller rejects the wrong shape
    if numbers.min() < 0 or numbers.max() >= expected[1]:
        raise ModelRejectedError(f"{card.name} answers with a class that its card does not name")
    spread = np.eye(expected[1], dtype=np.float32)[
        numbers.astype(np.intp).reshape(expected[0], *expected[2:])
    ]
    return np.asarray(np.moveaxis(spread, -1, 1), dtype=np.float32)


def _normalised(image: Floats, how: str) -> Floats:
    if how == "z-score":
        return np.asarray((image - image.mean()) / max(float(image.std()), 1e-6), dtype=np.float32)
    if how == "percentiles":
        low, high = np.percentile(image, [1.0, 99.0])
        return np.asarray(np.clip((image - low) / max(float(high - low), 1e-6), 0.0, 1.0), dtype=np.float32)
    return image


def _axis_weights(view: SagittalView, card: OnnxCard, *, back: bool) -> list[Floats | None]:
    """Return interpolation weights along slices, rows and columns, to the model's voxels or back.

    None stands for an axis that is not resampled.
    """
    wanted = (None, *card.voxel_mm) if len(card.voxel_mm) == 2 else card.voxel_mm
    found: list[Floats | None] = []
    for length, has_mm, wants_mm in zip(view.grid.shape, view.grid.spacing_mm, wanted, strict=True):
        if wants_mm is None:
            found.append(None)
            continue
        there = max(1, round(length * has_mm / wants_mm))
        found.append(
            weights(there, wants_mm, length, has_mm) if back else weights(length, has_mm, there, wants_mm)
        )
    return found


def _apply(array: Floats, along: list[Floats | None]) -> Floats:
    for axis, matrix in enumerate(along):
        if matrix is not None:
            array = np.moveaxis(np.tensordot(matrix, array, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(array, dtype=np.float32)


def _to_model(view: SagittalView, card: OnnxCard) -> Floats:
    return _apply(view.values(), _axis_weights(view, card, back=False))


def _native_maps(scores: Floats, card: OnnxCard, view: SagittalView) -> Iterator[tuple[str, Floats]]:
    """Yield the name of each class and its probability on the voxels of `view.grid`."""
    along = _axis_weights(view, card, back=True)
    for role, one in zip(card.classes, scores, strict=True):
        yield role, _apply(one, along)


def _named(
    maps: Iterator[tuple[str, Floats]], model: OnnxModel, view: SagittalView, grid: Grid
) -> ExternalMask:
    """Make a mask of the most probable class of every voxel, with its probability as the certainty."""
    best = np.zeros(view.grid.shape, np.float32)
    labels = np.zeros(view.grid.shape, np.uint8)
    numbers = {CANAL_CLASS: CANAL, SACRUM_CLASS: SACRUM, **{level.name: int(level) for level in Level}}
    for role, scores in maps:
        better = scores > best
        labels[better] = numbers.get(role, 0)
        best[better] = scores[better]
    return ExternalMask(
        view.to_input(labels), grid, model.method, names_need_sacrum=True, certainty=view.to_input(best)
    )
