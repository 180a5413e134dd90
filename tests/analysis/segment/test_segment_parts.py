"""The steps of the segmenter, each on shapes with a known result."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from analysis.domain.segmentation import Level
from analysis.domain.volume import Grid, Volume
from analysis.errors import RefusedError
from analysis.segment import instances
from analysis.segment.csf import sample_csf
from analysis.segment.embedded import _owners, interpret
from analysis.segment.instances import FoundBody, find_bodies
from analysis.segment.levels import name_levels
from analysis.segment.network import BACKGROUND, BODY, CANAL, SACRUM
from analysis.segment.quality import Shape, assess, measure_shape
from analysis.segment.regions import filled
from analysis.segment.sagittal import SagittalView
from tests.thoroughness import share_of

SAGITTAL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
SPACING_MM = (4.0, 1.0, 1.0)
ANY_BODY = FoundBody(1, np.zeros(3), 2e4, 0.0, 1.0, False, 50.0)
SACRAL_OFFSET = 16
"""Columns by which S1 lies behind L5."""


def sagittal_volume(voxels: np.ndarray, spacing_mm: tuple[float, float, float] = (4.0, 0.8, 0.8)) -> Volume:
    shape = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    return Volume(voxels.astype(np.float32), Grid(shape, spacing_mm, (-30.0, -80.0, 120.0), SAGITTAL))


def rearranged(volume: Volume, order: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Volume:
    """Store the same voxels at the same positions in another order."""
    flipped = tuple(axis for axis in range(3) if flips[axis])
    voxels = np.ascontiguousarray(np.flip(volume.voxels, flipped).transpose(order))
    first = [volume.grid.shape[axis] - 1 if flips[axis] else 0 for axis in range(3)]
    axes = volume.grid.axes * np.where(flips, -1.0, 1.0)[:, None]
    x, y, z = (float(value) for value in volume.grid.to_mm(first))
    a, b, c = order
    spacing = volume.grid.spacing_mm
    grid = Grid(voxels.shape, (spacing[a], spacing[b], spacing[c]), (x, y, z), axes[list(order)])
    return Volume(voxels, grid)


@settings(deadline=None, max_examples=share_of(20))
@given(st.permutations([0, 1, 2]), st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_the_network_sees_the_same_slices_however_the_voxels_are_stored(
    order: list[int], flips: tuple[bool, bool, bool]
) -> None:
    voxels = np.random.default_rng(3).random((6, 62, 70))
    volume = sagittal_volume(voxels, (1.5, 1.0, 1.0))
    other = rearranged(volume, (order[0], order[1], order[2]), flips)
    here, there = SagittalView.of(volume), SagittalView.of(other)
    assert np.array_equal(here.slices, there.slices)
    assert here.grid.matches(there.grid)
    assert np.array_equal(there.to_input(there.signal), other.voxels)


def test_thin_slices_are_averaged_to_slabs_and_come_back_as_many_as_they_were() -> None:
    volume = sagittal_volume(np.random.default_rng(1).random((40, 90, 90)), (0.9, 1.0, 1.0))
    view = SagittalView.of(volume)
    assert len(view.slices) == 14
    assert view.to_native(view.slices).shape == volume.grid.shape
    assert view.nearest(np.zeros(view.slices.shape, np.uint8)).shape == volume.grid.shape


def test_resampling_there_and_back_moves_nothing() -> None:
    row, column = np.mgrid[:200, :200]
    blob = np.exp(-((row - 60.0) ** 2 + (column - 120.0) ** 2) / 300.0)
    view = SagittalView.of(sagittal_volume(np.stack([blob] * 5), (4.0, 0.6, 0.6)))
    back = view.to_native(view.slices)
    assert np.abs(back[2] / back[2].max() - blob).max() < 0.03


def test_a_window_holds_the_same_values_at_the_same_positions() -> None:
    volume = sagittal_volume(np.random.default_rng(4).random((24, 120, 110)), (1.3, 0.7, 0.8))
    view = SagittalView.of(volume)
    window = view.window((slice(2, 9), slice(-3, 50), slice(20, 200)))
    whole = view.to_native(view.slices)
    assert view.to_native(view.slices, window) == pytest.approx(whole[window], abs=1e-5)
    labels = np.random.default_rng(5).integers(0, 7, view.slices.shape).astype(np.uint8)
    part = view.nearest(labels, window)
    assert np.array_equal(part, view.nearest(labels)[window])
    marked = view.marked_on_input(part, window)
    assert np.array_equal(view.from_input(marked)[window], part)
    assert marked.sum() == part.sum()
    first = [one.start for one in window]
    assert view.part(window).to_mm((0, 0, 0)) == pytest.approx(view.grid.to_mm(first))


def test_what_a_fine_volume_is_made_of_is_not_copied_at_full_size() -> None:
    probabilities = blocks(6, slabs=20)
    _, _, height, width = probabilities.shape
    shape = (20, 4 * height, 4 * (width + 160))
    wide = np.zeros((20, 6, height, width + 160), np.float32)
    wide[:, BACKGROUND], wide[..., :width] = 1.0, probabilities
    rows, columns = (np.arange(length) // 4 for length in shape[1:])
    signal = (40.0 + 60.0 * wide[:, BODY][:, rows][:, :, columns]).astype(np.float32)
    volume = sagittal_volume(signal[::-1, :, ::-1], (4.0, 0.25, 0.25))
    turned = Grid(shape, volume.grid.spacing_mm, volume.grid.origin_mm, SAGITTAL * [[-1], [1], [-1]])
    tracemalloc.start()
    view = SagittalView.of(Volume(volume.voxels, turned))
    found = interpret(wide, view, turned, "blocks")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [region.level for region in found.regions][-2:] == [Level.L5, Level.S1]
    assert peak < 2.0 * volume.voxels.nbytes


@pytest.mark.parametrize(
    ("voxels", "spacing_mm", "words"),
    [
        (np.zeros((12, 200, 200)), (4.0, 1.0, 1.0), "empty"),
        (np.ones((12, 200, 200)), (4.0, 1.0, 1.0), "empty"),
        (np.random.default_rng(1).random((12, 40, 40)), (4.0, 1.0, 1.0), "too small"),
        (np.random.default_rng(1).random((12, 90, 90)), (4.0, 4.0, 1.0), "too far apart"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(
    voxels: np.ndarray, spacing_mm: tuple[float, float, float], words: str
) -> None:
    with pytest.raises(RefusedError, match=words):
        SagittalView.of(sagittal_volume(voxels, spacing_mm))


def blocks(count: int, *, gap: int = 9, sacrum: bool = True, slabs: int = 9) -> np.ndarray:
    """Return the probabilities of a column of boxes, 27 mm high and 34 mm deep, of which the lowest is S1."""
    probabilities = np.zeros((slabs, 6, 40 + count * (27 + gap), 120), np.float32)
    probabilities[:, BACKGROUND] = 1.0
    for number in range(count):
        top = 10 + number * (27 + gap)
        is_sacrum = sacrum and number == count - 1
        label, left, height = (SACRUM, 30 + SACRAL_OFFSET, 24) if is_sacrum else (BODY, 30, 27)
        probabilities[1:-1, label, top : top + height, left : left + 34] = 0.98
        probabilities[1:-1, BACKGROUND, top : top + height, left : left + 34] = 0.02
    probabilities[3:6, CANAL, :, 90:104] = 0.9
    return probabilities


def test_a_column_of_bodies_comes_apart_and_is_named_from_the_sacrum_up() -> None:
    bodies = find_bodies(blocks(7), SPACING_MM).found
    naming = name_levels(bodies)
    names = [naming.levels[body.number] for body in bodies]
    assert names == [Level.T12, Level.L1, Level.L2, Level.L3, Level.L4, Level.L5, Level.S1]
    assert naming.certain


def test_bodies_joined_by_a_thin_bridge_are_still_two() -> None:
    probabilities = blocks(6)
    probabilities[2:5, BODY, 30:50, 44:47] = 0.9
    bodies = find_bodies(probabilities, SPACING_MM).found
    assert len(bodies) == 6


SPACINGS = st.sampled_from([(4.4, 1.0, 1.0), (1.2, 1.0, 1.0), (2.0, 0.7, 1.3)])
SPOTS = st.lists(
    st.tuples(*(st.integers(0, size - 1) for size in (5, 60, 50)), st.integers(3, 11)), max_size=4
)
"""Slab, row, column and radius of discs and squares, which may touch each other and the image's edges."""


