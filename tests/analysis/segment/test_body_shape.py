"""The shape prior of bodies on lateral slices."""

import numpy as np
import pytest
from scipy import ndimage

from analysis.domain.segmentation import Level
from analysis.segment.body_shape import BodyShape, fit_shape, restrain

SPACING_MM = (3.0, 1.0, 1.0)
UPRIGHT = np.array([-1.0, 0.0])
TRUE = BodyShape(np.array([36.0, 40.0, 40.0]), UPRIGHT, depth_mm=33.0, height_mm=27.0, breadth_mm=46.0)


def solid(shape: BodyShape, upwards: np.ndarray = UPRIGHT) -> np.ndarray:
    """Return the probabilities of one body of that shape on 25 slabs of 80 × 80 mm."""
    slab, row, column = np.indices((25, 80, 80))
    down, right = row - shape.centre_mm[1], column - shape.centre_mm[2]
    up = down * upwards[0] + right * upwards[1]
    back = right * upwards[0] - down * upwards[1]
    box = (np.abs(up) < shape.height_mm / 2) & (np.abs(back) < shape.depth_mm / 2)
    aside = np.abs(slab * SPACING_MM[0] - shape.centre_mm[0])
    inside = box & (aside < shape.breadth_mm * shape.reach(row.astype(float), column.astype(float)))
    return np.where(inside, 0.95, 0.02).astype(np.float32)


def grey(bone: np.ndarray) -> np.ndarray:
    """Return an image as bright as marrow everywhere."""
    return np.full(bone.shape, 100.0, np.float32)


def fitted(bone: np.ndarray, upwards: np.ndarray = UPRIGHT, middle_mm: float = 36.0) -> BodyShape:
    return fit_shape(Level.L3, bone > 0.5, bone, upwards=upwards, middle_mm=middle_mm, spacing_mm=SPACING_MM)


@pytest.mark.parametrize("lean", [-30.0, 0.0, 25.0])
def test_a_body_of_that_shape_is_found_again_however_it_leans(lean: float) -> None:
    upwards = np.array([-np.cos(np.radians(lean)), np.sin(np.radians(lean))])
    true = BodyShape(TRUE.centre_mm, upwards, TRUE.depth_mm, TRUE.height_mm, TRUE.breadth_mm)
    found = fitted(solid(true, upwards), upwards)
    assert np.abs(found.centre_mm - true.centre_mm).max() < 1.5
    assert found.depth_mm == pytest.approx(33.0, abs=2.0)
    assert found.height_mm == pytest.approx(27.0, abs=2.0)
    assert found.breadth_mm == pytest.approx(46.0, abs=3.0)


def test_what_fits_keeps_nearly_every_voxel() -> None:
    bone = solid(TRUE)
    kept = restrain(bone, (bone > 0.5).astype(int), {1: fitted(bone)}, grey(bone), SPACING_MM)
    assert (kept > 0.5).sum() > 0.97 * (bone > 0.5).sum()


def test_muscle_beside_the_body_is_taken_away_and_the_middle_left_as_it_was() -> None:
    bone = solid(TRUE)
    with_psoas = bone.copy()
    with_psoas[21:, 30:50, 30:50] = 0.8
    owner = (with_psoas > 0.5).astype(int)
    kept = restrain(with_psoas, owner, {1: fitted(with_psoas)}, grey(with_psoas), SPACING_MM)
    assert (kept[22:] > 0.5).sum() == 0
    assert np.array_equal(kept[9:16], with_psoas[9:16])


def test_what_is_darker_than_the_body_beside_its_middle_is_taken_away() -> None:
    bone = solid(TRUE)
    image = np.random.default_rng(2).normal(100.0, 10.0, bone.shape).astype(np.float32)
    muscle = np.zeros(bone.shape, bool)
    muscle[17:, 30:38] = True
    image[muscle] *= 0.4
    unsure = np.where(bone > 0.5, 0.8, bone).astype(np.float32)
    shape = {1: fitted(bone)}
    kept = restrain(unsure, (bone > 0.5).astype(int), shape, image, SPACING_MM)
    inner = ndimage.binary_erosion(muscle, np.ones((1, 5, 5)))
    assert (kept[inner & (bone > 0.5)] > 0.5).mean() < 0.1
    elsewhere = (bone > 0.5) & ~ndimage.binary_dilation(muscle, np.ones((1, 7, 7)))
    assert (kept[elsewhere] > 0.5).mean() > 0.93


def test_no_probability_rises_and_bodies_without_a_shape_are_not_touched() -> None:
    chance = np.random.default_rng(1).random((25, 80, 80)).astype(np.float32)
    owner = np.zeros(chance.shape, int)
    owner[:, :40], owner[:, 40:] = 1, 2
    kept = restrain(chance, owner, {1: TRUE}, grey(chance), SPACING_MM)
    assert (kept <= chance + 1e-6).all()
    assert np.array_equal(kept[:, 40:], chance[:, 40:])


def test_a_breadth_that_no_vertebra_has_is_not_believed() -> None:
    wide = solid(BodyShape(TRUE.centre_mm, UPRIGHT, 33.0, 27.0, breadth_mm=70.0))
    assert fitted(wide).breadth_mm < 54.0


def test_the_lateral_place_follows_the_bone_more_than_the_canal() -> None:
    assert fitted(solid(TRUE), middle_mm=39.0).centre_mm[0] == pytest.approx(36.0, abs=1.6)


def test_a_single_slice_has_a_shape_too() -> None:
    bone = solid(TRUE)[12:13]
    found = fit_shape(Level.L3, bone > 0.5, bone, upwards=UPRIGHT, middle_mm=0.0, spacing_mm=(4.0, 1.0, 1.0))
    kept = restrain(bone, (bone > 0.5).astype(int), {1: found}, grey(bone), (4.0, 1.0, 1.0))
    assert np.array_equal(kept, bone)
