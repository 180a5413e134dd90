"""Pack the training data into one small file, which fits into the memory of a GPU."""

import io
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from analysis.segment.training.truth import BACKSPINE, Case, read_cases

__all__ = ["PACKED_MM", "Packed", "pack", "unpack"]

PACKED_MM = 0.8
"""Pixel size of the pack; finer than the network's, so that randomly zoomed images keep detail."""

_JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """All slices in arrays of one size.

    Attributes
    ----------
    images, labels : ndarray of uint8, shape (slices, rows, columns)
        Grey values and classes at `PACKED_MM`, padded with zeros.
    source : ndarray of int64, shape (slices,)
        BACKSPINE, SPIDER or SIMULATED.
    patient : ndarray of int64, shape (slices,)
        Number of the patient; consecutive slices with the same number are adjacent slices.
    held_out : ndarray of bool, shape (slices,)
        Whether the slice is held out from training.
    complete : ndarray of bool, shape (slices,)
        Whether background holds none of the classes; if not, it holds disc, canal and posterior elements.
    repainted : ndarray of bool, shape (slices,)
        Whether `lateral` made the slice from a midline slice.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    source: npt.NDArray[np.int64]
    patient: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.bool_]
    complete: npt.NDArray[np.bool_]
    repainted: npt.NDArray[np.bool_]


def _resize(array: npt.NDArray[np.uint8], pixel_mm: float, method: Image.Resampling) -> Image.Image:
    size = tuple(round(length * pixel_mm / PACKED_MM) for length in array.shape[::-1])
    return Image.fromarray(array).resize((size[0], size[1]), method)


def _bytes(image: Image.Image, kind: str, **options: int) -> npt.NDArray[np.uint8]:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def pack(folder: Path, target: Path) -> None:
    """Write all slices of `read_cases(folder)` to `target`."""
    images: list[npt.NDArray[np.uint8]] = []
    labels: list[npt.NDArray[np.uint8]] = []
    facts: list[tuple[int, int, bool]] = []
    for number, case in enumerate(read_cases(folder)):
        _pack_case(case, images, labels)
        facts += [(case.source, number, case.held_out)] * len(case.images)
    source, patient, held_out = (np.array(values) for values in zip(*facts, strict=True))
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        target,
        images=np.concatenate(images),
        image_ends=np.cumsum([len(one) for one in images]),
        labels=np.concatenate(labels),
        label_ends=np.cumsum([len(one) for one in labels]),
        source=source,
        patient=patient,
        held_out=held_out,
    )


def _pack_case(case: Case, images: list[npt.NDArray[np.uint8]], labels: list[npt.NDArray[np.uint8]]) -> None:
    for image, label in zip(case.images, case.labels, strict=True):
        small = _resize(image, case.pixel_mm, Image.Resampling.BOX)
        images.append(_bytes(small, "JPEG", quality=_JPEG_QUALITY))
        labels.append(_bytes(_resize(label, case.pixel_mm, Image.Resampling.NEAREST), "PNG"))


def unpack(path: Path) -> Packed:
    """Read a file that `pack` wrote."""
    with np.load(path) as stored:
        images = _decode(stored["images"], stored["image_ends"])
        labels = _decode(stored["labels"], stored["label_ends"])
        facts = {name: stored[name] for name in ("source", "patient", "held_out")}
    return Packed(
        _on_one_size(images),
        _on_one_size(labels),
        complete=facts["source"] != BACKSPINE,
        repainted=np.zeros(len(images), np.bool_),
        **facts,
    )


def _decode(data: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]) -> list[npt.NDArray[np.uint8]]:
    parts = np.split(data, ends[:-1])
    return [np.asarray(Image.open(io.BytesIO(part.tobytes()))) for part in parts]


def _on_one_size(arrays: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    rows, columns = (max(array.shape[axis] for array in arrays) for axis in range(2))
    padded = np.zeros((len(arrays), rows, columns), np.uint8)
    for target, array in zip(padded, arrays, strict=True):
        target[: array.shape[0], : array.shape[1]] = array
    return padded


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]))