def discs(spots: list[tuple[int, int, int, int]]) -> np.ndarray:
    """Return a volume of numbered discs and squares, each on three slabs; later ones cover earlier ones."""
    numbers = np.zeros((5, 60, 50), np.int32)
    rows, columns = np.indices(numbers.shape[1:])
    for number, (slab, row, column, radius) in enumerate(spots, start=1):
        down, right = np.abs(rows - row), np.abs(columns - column)
        distance = np.hypot(down, right) if number % 2 else np.maximum(down, right)
        numbers[max(0, slab - 1) : slab + 2, distance <= radius] = number
    return numbers


@settings(deadline=None)
@given(SPOTS, SPACINGS)
def test_bodies_come_apart_in_a_box_as_they_do_in_the_whole_volume(
    spots: list[tuple[int, int, int, int]], spacing_mm: tuple[float, float, float]
) -> None:
    mask = discs(spots) > 0
    whole = instances._grow(instances._cores(mask, spacing_mm), mask, spacing_mm)
    assert np.array_equal(instances._separated(mask, spacing_mm), whole)


@settings(deadline=None)
@given(SPOTS, SPACINGS)
def test_the_nearest_body_in_a_box_is_that_in_the_whole_volume(
    spots: list[tuple[int, int, int, int]], spacing_mm: tuple[float, float, float]
) -> None:
    numbers = discs(spots)
    named = {Level(number): replace(ANY_BODY, number=number) for number in (1, 2, 4)}
    kept = np.where(np.isin(numbers, [1, 2, 4]), numbers, 0)
    distance, nearest = ndimage.distance_transform_edt(
        kept == 0, sampling=(1e3, *spacing_mm[1:]), return_indices=True
    )
    expected = np.where(kept.any() & (distance <= 3.0), kept[tuple(nearest)], 0)
    assert np.array_equal(_owners(numbers, named, spacing_mm), expected)


