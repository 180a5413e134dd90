"""The card of a site's own ONNX model: a small TOML file beside it."""

import tomllib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from analysis.domain.segmentation import Level
from analysis.errors import ModelRejectedError

__all__ = ["BODY", "CANAL", "IGNORED", "NORMALISATIONS", "SACRUM", "OnnxCard", "read_card"]

BODY, SACRUM, CANAL = "body", "sacrum", "canal"
IGNORED = ("background", "disc", "posterior", "other")
"""Classes that are not used."""

NORMALISATIONS = ("none", "z-score", "percentiles")
_SCORES = ("logits", "probabilities", "classes")
_ROLES = (*Level.__members__, BODY, SACRUM, CANAL, *IGNORED)


@dataclass(frozen=True, slots=True)
class OnnxCard:
    """The card of a model.

    Attributes
    ----------
    name, version : str
        Name and version, cited in every result.
    sha256 : str
        SHA-256 (hex) of the ONNX file.
    input_name : str
        Name of the model's input.
    voxel_mm : tuple of float
        Voxel size of the input: (rows, columns) for a 2-D model, (slices, rows, columns) for a 3-D one. Rows
        run to the feet, columns to the back, slices to the patient's left.
    multiple : int
        Every side of the input is padded with zeros to a multiple of this.
    normalisation : str
        "none"; "z-score" of the whole volume; or "percentiles", which maps its 1st to 99th percentile to
        0 to 1 and clips.
    output : str
        "logits" or "probabilities" (one channel per class), or "classes" (class numbers).
    classes : tuple of str
        Meaning of class 0, 1, 2 …: a level, "body", "sacrum", "canal", or one of `IGNORED`.
    """

    name: str
    version: str
    sha256: str
    input_name: str
    voxel_mm: tuple[float, ...]
    multiple: int
    normalisation: str
    output: str
    classes: tuple[str, ...]

    @property
    def names_levels(self) -> bool:
        """Whether its classes are levels; if not, bodies are separated and named by this package."""
        return BODY not in self.classes


def read_card(model: Path) -> tuple[OnnxCard, bytes]:
    """Read a model and its card, and check one against the other.

    Parameters
    ----------
    model : Path
        The ONNX file; the card has the same name with the suffix .toml.

    Returns
    -------
    card : OnnxCard
        The card.
    content : bytes
        The ONNX file.

    Raises
    ------
    ModelRejectedError
        If a file is missing, the card is faulty, or the checksum of the model is not that of the card.
    """
    path = model.with_suffix(".toml")
    try:
        content = model.read_bytes()
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        missing = Path(error.filename or model).name
        raise ModelRejectedError(f"{missing} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ModelRejectedError(f"the card {path.name} is no TOML: {error}") from error
    card = _card(table, path.name)
    if sha256(content).hexdigest() != card.sha256.lower():
        raise ModelRejectedError(f"{model.name} is not the file that its card describes (SHA-256)")
    return card, content


def _card(table: dict[str, Any], name: str) -> OnnxCard:
    faults: list[str] = []

    def take(key: str, kind: type, otherwise: object = None) -> Any:  # noqa: ANN401 - any TOML value
        value = table.get(key, otherwise)
        if type(value) is not kind:
            faults.append(f"{key} must be {'given as ' if value is None else ''}{kind.__name__}")
        return value

    card = {key: take(key, str) for key in ("name", "version", "sha256", "output", "normalisation")}
    card |= {"input_name": take("input", str), "multiple": take("multiple", int, 1)}
    voxel_mm, classes = take("voxel_mm", list), take("classes", list)
    faults += _choices(card, voxel_mm, classes)
    faults += [f"{key} is unknown" for key in table if key not in {*card, "input", "voxel_mm", "classes"}]
    if faults:
        raise ModelRejectedError(f"the card {name} is faulty: {'; '.join(faults)}")
    return OnnxCard(**card, voxel_mm=tuple(float(one) for one in voxel_mm), classes=tuple(classes))


def _choices(card: dict[str, Any], voxel_mm: object, classes: object) -> list[str]:
    """List the faults of the values whose types are right."""
    faults = []
    if card["output"] not in _SCORES:
        faults.append(f"output must be one of {', '.join(_SCORES)}")
    if card["normalisation"] not in NORMALISATIONS:
        faults.append(f"normalisation must be one of {', '.join(NORMALISATIONS)}")
    if isinstance(card["multiple"], int) and card["multiple"] < 1:
        faults.append("multiple must be 1 or more")
    if isinstance(voxel_mm, list) and (
        len(voxel_mm) not in {2, 3} or not all(type(one) in {int, float} and one > 0 for one in voxel_mm)
    ):
        faults.append("voxel_mm must be two or three lengths")
    return faults + (_class_faults(classes) if isinstance(classes, list) else [])


def _class_faults(classes: list[object]) -> list[str]:
    faults = []
    unknown = [str(one) for one in classes if one not in _ROLES]
    levels = [one for one in classes if one in Level.__members__]
    if unknown:
        faults.append(f"classes may be {', '.join(_ROLES)}, not {', '.join(unknown)}")
    if (BODY in classes) == bool(levels):
        faults.append("classes must hold either levels or body")
    if len(set(levels)) < len(levels):
        faults.append("classes must hold each level once")
    return faults
