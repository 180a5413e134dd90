"""The embedded network: an ONNX file that is checked against the checksum in its card."""

import json
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.errors import ModelRejectedError
from analysis.segment.runtime import open_session

__all__ = [
    "BACKGROUND",
    "BODY",
    "CANAL",
    "CLASSES",
    "DISC",
    "SACRUM",
    "Network",
    "embedded_network",
    "load_network",
    "softmax",
]

Floats = npt.NDArray[np.float32]

CLASSES = 6
BACKGROUND, BODY, SACRUM, DISC, CANAL, POSTERIOR = range(CLASSES)
"""Classes of the embedded network, in the order of its output."""

_FOLDER = Path(__file__).parent.parent / "models" / "segmenter"
_MULTIPLE = 32


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A loaded network.

    Attributes
    ----------
    session : onnxruntime.InferenceSession
        The session that runs it.
    name : str
        Name and version from its card.
    digest : str
        SHA-256 (hex) of its weights.
    """

    session: Any
    name: str
    digest: str

    def probabilities(self, slices: Floats) -> Floats:
        """Return the class probabilities of every pixel.

        Parameters
        ----------
        slices : ndarray of float32, shape (slices, rows, columns)
            Slices of a `SagittalView`, scaled by `analysis.segment.locate.rewindow`.

        Returns
        -------
        ndarray of float32, shape (slices, 6, rows, columns)
            Classes in the order `BACKGROUND` to `POSTERIOR`.
        """
        seen = np.empty((len(slices), CLASSES, *slices.shape[1:]), np.float32)
        self.look(slices, seen)
        return seen

    def look(self, slices: Floats, into: Floats) -> None:
        """Write the same as `probabilities` into an array, which may be part of another."""
        rows, columns = slices.shape[1:]
        padding = ((0, -rows % _MULTIPLE), (0, -columns % _MULTIPLE))
        # One slice at a time: more are not faster, and need memory for each.
        for one, place in zip(slices, into, strict=True):
            image = np.pad(one, padding)[None, None]
            place[:] = softmax(self.session.run(None, {"image": image})[0])[0, :, :rows, :columns]


def softmax(logits: Floats) -> Floats:
    """Turn logits into probabilities along axis 1, the classes."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


@cache
def embedded_network() -> Network:
    """Load the network that ships with the package, once per process."""
    return load_network(_FOLDER)


def load_network(folder: Path) -> Network:
    """Load `segmenter.onnx` after checking it against `card.json` beside it.

    Raises
    ------
    ModelRejectedError
        If a file is missing or the weights are not those that the card describes.
    """
    weights, card = folder / "segmenter.onnx", folder / "card.json"
    try:
        content = weights.read_bytes()
        described = json.loads(card.read_text(encoding="utf-8"))
        expected, name = described["sha256"], f"{described['name']} {described['version']}"
    except (OSError, ValueError, KeyError) as fault:
        raise ModelRejectedError(f"the segmenter in {folder.name} cannot be read: {fault}") from fault
    if sha256(content).hexdigest() != expected:
        raise ModelRejectedError(f"the weights of {name} are not those that its card describes")
    session = open_session(content)
    return Network(session, name, expected)