def test_psoas_beside_the_column_is_no_body() -> None:
    probabilities = blocks(6, slabs=25)
    probabilities[:, BODY] = 0
    probabilities[8:17, BODY, 10:190, 30:64] = blocks(6, slabs=9)[:, BODY, 10:190, 30:64]
    probabilities[:, CANAL] = 0
    probabilities[11:14, CANAL, :, 90:104] = 0.9
    probabilities[0:4, BODY, 40:90, 30:60] = 0.9
    bodies = find_bodies(probabilities, SPACING_MM).found
    assert len(bodies) == 6


def test_without_a_sacrum_no_name_is_certain() -> None:
    bodies = find_bodies(blocks(6, sacrum=False), SPACING_MM).found
    naming = name_levels(bodies)
    assert not naming.certain
    assert "sacrum" in naming.concerns[0]


def test_a_gap_in_the_column_makes_the_names_uncertain() -> None:
    probabilities = blocks(7, gap=6)
    top = 10 + 3 * 33
    probabilities[:, BODY, top : top + 27] = 0
    bodies = find_bodies(probabilities, SPACING_MM).found
    assert not name_levels(bodies).certain


def test_nothing_found_is_named_nothing() -> None:
    naming = name_levels([])
    assert naming.levels == {}
    assert naming.confidence == 0.0


def box(height: int, anterior_loss: int = 0) -> np.ndarray:
    mask = np.zeros((9, 60, 60), np.bool_)
    for column in range(34):
        loss = round(anterior_loss * (1 - column / 33))
        mask[1:8, 15 + loss : 15 + height, 10 + column] = True
    return mask


UPWARDS = np.array([-1.0, 0.0])


def test_heights_are_measured_front_middle_and_back() -> None:
    shape = measure_shape(box(27, anterior_loss=12), UPWARDS, SPACING_MM)
    assert shape.posterior_mm == pytest.approx(25, abs=2.5)
    assert shape.anterior_mm == pytest.approx(17, abs=2.5)
    assert shape.depth_mm == pytest.approx(33, abs=1.5)
    assert shape.volume_ml == pytest.approx(box(27, 12).sum() * 4 / 1000)


