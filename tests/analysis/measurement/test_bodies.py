"""Measurements of each body, the middle of the spine, and the outlines there."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from matplotlib.path import Path as Polygon
from scipy import ndimage

from analysis.domain.segmentation import Level, Segmentation
from analysis.measurement.bodies import measure_bodies, outline
from analysis.measurement.midsagittal import mid_slice
from analysis.measurement.vbq import bone_quality
from tests.analysis.synthetic_bodies import LUMBAR, example, grid, labels_on, segmentation_of


def test_every_lumbar_body_is_measured_from_cranial_to_caudal() -> None:
    volume, segmentation = example()
    quality = bone_quality(volume, segmentation, minimum_usable_levels=3)
    found = measure_bodies(volume, segmentation, quality, {Level.L2: {"a": 1.0}})
    assert [one.level for one in found] == list(LUMBAR)
    assert [one.features for one in found] == [{}, {"a": 1.0}, {}, {}, {}]
    for one in found:
        body = volume.voxels[segmentation.labels == one.level].astype(np.float64)
        assert one.volume_ml == pytest.approx(9 * 24 * 32 * 4.4e-3)
        assert one.mean_signal == pytest.approx(body.mean())
        assert one.median_signal == pytest.approx(np.median(body))
        assert one.sd_signal == pytest.approx(body.std())
        assert one.vbq == pytest.approx(2.5 + 0.1 * one.level, rel=0.05)
        assert one.outline is not None
        assert one.outline.slice_index == mid_slice(segmentation)


def test_bodies_that_are_not_usable_are_measured_but_not_scored() -> None:
    volume, segmentation = example()
    some = segmentation_of(
        segmentation.labels.copy(), segmentation.grid, usable=LUMBAR[:4], csf=segmentation.csf
    )
    l5 = measure_bodies(volume, some, bone_quality(volume, some, minimum_usable_levels=3), {})[-1]
    assert l5.level is Level.L5
    assert l5.vbq is None
    assert l5.volume_ml > 0


def test_other_levels_are_not_reported() -> None:
    volume, _ = example()
    labels = labels_on(volume.grid, [Level.L1, Level.L2])
    segmentation = segmentation_of(labels, volume.grid)
    found = measure_bodies(
        volume, segmentation, bone_quality(volume, segmentation, minimum_usable_levels=3), {}
    )
    assert [one.level for one in found] == [Level.L1, Level.L2]
    assert all(one.vbq is None for one in found)


def test_a_body_that_does_not_reach_the_middle_has_no_outline() -> None:
    where = grid()
    labels = labels_on(where)
    labels[:9][labels[:9] == Level.L5] = 0
    labels[9, :, 20:][labels[9, :, 20:] == Level.L5] = 0  # only a sliver of it is left, on one side
    segmentation = segmentation_of(labels, where)
    volume, _ = example()
    found = measure_bodies(
        volume, segmentation, bone_quality(volume, segmentation, minimum_usable_levels=3), {}
    )
    assert [one.outline is None for one in found] == [False, False, False, False, True]


def test_the_middle_of_straight_bodies_is_their_middle_slice() -> None:
    assert mid_slice(example()[1]) == 5


def test_the_middle_of_a_curved_spine_shows_every_body() -> None:
    where = grid((17, 160, 90))
    labels = labels_on(where, shift_slices=(-3, -1, 0, 1, 3))
    middle = mid_slice(segmentation_of(labels, where))
    assert middle == 8
    assert set(np.unique(labels[middle])) == {0, 1, 2, 3, 4, 5}


def test_a_slice_outside_the_bodies_is_never_the_middle() -> None:
    """Two bodies far apart sideways have their centre of mass on a slice without either."""
    where = grid((17, 160, 90))
    labels = np.zeros(where.shape, dtype=np.uint8)
    labels[1:4, 10:30, 20:50] = Level.L1
    labels[13:16, 50:70, 20:50] = Level.L2
    assert mid_slice(segmentation_of(labels, where)) in {3, 13}


def test_nothing_found_leaves_the_middle_of_the_stack() -> None:
    where = grid()
    assert mid_slice(segmentation_of(np.zeros(where.shape, dtype=np.uint8), where)) == 5


def _filled(points: npt.NDArray[np.float64], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    rows, columns = np.indices(shape)
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    return np.asarray(Polygon(points).contains_points(centres, radius=1e-9).reshape(shape))


def test_a_square_has_its_own_border_in_dicom_pixels() -> None:
    mask = np.zeros((20, 30), dtype=np.bool_)
    mask[5:15, 10:22] = True
    points = outline(mask)
    assert points is not None
    assert (points.min(axis=0), points.max(axis=0)) == (pytest.approx([10, 5]), pytest.approx([22, 15]))
    assert (points[0] == points[-1]).all()
    assert len(points) <= 9


def test_an_empty_mask_has_no_outline() -> None:
    assert outline(np.zeros((4, 4), dtype=np.bool_)) is None


def test_a_body_at_the_edge_of_the_image_has_a_closed_outline_within_it() -> None:
    points = outline(np.ones((6, 8), dtype=np.bool_))
    assert points is not None
    assert points.min() == 0.0
    assert points.max(axis=0).tolist() == [8.0, 6.0]


def test_only_the_largest_part_is_outlined_and_its_holes_are_not() -> None:
    mask = np.zeros((40, 40), dtype=np.bool_)
    mask[2:5, 2:5] = mask[10:30, 10:30] = True
    mask[18:22, 18:22] = False
    points = outline(mask)
    assert points is not None
    filled = _filled(points, mask.shape)
    assert filled[20, 20]
    assert not filled[3, 3]


def test_a_disc_is_drawn_with_few_points() -> None:
    rows, columns = np.indices((64, 64))
    disc = (rows - 31) ** 2 + (columns - 31) ** 2 < 25**2
    points = outline(disc)
    assert points is not None
    assert len(points) < 60
    assert (_filled(points, disc.shape) ^ disc).sum() <= 0.02 * disc.sum()


@given(npst.arrays(np.float64, (12, 14), elements=st.floats(-1.0, 1.0)))
def test_any_smooth_shape_is_outlined_closely_and_closed(noise: npt.NDArray[np.float64]) -> None:
    mask = ndimage.zoom(ndimage.gaussian_filter(noise, 1.5), 4, order=1) > 0.02
    points = outline(mask)
    if points is None:
        assert not mask.any()
        return
    parts, _ = ndimage.label(mask)
    largest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    solid = ndimage.binary_fill_holes(largest)
    assert (points[0] == points[-1]).all()
    assert points.min() >= 0.0
    assert (points.max(axis=0) <= (mask.shape[1], mask.shape[0])).all()
    # Areas can differ by at most the tolerance along the border.
    border = int((solid ^ ndimage.binary_erosion(solid)).sum())
    assert (_filled(points, mask.shape) ^ solid).sum() <= 0.5 * border + 1


def test_measuring_does_not_write_into_its_input() -> None:
    volume, segmentation = example()
    before: tuple[str, bytes] = (volume.digest(), segmentation.labels.tobytes())
    again: Segmentation = segmentation
    measure_bodies(volume, again, bone_quality(volume, again, minimum_usable_levels=3), {})
    assert (volume.digest(), segmentation.labels.tobytes()) == before
