"""Resampling in plane keeps positions, values and labels."""

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from analysis.domain.segmentation import Level
from analysis.domain.volume import Grid, box_of
from analysis.itk import to_array, to_image
from analysis.measurement.resample import covered, in_plane_grid, labels_on, signal_on, spline_reach
from tests.analysis.synthetic_bodies import SAGITTAL_AXES, grid
from tests.analysis.synthetic_bodies import labels_on as boxes

ANY_GRID = st.builds(
    Grid,
    st.tuples(st.integers(1, 4), st.integers(8, 40), st.integers(8, 40)),
    st.tuples(st.floats(1.0, 6.0), st.floats(0.3, 2.0), st.floats(0.3, 2.0)),
    st.tuples(*[st.floats(-50.0, 50.0)] * 3),
    st.just(SAGITTAL_AXES),
)


@given(ANY_GRID, st.floats(0.4, 2.0))
def test_both_grids_share_their_centre_and_nearly_their_field_of_view(old: Grid, pixel_mm: float) -> None:
    new = in_plane_grid(old, pixel_mm)
    assert np.allclose(
        new.to_mm([(count - 1) / 2 for count in new.shape]),
        old.to_mm([(count - 1) / 2 for count in old.shape]),
    )
    assert new.spacing_mm == (old.spacing_mm[0], pixel_mm, pixel_mm)
    for axis in (1, 2):
        assert abs(new.shape[axis] * pixel_mm - old.shape[axis] * old.spacing_mm[axis]) <= pixel_mm / 2 + 1e-9


@given(ANY_GRID, st.floats(0.4, 2.0))
def test_a_slope_stays_the_same_slope(old: Grid, pixel_mm: float) -> None:
    """A linear signal is exact away from the edges, where it is mirrored."""
    slope = np.array([0.3, -0.7, 0.2])
    indices = np.stack(np.meshgrid(*map(np.arange, old.shape), indexing="ij"), axis=-1)
    new = in_plane_grid(old, pixel_mm)
    resampled = signal_on(new, (old.to_mm(indices) @ slope).astype(np.float32), old)
    expected = new.to_mm(np.stack(np.meshgrid(*map(np.arange, new.shape), indexing="ij"), axis=-1)) @ slope
    inner = (slice(None), *(slice(count // 2 - 1, count // 2 + 1) for count in new.shape[1:]))
    # The effect of the mirrored edge decays to (2 - √3)^4 at 4 samples' distance.
    assert np.allclose(resampled[inner], expected[inner], atol=0.1)


def test_the_signal_is_what_simpleitk_interpolates() -> None:
    old = grid((5, 60, 50), (4.0, 0.7, 0.6))
    voxels = np.random.default_rng(0).normal(100.0, 20.0, old.shape).astype(np.float32)
    new = in_plane_grid(old, 1.0)
    reference = SimpleITK.Resample(
        to_image(voxels, old),
        to_image(np.zeros(new.shape, dtype=np.float32), new),
        SimpleITK.Transform(),
        SimpleITK.sitkBSpline,
    )
    inner = (slice(None), slice(2, -2), slice(2, -2))
    assert np.allclose(signal_on(new, voxels, old)[inner], to_array(reference)[inner], atol=2e-3)


def test_labels_are_what_simpleitk_takes_for_nearest() -> None:
    old = grid((11, 200, 120), (4.4, 0.73, 0.61))
    labels, new = boxes(old), in_plane_grid(old, 1.0)
    reference = SimpleITK.Resample(
        to_image(labels, old),
        to_image(np.zeros(new.shape, dtype=np.uint8), new),
        SimpleITK.Transform(),
        SimpleITK.sitkNearestNeighbor,
    )
    assert (labels_on(new, labels, old) == to_array(reference)).all()


@pytest.mark.parametrize("pixel_mm", [0.5, 1.0, 1.7])
def test_the_volume_of_a_body_is_kept_within_its_border(pixel_mm: float) -> None:
    old = grid()
    new = in_plane_grid(old, pixel_mm)
    before = (boxes(old) > 0).sum() * old.voxel_ml
    after = (labels_on(new, boxes(old), old) > 0).sum() * new.voxel_ml
    assert after == pytest.approx(before, rel=0.08)


def test_near_a_body_a_part_of_the_image_gives_the_values_of_the_whole_to_the_last_bit() -> None:
    old = grid((3, 420, 390), (4.0, 0.37, 0.41))
    labels = np.roll(boxes(old, (Level.L2, Level.L3)), 120, axis=2)
    voxels = np.random.default_rng(1).normal(100.0, 20.0, old.shape).astype(np.float32)
    new = in_plane_grid(old, 1.0)
    box = box_of(labels)
    wide, within = spline_reach(box, old.shape), covered(new, old, box)
    corner = (wide[1].start, wide[2].start)
    assert min(corner) > 0
    here = (slice(None), *within[1:])
    found = labels_on(new, labels[wide], old, within, corner)
    assert np.array_equal(found, labels_on(new, labels, old)[wide[0]][here])
    assert np.count_nonzero(found) == np.count_nonzero(labels_on(new, labels, old))
    part = signal_on(new, voxels[wide], old, within, corner)
    assert np.array_equal(part, signal_on(new, voxels, old)[wide[0]][here])
