"""Signal unlike ordinary marrow is found and told; shading, a vein and plain marrow are not."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from analysis.domain.reason import Reason
from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Volume
from analysis.measurement.focal import focal_reasons, focal_regions, left_out, unlike_neighbours
from tests.analysis.synthetic_bodies import example, grid, labels_on, segmentation_of, textured
from tests.focal_lesions import LESIONS, painted


def scene(seed: int = 0) -> tuple[Volume, Segmentation]:
    return example(seed)


def shaded(volume: Volume, field: npt.NDArray[np.float64]) -> Volume:
    return Volume((volume.voxels * field).astype(np.float32), volume.grid)


@pytest.mark.parametrize("seed", range(4))
def test_plain_marrow_is_not_told(seed: int) -> None:
    assert focal_reasons(*scene(seed)) == {}


def coil(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return a shading by a factor of 7 along the spine and across it."""
    _, rows, columns = np.indices(shape)
    return np.asarray(np.exp(2.0 * (columns / shape[2] - rows / shape[1])))


def test_a_smooth_shading_is_not_told() -> None:
    volume, segmentation = scene()
    assert focal_reasons(shaded(volume, coil(volume.voxels.shape)), segmentation) == {}


@pytest.mark.parametrize("kind", ["Modic I", "Modic II", "haemangioma 18 mm"])
def test_a_smooth_shading_hides_no_lesion(kind: str) -> None:
    volume, segmentation = scene()
    changed = painted(volume, segmentation.labels, Level.L3, (kind, "T1"), np.random.default_rng(1))
    told = focal_reasons(shaded(changed, coil(volume.voxels.shape)), segmentation)
    assert set(told) == {Level.L3}


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_noise_is_not_told(share: float) -> None:
    volume, segmentation = scene()
    noise = np.random.default_rng(3).normal(0.0, share * 280.0, volume.voxels.shape)
    noisy = Volume(np.abs(volume.voxels + noise).astype(np.float32), volume.grid)
    assert focal_reasons(noisy, segmentation) == {}


@pytest.mark.parametrize("columns", [slice(16, 22), slice(42, 48)])
def test_an_outline_with_the_dark_wall_inside_is_no_region(columns: slice) -> None:
    volume, segmentation = scene()
    voxels = volume.voxels.copy()
    voxels[:, :, columns] *= 0.3
    assert focal_reasons(Volume(voxels, volume.grid), segmentation) == {}


@pytest.mark.parametrize("end", [0, -1])
def test_a_slice_that_cuts_the_waist_is_not_looked_at(end: int) -> None:
    volume, segmentation = scene()
    body = np.argwhere(segmentation.labels == Level.L3)
    number, row = sorted(set(body[:, 0].tolist()))[end], int(body[:, 1].mean())
    voxels = volume.voxels.copy()
    voxels[number, row - 5 : row + 6, 22:42] *= 0.5
    assert focal_reasons(Volume(voxels, volume.grid), segmentation) == {}


def test_a_strip_is_no_region() -> None:
    where = grid((11, 290, 164), (4.4, 0.55, 0.55))
    labels = labels_on(where)
    voxels = textured(labels, where).voxels.copy()
    rows, columns = np.argwhere(labels == Level.L3)[:, 1:].T
    strip = slice(int(rows.mean()) + 9, int(rows.mean()) + 11)
    voxels[:, strip, columns.min() : columns.max() + 1] *= 2.2
    assert focal_reasons(Volume(voxels, where), segmentation_of(labels, where)) == {}


def test_marrow_that_is_patchy_everywhere_is_not_told() -> None:
    volume, segmentation = scene()
    patches = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=volume.voxels.shape), (0, 3, 3))
    assert focal_reasons(shaded(volume, np.exp(0.18 * patches / patches.std())), segmentation) == {}


def test_the_same_endplate_of_most_bodies_is_told_and_not_taken_for_shading() -> None:
    volume, segmentation = scene()
    voxels = volume.voxels.copy()
    changed = {Level.L1, Level.L2, Level.L4}
    for level in changed:
        top = int(np.argwhere(segmentation.labels == level)[:, 1].min())
        voxels[:, top : top + 9] *= np.where(segmentation.labels[:, top : top + 9] == level, 1.8, 1.0)
    assert set(focal_reasons(Volume(voxels, volume.grid), segmentation)) == changed


@pytest.mark.parametrize("contrast", ["T1", "T2"])
@pytest.mark.parametrize("kind", [name for name in LESIONS if "faint" not in name and "8 mm" not in name])
def test_a_lesion_is_told_of_its_body_alone(kind: str, contrast: str) -> None:
    volume, segmentation = scene()
    changed = painted(volume, segmentation.labels, Level.L3, (kind, contrast), np.random.default_rng(1))
    assert set(focal_reasons(changed, segmentation)) == {Level.L3}


def test_the_side_and_the_place_are_told() -> None:
    volume, segmentation = scene()
    rows = np.argwhere(segmentation.labels == Level.L2)[:, 1]
    voxels = volume.voxels.copy()
    low = (np.indices(voxels.shape)[1] > np.quantile(rows, 0.65)) & (segmentation.labels == Level.L2)
    voxels[low] *= 0.5
    (region,) = focal_regions(Volume(voxels, volume.grid), segmentation)
    assert (region.level, region.bright, region.place) == (Level.L2, False, "place_lower_endplate")
    assert region.change == pytest.approx(-0.5, abs=0.08)
    assert 2.0 < region.volume_ml < 12.0


def test_the_entry_of_the_basivertebral_vein_is_not_told() -> None:
    volume, segmentation = scene()
    body = np.argwhere(segmentation.labels == Level.L3)
    middle, back = body.mean(axis=0), body[:, 2].max()
    slices, rows, columns = np.indices(volume.voxels.shape)
    vein = (np.abs(slices - middle[0]) < 1.5) & (np.abs(rows - middle[1]) < 3) & (columns > back - 8)
    voxels = np.where(vein & (segmentation.labels == Level.L3), 1.8 * volume.voxels, volume.voxels)
    assert focal_reasons(Volume(voxels.astype(np.float32), volume.grid), segmentation) == {}


def test_a_body_left_out_is_unusable_and_says_why() -> None:
    _, segmentation = scene()
    why = Reason("body_darker", percent=50.0)
    after = left_out(segmentation, {Level.L3: (why,)})
    region = after.region(Level.L3)
    assert region is not None
    assert not region.usable
    assert region.concerns == (why,)
    assert region.quality < 0.5
    assert [one.level for one in after.usable_lumbar] == [Level.L1, Level.L2, Level.L4, Level.L5]


@pytest.mark.parametrize("odd", [Level.L1, Level.L3, Level.L5])
@pytest.mark.parametrize(("change", "code"), [(0.7, "body_brighter"), (-0.7, "body_darker")])
def test_a_whole_body_is_compared_with_the_line_of_the_others(odd: Level, change: float, code: str) -> None:
    typical = {
        level: (35.0 * level, 5.0 + 0.1 * level + (change if level is odd else 0.0))
        for level in Level
        if level.lumbar
    }
    ((level, (reason,)),) = unlike_neighbours(typical)
    assert (level, reason.code) == (odd, code)


def test_a_bent_shading_is_no_odd_body() -> None:
    typical = {level: (35.0 * level, 5.0 - 0.08 * (level - 3.0) ** 2) for level in Level if level.lumbar}
    assert list(unlike_neighbours(typical)) == []
