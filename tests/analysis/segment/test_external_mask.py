"""External masks are assessed like our own, and refused if they do not fit the series."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.domain.segmentation import Level
from analysis.domain.volume import Grid, Volume
from analysis.errors import RefusedError
from analysis.itk import read_labels, write
from analysis.measurement.vbq import bone_quality
from analysis.segment.external_mask import CANAL, SACRUM, ExternalMask, adopt, on_grid
from analysis.segment.posterior import cut_posterior_elements
from tests.analysis.spine_scene import LUMBAR, spine_scene

SCENE = spine_scene()
GRID = SCENE.volume.grid
MASK = ExternalMask(SCENE.labels(), GRID, "mask of a test")


def test_a_mask_of_bodies_is_taken_voxel_by_voxel() -> None:
    found = adopt(MASK, SCENE.volume)
    assert np.array_equal(found.labels, SCENE.bodies)
    assert [region.level for region in found.regions] == list(LUMBAR)
    assert all(region.usable and not region.concerns for region in found.regions)
    assert found.levels_certain
    assert found.method == "mask of a test"


def test_its_canal_gives_the_fluid_that_the_score_refers_to() -> None:
    found = adopt(MASK, SCENE.volume)
    assert found.csf is not None
    assert found.csf.quality > 0.8
    assert (SCENE.canal | ~found.csf.mask).all()
    score = bone_quality(SCENE.volume, found, minimum_usable_levels=3).score
    assert score is not None
    assert 0.4 < score < 0.6


def test_without_a_canal_there_is_no_score_and_the_reason_is_told() -> None:
    labels = np.where(MASK.labels == CANAL, 0, MASK.labels)
    found = adopt(replace(MASK, labels=labels), SCENE.volume)
    assert found.csf is None
    assert any("no spinal canal" in concern for concern in found.concerns)
    assert bone_quality(SCENE.volume, found, minimum_usable_levels=3).score is None


@pytest.mark.parametrize("with_canal", [True, False])
def test_posterior_elements_are_cut_off_behind_the_wall(*, with_canal: bool) -> None:
    canal = SCENE.canal if with_canal else np.zeros_like(SCENE.canal)
    bodies, lost = cut_posterior_elements(SCENE.vertebrae, canal, GRID.spacing_mm)
    assert lost == ()
    assert np.array_equal(bodies, SCENE.bodies)


def test_a_vertebra_whose_wall_cannot_be_seen_is_left_out_and_named() -> None:
    vertebrae = SCENE.vertebrae.copy()
    filled = (vertebrae == Level.L3).any(axis=(0, 2))
    vertebrae[:, filled, 30:100] = Level.L3
    mask = ExternalMask(vertebrae, GRID, "whole", whole_vertebrae=True)
    found = adopt(mask, SCENE.volume)
    assert found.region(Level.L3) is None
    assert any("L3" in concern for concern in found.concerns)


def test_whole_vertebrae_that_are_said_to_be_bodies_are_refused() -> None:
    with pytest.raises(RefusedError, match="whole_vertebrae"):
        adopt(ExternalMask(SCENE.labels(whole=True), GRID, "whole"), SCENE.volume)


def test_a_mask_on_another_grid_is_taken_by_the_nearest_voxel() -> None:
    fine = Grid((26, 460, 260), (2.0, 0.5, 0.5), tuple(GRID.to_mm((-0.25, -0.25, -0.25)).tolist()), GRID.axes)
    labels = MASK.labels.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    assert np.array_equal(on_grid(labels, fine, GRID), MASK.labels)


def test_a_mask_in_another_order_of_axes_lies_where_it_lay() -> None:
    turned = np.ascontiguousarray(MASK.labels[:, ::-1].transpose(1, 2, 0))
    axes = np.stack([-GRID.axes[1], GRID.axes[2], GRID.axes[0]])
    where = Grid(turned.shape, (1.0, 1.0, 4.0), tuple(GRID.to_mm((0, 229, 0)).tolist()), axes)
    assert np.array_equal(on_grid(turned, where, GRID), MASK.labels)


def test_a_mask_that_does_not_cover_the_series_is_refused() -> None:
    short = Grid((13, 200, 130), GRID.spacing_mm, GRID.origin_mm, GRID.axes)
    with pytest.raises(RefusedError, match="does not cover the series: 30 mm"):
        adopt(ExternalMask(MASK.labels[:, :200], short, "short"), SCENE.volume)


def test_a_mask_of_nothing_lumbar_is_refused() -> None:
    labels = np.where(MASK.labels == SACRUM, SACRUM, 0).astype(np.uint8)
    with pytest.raises(RefusedError, match="none of L1 to L5"):
        adopt(ExternalMask(labels, GRID, "sacrum only"), SCENE.volume)


def test_names_out_of_order_are_not_certain() -> None:
    swapped = MASK.labels.copy()
    swapped[MASK.labels == Level.L3], swapped[MASK.labels == Level.L4] = Level.L4, Level.L3
    found = adopt(replace(MASK, labels=swapped), SCENE.volume)
    assert not found.levels_certain
    assert any("does not lie below" in concern for concern in found.concerns)


def test_a_program_is_believed_its_names_only_with_the_sacrum_in_its_mask() -> None:
    counted = replace(MASK, names_need_sacrum=True)
    assert adopt(counted, SCENE.volume).levels_certain
    labels = np.where(MASK.labels == SACRUM, 0, MASK.labels)
    assert not adopt(replace(counted, labels=labels), SCENE.volume).levels_certain


def test_a_sacrum_one_level_too_low_is_no_anchor() -> None:
    labels = np.where(MASK.labels == Level.L5, 0, MASK.labels)
    shifted = np.where((labels > 0) & (labels <= Level.L4), labels + 1, labels).astype(np.uint8)
    assert not adopt(replace(MASK, labels=shifted, names_need_sacrum=True), SCENE.volume).levels_certain


def test_transitional_anatomy_makes_names_uncertain() -> None:
    assert not adopt(replace(MASK, transitional=True), SCENE.volume).levels_certain


def test_a_wedge_is_judged_as_in_our_own_masks() -> None:
    labels = MASK.labels.copy()
    top = 8 + 2 * 36
    for column in range(34):
        labels[:, top : top + round(16 * (1 - column / 33)), 30 + column] = 0
    region = adopt(replace(MASK, labels=labels), SCENE.volume).region(Level.L3)
    assert region is not None
    assert any(concern.startswith("fracture-like height loss") for concern in region.concerns)
    assert not region.usable


def test_a_maker_who_tells_his_doubt_is_believed() -> None:
    certainty = np.where(MASK.labels == Level.L2, 0.55, 0.99).astype(np.float32)
    found = adopt(replace(MASK, certainty=certainty), SCENE.volume)
    assert [region.level for region in found.usable_lumbar] == [Level.L1, Level.L3, Level.L4, Level.L5]


def test_masks_go_to_nifti_and_back(tmp_path: Path) -> None:
    write(tmp_path / "mask.nii.gz", MASK.labels, GRID)
    labels, grid = read_labels(tmp_path / "mask.nii.gz")
    assert np.array_equal(labels, MASK.labels)
    assert grid.matches(GRID)


def test_a_mask_of_fractions_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "mask.nii.gz", MASK.labels.astype(np.float32) / 2, GRID)
    with pytest.raises(RefusedError, match="fractions"):
        read_labels(tmp_path / "mask.nii.gz")


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mask.nii.gz").write_bytes(b"no image")
    with pytest.raises(RefusedError, match="damaged"):
        read_labels(tmp_path / "mask.nii.gz")


def test_the_volume_decides_orientation_not_the_mask() -> None:
    voxels = np.ascontiguousarray(SCENE.volume.voxels[::-1])
    axes = GRID.axes * np.array([[-1.0], [1.0], [1.0]])
    turned = Volume(voxels, Grid(GRID.shape, GRID.spacing_mm, tuple(GRID.to_mm((12, 0, 0)).tolist()), axes))
    assert np.array_equal(adopt(MASK, turned).labels, SCENE.bodies[::-1])
