"""ONNX models with a card: 2-D or 3-D, with classes for levels, or for bodies that are named here."""

import re
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from analysis.domain.segmentation import Level
from analysis.domain.volume import Grid, Volume
from analysis.errors import ModelRejectedError
from analysis.segment.external_mask import CANAL, SACRUM
from analysis.segment.onnx_card import read_card
from analysis.segment.onnx_file import OnnxModel, load_onnx, segment_with_onnx
from tests.analysis.spine_scene import LUMBAR, dice, spine_scene

SCENE = spine_scene()
LEVEL_CLASSES = ("background", "L1", "L2", "L3", "L4", "L5", "sacrum", "canal")


def painted(labels: npt.NDArray[np.uint8]) -> Volume:
    """Paint an image whose values are the class numbers above, on the pixels of the model."""
    values = np.where(labels == CANAL, 7, np.where(labels == SACRUM, 6, labels))
    return Volume(values.astype(np.float32), SCENE.volume.grid)


def nearest_class(dimensions: int, classes: int, output: str) -> bytes:
    """Make a network that classifies every value by the nearest class number."""
    spatial = [f"n{axis}" for axis in range(dimensions)]
    centres = np.arange(classes, dtype=np.float32).reshape(1, classes, *[1] * dimensions)
    nodes = [
        helper.make_node("Sub", ["image", "centres"], ["away"]),
        helper.make_node("Mul", ["away", "away"], ["squared"]),
        helper.make_node("Mul", ["squared", "steepness"], ["scores"]),
    ]
    shape: list[str | int] = [1, classes, *spatial]
    kind = TensorProto.FLOAT
    if output == "classes":
        nodes.append(helper.make_node("ArgMax", ["scores"], ["answer"], axis=1, keepdims=0))
        shape, kind = [1, *spatial], TensorProto.INT64
    elif output == "probabilities":
        nodes.append(helper.make_node("Softmax", ["scores"], ["answer"], axis=1))
    else:
        nodes.append(helper.make_node("Identity", ["scores"], ["answer"]))
    graph = helper.make_graph(
        nodes,
        "nearest",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, *spatial])],
        [helper.make_tensor_value_info("answer", kind, shape)],
        [
            numpy_helper.from_array(centres, "centres"),
            numpy_helper.from_array(np.float32(-20.0), "steepness"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def write_model(folder: Path, content: bytes, **changed: object) -> Path:
    card = {
        "name": "Nearest class",
        "version": "1.2",
        "sha256": sha256(content).hexdigest(),
        "input": "image",
        "voxel_mm": [1.0, 1.0],
        "multiple": 16,
        "normalisation": "none",
        "output": "logits",
        "classes": list(LEVEL_CLASSES),
    } | changed
    lines = [
        f"{key} = {str(value)!r}" if isinstance(value, str) else f"{key} = {value}"
        for key, value in card.items()
    ]
    (folder / "model.onnx").write_bytes(content)
    (folder / "model.toml").write_text("\n".join(lines))
    return folder / "model.onnx"


def loaded(folder: Path, dimensions: int, output: str, **changed: object) -> OnnxModel:
    content = nearest_class(dimensions, len(LEVEL_CLASSES), output)
    voxel_mm = [1.0] * 2 if dimensions == 2 else [4.0, 1.0, 1.0]
    return load_onnx(write_model(folder, content, voxel_mm=voxel_mm, output=output, **changed))


@pytest.mark.parametrize(
    ("dimensions", "output"),
    [(2, "logits"), (2, "probabilities"), (2, "classes"), (3, "logits"), (3, "classes")],
)
def test_classes_that_are_levels_are_taken_as_they_are(tmp_path: Path, dimensions: int, output: str) -> None:
    model = loaded(tmp_path, dimensions, output)
    found = segment_with_onnx(model, painted(SCENE.labels()))
    for level in LUMBAR:
        assert np.array_equal(found.labels == level, SCENE.bodies == level), level.name
    assert found.levels_certain
    assert found.method == f"Nearest class 1.2+{model.card.sha256[:12]}"


def test_bodies_without_names_are_parted_and_named_from_the_sacrum_up(tmp_path: Path) -> None:
    classes = ["background", "body", "sacrum", "canal"]
    labels = SCENE.labels()
    # The background has a little signal, because rows without any are no image.
    values = np.select([labels == SACRUM, labels == CANAL, labels > 0], [2, 3, 1], 0.1)
    volume = Volume(values.astype(np.float32), SCENE.volume.grid)
    model = load_onnx(write_model(tmp_path, nearest_class(2, 4, "logits"), classes=classes))
    found = segment_with_onnx(model, volume)
    for level in LUMBAR:
        assert dice(found.labels == level, SCENE.bodies == level) > 0.9, level.name
    assert found.region(Level.S1) is not None
    assert found.levels_certain


def test_doubt_of_the_network_lowers_the_quality(tmp_path: Path) -> None:
    volume = painted(SCENE.labels())
    voxels = volume.voxels.copy()
    voxels[voxels == Level.L2] = 2.48
    found = segment_with_onnx(loaded(tmp_path, 2, "logits"), Volume(voxels, volume.grid))
    level, others = found.region(Level.L2), found.region(Level.L4)
    assert level is not None
    assert others is not None
    assert not level.usable
    assert others.usable


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_image_is_brought_to_the_pixels_that_the_card_wants_and_the_answer_back(
    tmp_path: Path, dimensions: int
) -> None:
    grid = SCENE.volume.grid
    fine = Grid((26, 460, 260), (2.0, 0.5, 0.5), tuple(grid.to_mm((-0.25, -0.25, -0.25)).tolist()), grid.axes)
    truth = (SCENE.bodies == Level.L3).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    content = nearest_class(dimensions, 2, "logits")
    voxel_mm = [4.0, 1.0, 1.0][3 - dimensions :]
    path = write_model(tmp_path, content, classes=["background", "L3"], voxel_mm=voxel_mm)
    found = segment_with_onnx(load_onnx(path), Volume(truth.astype(np.float32), fine))
    assert dice(found.labels == Level.L3, truth) > 0.95


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"classes": ["background", "L1", "L9"]}, "not L9"),
        ({"classes": ["background", "L1", "body"]}, "either levels or body"),
        ({"classes": ["background", "L1", "L1"]}, "each level once"),
        ({"normalisation": "magic"}, "normalisation must be one of"),
        ({"output": "votes"}, "output must be one of"),
        ({"voxel_mm": [1.0]}, "two or three lengths"),
        ({"multiple": 0}, "1 or more"),
        ({"version": 1}, "version must be str"),
        ({"colour": "red"}, "colour is unknown"),
        ({"sha256": "0" * 64}, "not the file that its card describes"),
    ],
)
def test_a_card_that_does_not_fit_is_rejected(tmp_path: Path, changed: dict[str, object], words: str) -> None:
    path = write_model(tmp_path, nearest_class(2, 8, "logits"), **changed)
    with pytest.raises(ModelRejectedError, match=re.escape(words)):
        read_card(path)


def test_a_model_without_its_card_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(ModelRejectedError, match=r"model\.toml cannot be read"):
        read_card(tmp_path / "model.onnx")


@pytest.mark.parametrize("changed", [{"input": "picture"}, {"voxel_mm": [4.0, 1.0, 1.0]}])
def test_a_model_with_another_input_is_rejected(tmp_path: Path, changed: dict[str, object]) -> None:
    with pytest.raises(ModelRejectedError, match="has no input"):
        load_onnx(write_model(tmp_path, nearest_class(2, 8, "logits"), **changed))


def test_what_is_no_onnx_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ModelRejectedError, match="cannot be loaded"):
        load_onnx(write_model(tmp_path, b"no model"))


@pytest.mark.parametrize(
    ("output", "words"), [("logits", "as its card has it"), ("classes", "does not name")]
)
def test_a_model_that_answers_other_classes_than_its_card_has_is_rejected(
    tmp_path: Path, output: str, words: str
) -> None:
    path = write_model(
        tmp_path, nearest_class(2, 8, output), output=output, classes=["background", "L1", "L2", "L3"]
    )
    with pytest.raises(ModelRejectedError, match=words):
        segment_with_onnx(load_onnx(path), painted(SCENE.labels()))
