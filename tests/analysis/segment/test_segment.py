"""The segmenter as the node calls it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Grid, Volume
from analysis.errors import ModelRejectedError, RefusedError
from analysis.segment import segment
from analysis.segment.network import load_network

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data"
MODEL = ROOT / "analysis" / "models" / "segmenter"
SAGITTAL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])

real_data = pytest.mark.skipif(
    not (DATA / "backspine").is_dir(), reason="the public lumbar MR is not beside the repository"
)

HELD_OUT = "T1_0043_S8"


def volume_of(voxels: np.ndarray, spacing_mm: tuple[float, float, float]) -> Volume:
    shape = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    return Volume(voxels.astype(np.float32), Grid(shape, spacing_mm, (-6.0, -140.0, 140.0), SAGITTAL))


@pytest.fixture(scope="module")
def midline() -> tuple[Volume, np.ndarray]:
    """Return three equal T1 slices of a held-out patient, and the true labels of one."""
    grey = np.asarray(Image.open(DATA / "backspine" / "images" / f"{HELD_OUT}.jpg").convert("L"))
    truth = np.asarray(Image.open(DATA / "backspine" / "labels" / f"{HELD_OUT}.png"))
    return volume_of(np.stack([grey] * 3), (4.0, 0.57, 0.57)), truth


@pytest.fixture(scope="module")
def found(midline: tuple[Volume, np.ndarray]) -> Segmentation:
    return segment(midline[0])


@real_data
def test_a_real_t1_slice_gets_its_five_names_and_outlines(
    midline: tuple[Volume, np.ndarray], found: Segmentation
) -> None:
    assert found.levels_certain
    for level in (Level.L1, Level.L2, Level.L3, Level.L4, Level.L5):
        own, true = found.labels[1] == level, midline[1] == level
        assert 2 * (own & true).sum() / (own.sum() + true.sum()) > 0.85, level.name


@real_data
def test_regions_run_from_head_to_foot_and_say_where_they_are(found: Segmentation) -> None:
    heights = [region.centre_mm[2] for region in found.regions]
    assert heights == sorted(heights, reverse=True)
    for region in found.regions:
        own = np.argwhere(found.labels == region.level)
        assert np.allclose(region.centre_mm, found.grid.to_mm(own.mean(axis=0)), atol=1e-6)


@real_data
def test_the_csf_lies_behind_l3(found: Segmentation) -> None:
    assert found.csf is not None
    region = found.region(Level.L3)
    assert region is not None
    _, back, up = found.grid.to_mm(np.argwhere(found.csf.mask)).mean(axis=0)
    assert 12 < back - region.centre_mm[1] < 45
    assert abs(up - region.centre_mm[2]) < 12
    assert not (found.csf.mask & (found.labels > 0)).any()


@real_data
def test_the_same_volume_gives_the_same_answer(
    midline: tuple[Volume, np.ndarray], found: Segmentation
) -> None:
    again = segment(midline[0])
    assert np.array_equal(again.labels, found.labels)
    assert again.regions == found.regions
    assert again.level_confidence == found.level_confidence


@real_data
def test_flipped_and_transposed_slices_give_the_same_bodies_in_mm(
    midline: tuple[Volume, np.ndarray], found: Segmentation
) -> None:
    volume = midline[0]
    x, y, z = (float(value) for value in volume.grid.to_mm([2, 0, 511]))
    axes = np.stack([-volume.grid.axes[0], -volume.grid.axes[2], volume.grid.axes[1]])
    voxels = np.ascontiguousarray(volume.voxels[::-1, :, ::-1].transpose(0, 2, 1))
    turned = segment(Volume(voxels, Grid(voxels.shape, volume.grid.spacing_mm, (x, y, z), axes)))
    assert [region.level for region in turned.regions] == [region.level for region in found.regions]
    for here, there in zip(found.regions, turned.regions, strict=True):
        assert there.centre_mm == pytest.approx(here.centre_mm, abs=0.05)
        assert there.volume_ml == pytest.approx(here.volume_ml, rel=1e-6)


@real_data
def test_without_the_sacrum_in_view_no_name_is_certain(midline: tuple[Volume, np.ndarray]) -> None:
    volume, truth = midline
    end = int(np.argwhere(truth == Level.L4)[:, 0].max())
    assert not segment(volume_of(volume.voxels[:, :end], volume.grid.spacing_mm)).levels_certain


def test_noise_has_no_certain_levels() -> None:
    noise = np.random.default_rng(1).rayleigh(20.0, (5, 256, 256))
    found = segment(volume_of(noise, (4.0, 1.0, 1.0)))
    assert not found.levels_certain
    assert found.csf is None or found.csf.quality < 0.5


def test_an_empty_volume_is_refused() -> None:
    with pytest.raises(RefusedError, match="empty"):
        segment(volume_of(np.zeros((5, 256, 256)), (4.0, 1.0, 1.0)))


def test_weights_that_their_card_does_not_describe_are_rejected(tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "segmenter")
    weights = tmp_path / "segmenter" / "segmenter.onnx"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(ModelRejectedError, match="card"):
        load_network(tmp_path / "segmenter")


def test_a_model_without_its_card_is_rejected(tmp_path: Path) -> None:
    shutil.copy(MODEL / "segmenter.onnx", tmp_path)
    with pytest.raises(ModelRejectedError, match="cannot be read"):
        load_network(tmp_path)