def a_body(certainty: float = 0.97, *, touches_edge: bool = False) -> FoundBody:
    return FoundBody(1, np.zeros(3), 25000.0, 0.0, certainty, touches_edge, below_mm=99.0)


def shapes_with(odd: Shape) -> dict[Level, Shape]:
    normal = measure_shape(box(27), UPWARDS, SPACING_MM)
    return {Level.L1: normal, Level.L2: normal, Level.L3: odd, Level.L4: normal, Level.L5: normal}


def test_a_wedge_is_called_fracture_like_and_not_used() -> None:
    wedge = measure_shape(box(27, anterior_loss=14), UPWARDS, SPACING_MM)
    assessment = assess(Level.L3, a_body(), shapes_with(wedge), np.full(99, 50.0, np.float32), 50.0)
    assert "fracture-like height loss of 4" in assessment.concerns[0]
    assert not assessment.usable


def test_a_normal_body_has_no_concern() -> None:
    normal = measure_shape(box(27), UPWARDS, SPACING_MM)
    assessment = assess(Level.L3, a_body(), shapes_with(normal), np.full(99, 50.0, np.float32), 50.0)
    assert assessment.concerns == ()
    assert assessment.usable
    assert assessment.quality > 0.95


def test_a_signal_void_speaks_of_metal() -> None:
    normal = measure_shape(box(27), UPWARDS, SPACING_MM)
    signal = np.full(100, 50.0, np.float32)
    signal[:20] = 1.0
    assessment = assess(Level.L3, a_body(), shapes_with(normal), signal, 50.0)
    assert any("metal" in words for words in assessment.concerns)
    assert not assessment.usable


def test_a_body_at_the_edge_is_not_used() -> None:
    normal = measure_shape(box(27), UPWARDS, SPACING_MM)
    edge = a_body(touches_edge=True)
    assessment = assess(Level.L3, edge, shapes_with(normal), np.full(99, 50.0, np.float32), 50.0)
    assert not assessment.usable


def canal_scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return canal probability, labels and signal: fluid 200, dura and nerve roots 60, marrow 90."""
    labels = np.zeros((9, 100, 100), np.uint8)
    labels[1:8, 30:57, 20:54] = Level.L3
    canal = np.zeros(labels.shape, np.float32)
    canal[3:6, :, 60:76] = 0.95
    signal = np.where(labels > 0, 90.0, 40.0).astype(np.float32)
    signal[3:6, :, 60:76] = 60.0
    signal[3:6, :, 61:75] = 200.0
    signal[3:6, ::5, 70:72] = 60.0
    return canal, labels, signal


def test_the_csf_sample_is_pure_fluid_behind_l3() -> None:
    canal, labels, signal = canal_scene()
    noise = np.random.default_rng(1).normal(0, 4, signal.shape).astype(np.float32)
    sample = sample_csf(canal, labels, signal + noise, SPACING_MM)
    assert sample is not None
    assert signal[sample.mask].min() == 200.0
    rows = np.flatnonzero(sample.mask.any(axis=(0, 2)))
    assert rows[0] >= 30
    assert rows[-1] < 57
    assert sample.quality > 0.8


def test_holes_are_filled_slice_by_slice_as_in_the_whole_volume() -> None:
    noise = np.random.default_rng(2).random((5, 40, 50))
    for mask in (noise > 0.45, (noise > 0.5) & (np.indices(noise.shape)[1] < 20)):
        whole = np.stack([ndimage.binary_fill_holes(one) for one in mask])
        assert whole.sum() > mask.sum()
        assert np.array_equal(filled(mask), whole)


def test_without_a_canal_there_is_no_csf_sample() -> None:
    canal, labels, signal = canal_scene()
    assert sample_csf(canal * 0, labels, signal, SPACING_MM) is None


def test_fluid_as_bright_as_marrow_lowers_the_quality() -> None:
    canal, labels, signal = canal_scene()
    signal[signal == 200.0] = 92.0
    signal[signal == 60.0] = 92.0
    sample = sample_csf(canal, labels, signal, SPACING_MM)
    assert sample is not None
    assert sample.quality < 0.6
    assert sample.concerns
