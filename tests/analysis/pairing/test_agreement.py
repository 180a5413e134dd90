"""T1 and T2 of a study get the same levels on any slices, or are said to contradict each other."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Findings, SeriesInput
from analysis.domain.reason import Reason
from analysis.domain.segmentation import CRANIAL_TO_CAUDAL, CsfSample, Level, Region, Segmentation
from analysis.domain.volume import Grid, Volume
from analysis.pairing.agreement import reconcile_levels
from analysis.pairing.correspondence import Alignment, CommonBodies
from analysis.pairing.registration import align
from analysis.phantom import SCANNERS, Resolution, SimulatedSeries, draw_anatomy, draw_patient, simulate
from analysis.pipeline import analyse
from analysis.settings import AnalysisSettings, FeatureSettings
from tests.thoroughness import share_of

STEP_MM, HEIGHT_MM, DEPTH_MM, WIDTH_MM = 34.0, 26.0, 34.0, 44.0
ALL = CRANIAL_TO_CAUDAL


def turned(degrees: float, *, about: int) -> np.ndarray:
    """Return the rotation matrix about one LPS axis, by the right-hand rule."""
    angle = np.deg2rad(degrees)
    turn = np.eye(3)
    one, other = [axis for axis in range(3) if axis != about]
    turn[one, one] = turn[other, other] = np.cos(angle)
    turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
    return turn


def sagittal(
    slice_mm: float = 4.4, pixel_mm: float = 1.0, *, up_mm: float = 0.0, tilt: float = 0.0, rows: int = 300
) -> Grid:
    """Return a grid of 80 mm from side to side around a point, rotated by the given angles."""
    slices, columns = round(80 / slice_mm), round(130 / pixel_mm)
    axes = (
        np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]]) @ turned(tilt, about=2) @ turned(tilt / 2, about=0)
    )
    shape, spacing = (slices, round(rows / pixel_mm), columns), (slice_mm, pixel_mm, pixel_mm)
    half = (np.array(shape) - 1) / 2 * spacing
    x, y, z = (float(one) for one in np.array([0.0, 10.0, up_mm]) - half @ axes)
    return Grid(shape, spacing, (x, y, z), axes)


def seen(
    grid: Grid,
    names: dict[Level, Level] | None = None,
    *,
    certain: bool = True,
    confidence: float = 0.9,
    shows: Sequence[Level] = ALL,
) -> Segmentation:
    """Sample a column of boxes on a grid, and give them these levels."""
    names = names or {}
    points = grid.to_mm(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))
    column = (np.abs(points[..., 0]) < WIDTH_MM / 2) & (np.abs(points[..., 1]) < DEPTH_MM / 2)
    heights_mm = points[column, 2]
    given = np.zeros(heights_mm.shape, np.uint8)
    for level in shows:
        up = STEP_MM * (ALL.index(Level.L3) - ALL.index(level))
        given[np.abs(heights_mm - up) < HEIGHT_MM / 2] = names.get(level, level)
    labels = np.zeros(grid.shape, np.uint8)
    labels[column] = given
    regions = []
    for level in ALL:
        own = np.argwhere(labels == level)
        if len(own):
            x, y, z = (float(one) for one in grid.to_mm(own.mean(axis=0)))
            regions.append(Region(level, len(own) * grid.voxel_ml, (x, y, z), 1.0, usable=True))
    csf = CsfSample(np.zeros(grid.shape, np.bool_), 1.0)
    return Segmentation(labels, grid, tuple(regions), confidence, certain, csf, (), "boxes")


def one_up(shows: Sequence[Level]) -> dict[Level, Level]:
    """Shift all levels by one, as when L5 is mistaken for S1."""
    return {level: ALL[ALL.index(level) + 1] for level in shows if level is not Level.S1}


def in_common(first: Segmentation, second: Segmentation) -> CommonBodies:
    return CommonBodies.of(first, second, Alignment.by_headers())


@pytest.mark.parametrize(
    "other",
    [
        sagittal(),
        sagittal(6.0, 0.7),
        sagittal(3.3, 1.3, up_mm=25.0),
        sagittal(5.0, tilt=12.0),
        sagittal(1.0, 1.0, rows=200),
    ],
    ids=["equal", "thick", "higher", "oblique", "thin"],
)
def test_the_same_bodies_pair_up_and_overlap_on_every_grid(other: Grid) -> None:
    common = in_common(seen(sagittal()), seen(other))
    assert len(common.pairs) >= 5
    assert common.same_names
    assert common.residual_mm is not None
    assert common.residual_mm < 1.0
    inner = [pair.overlap for pair in common.pairs if pair.first in {Level.L2, Level.L3, Level.L4}]
    assert len(inner) == 3
    assert min(inner) > 0.85


def test_what_lies_outside_of_one_image_does_not_lower_the_overlap() -> None:
    narrow = Grid((5, 300, 130), (4.4, 1.0, 1.0), (-8.8, -54.5, 149.5), sagittal().axes)
    common = in_common(seen(sagittal()), seen(narrow))
    assert min(pair.overlap for pair in common.pairs) > 0.9


def test_series_that_agree_become_as_sure_as_the_surer_one() -> None:
    first, second = seen(sagittal(), confidence=0.7), seen(sagittal(6.0), confidence=0.95)
    one, other, agreement = reconcile_levels(first, second, in_common(first, second))
    assert (one.level_confidence, other.level_confidence) == (0.95, 0.95)
    assert agreement.same_names
    assert agreement.overlap == pytest.approx(0.95, abs=0.06)
    assert one.concerns == other.concerns == ()
    assert all(region.overlap is not None for region in one.regions)


def test_a_series_that_is_unsure_is_confirmed_by_a_sure_one() -> None:
    first = replace(seen(sagittal(), certain=False, confidence=0.2), concerns=(Reason("sacrum_uncertain"),))
    second = seen(sagittal(6.0))
    one, _, _ = reconcile_levels(first, second, in_common(first, second))
    assert one.levels_certain
    assert one.level_confidence == second.level_confidence
    assert one.concerns == (
        "the names of the levels are confirmed by T2w; by itself: the sacrum is not certain",
    )


def test_an_unsure_series_takes_the_names_over_also_where_the_other_does_not_reach() -> None:
    shown = [level for level in ALL if level is not Level.S1]
    unsure = seen(sagittal(rows=290), one_up(shown), certain=False, confidence=0.1, shows=shown)
    sure = seen(sagittal(5.0, up_mm=-50.0), shows=ALL[3:])
    truth = seen(sagittal(rows=290), shows=shown)
    one, other, agreement = reconcile_levels(unsure, sure, in_common(unsure, sure))
    assert not agreement.same_names
    assert other.levels_certain
    assert one.levels_certain
    assert np.array_equal(one.labels, truth.labels)
    assert [region.level for region in one.regions] == [region.level for region in truth.regions]
    assert "taken from T2w" in one.concerns[0]
    assert one.csf is not None
    assert one.csf.quality < 1.0
    assert "behind L2 instead of L3" in one.csf.concerns[0]


def test_a_body_without_a_name_left_is_dropped_rather_than_misnamed() -> None:
    shown = ALL[:-1]
    unsure = seen(sagittal(rows=290), one_up(shown), certain=False, shows=shown)
    # The certain series calls the second highest body T11, so no level is left for the highest one.
    sure = seen(
        sagittal(rows=290), {level: ALL[max(0, ALL.index(level) - 1)] for level in ALL}, shows=ALL[1:]
    )
    one, _, _ = reconcile_levels(unsure, sure, in_common(unsure, sure))
    assert len(one.regions) == len(unsure.regions) - 1
    assert one.regions[0].level is Level.T11


def test_two_sure_series_that_differ_by_a_level_both_become_uncertain() -> None:
    first, second = seen(sagittal()), seen(sagittal(5.0), one_up(ALL), shows=ALL[:-1])
    one, other, agreement = reconcile_levels(first, second, in_common(first, second))
    assert not agreement.same_names
    for settled in (one, other):
        assert not settled.levels_certain
        assert settled.level_confidence < 0.6
        assert settled.concerns[-1] == "T1w and T2w disagree about the levels"


def test_an_outline_that_the_other_series_contradicts_loses_quality() -> None:
    first, second = seen(sagittal()), seen(sagittal(5.0))
    labels = second.labels.copy()
    rows = np.flatnonzero((labels == Level.L2).any(axis=(0, 2)))
    lower = labels[:, rows[len(rows) // 3] : rows[-1] + 1]
    lower[lower == Level.L2] = 0
    second = replace(second, labels=labels)
    one, other, _ = reconcile_levels(first, second, in_common(first, second))
    for settled, name in ((one, "T2w"), (other, "T1w")):
        region = settled.region(Level.L2)
        assert region is not None
        assert region.quality < 0.8
        assert f"{name} outlines it differently" in region.concerns[0]
        neighbour = settled.region(Level.L3)
        assert neighbour is not None
        assert neighbour.quality == 1.0
        assert neighbour.concerns == ()


def test_series_without_bodies_in_common_are_left_as_they_are_and_it_is_said() -> None:
    first, second = seen(sagittal(), shows=ALL[:2]), seen(sagittal(), shows=ALL[5:])
    one, other, agreement = reconcile_levels(first, second, in_common(first, second))
    assert agreement.bodies == 0
    assert one.levels_certain
    assert one.level_confidence == first.level_confidence
    assert "not compared" in one.concerns[0]
    assert "not compared" in other.concerns[0]


@settings(deadline=None, max_examples=share_of(15))
@given(st.sets(st.sampled_from(ALL), min_size=3), st.sets(st.sampled_from(ALL), min_size=3), st.booleans())
def test_settled_names_are_the_same_for_the_same_place_or_uncertain(
    here: set[Level],
    there: set[Level],
    sure: bool,  # noqa: FBT001 - drawn
) -> None:
    first = seen(sagittal(6.0, 2.0), shows=[one for one in ALL if one in here])
    second = seen(
        sagittal(5.0, 2.0), one_up(sorted(there)), certain=sure, shows=[x for x in ALL if x in there]
    )
    one, other, agreement = reconcile_levels(first, second, in_common(first, second))
    if agreement.bodies >= 2 and one.levels_certain and other.levels_certain:
        assert in_common(one, other).same_names


@pytest.fixture(scope="module")
def simulated() -> tuple[SimulatedSeries, SimulatedSeries]:
    """Return T1 and T2 of one simulated patient, with coarse pixels."""
    patient = draw_patient(np.random.default_rng(4), age_y=60.0)
    maps = draw_anatomy(patient, Resolution(2.0, 1.5))
    rng = np.random.default_rng(4)
    t1, t2 = (
        simulate(
            patient,
            SCANNERS[0],
            replace(protocol, matrix=192, field_of_view_mm=280.0, slices=slices),
            rng,
            maps,
        )
        for protocol, slices in ((SCANNERS[0].t1, 15), (SCANNERS[0].t2, 13))
    )
    return t1, t2


def true_segmentation(series: SimulatedSeries) -> Segmentation:
    grid = series.volume.grid
    regions = []
    for level in ALL:
        own = np.argwhere(series.labels == level)
        if len(own):
            x, y, z = (float(one) for one in grid.to_mm(own.mean(axis=0)))
            regions.append(Region(level, len(own) * grid.voxel_ml, (x, y, z), 1.0, usable=True))
    labels = np.where(np.isin(series.labels, [int(one.level) for one in regions]), series.labels, 0)
    return Segmentation(labels.astype(np.uint8), grid, tuple(regions), 0.9, True, None, (), "truth")


def moved(
    volume: Volume, bodies: Segmentation, rotation: np.ndarray, shift: Sequence[float]
) -> tuple[Volume, Segmentation]:
    """Move the patient in the scanner."""

    def place(position: Sequence[float]) -> tuple[float, float, float]:
        x, y, z = (float(one) for one in rotation @ np.asarray(position) + np.asarray(shift))
        return x, y, z

    grid = replace(volume.grid, origin_mm=place(volume.grid.origin_mm), axes=volume.grid.axes @ rotation.T)
    regions = tuple(replace(region, centre_mm=place(region.centre_mm)) for region in bodies.regions)
    return Volume(volume.voxels.copy(), grid), replace(bodies, grid=grid, regions=regions)


def test_headers_that_hold_are_believed(simulated: tuple[SimulatedSeries, SimulatedSeries]) -> None:
    first, second = simulated
    common = align(
        first.volume, true_segmentation(first), second.volume, true_segmentation(second), one_frame=True
    )
    assert common is not None
    assert not common.alignment.registered


def registered(
    simulated: tuple[SimulatedSeries, SimulatedSeries], shift: tuple[float, float, float]
) -> CommonBodies:
    """Register a patient who moved between the series."""
    first, second = simulated
    rotation = turned(5.0, about=0) @ turned(2.0, about=2)
    volume, bodies = moved(second.volume, true_segmentation(second), rotation, shift)
    common = align(first.volume, true_segmentation(first), volume, bodies, one_frame=False)
    assert common is not None
    return common


A_LITTLE, BY_A_LEVEL = (3.0, 8.0, 12.0), (-4.0, -6.0, 35.0)


@pytest.fixture(scope="module")
def moved_a_little(simulated: tuple[SimulatedSeries, SimulatedSeries]) -> CommonBodies:
    return registered(simulated, A_LITTLE)


@pytest.mark.parametrize("shift", [A_LITTLE, BY_A_LEVEL], ids=["a little", "by a level"])
def test_a_patient_who_moved_is_found_again_by_the_images(
    simulated: tuple[SimulatedSeries, SimulatedSeries],
    moved_a_little: CommonBodies,
    shift: tuple[float, float, float],
) -> None:
    common = moved_a_little if shift == A_LITTLE else registered(simulated, shift)
    assert common.alignment.registered
    assert common.same_names
    assert common.residual_mm is not None
    assert common.residual_mm < 2.0


@pytest.mark.gate("one more registration; two whole analyses are compared by tests of `verify`")
def test_the_same_images_are_registered_the_same_way_again(
    simulated: tuple[SimulatedSeries, SimulatedSeries], moved_a_little: CommonBodies
) -> None:
    one, again = moved_a_little, registered(simulated, A_LITTLE)
    np.testing.assert_array_equal(one.alignment.rotation, again.alignment.rotation)
    np.testing.assert_array_equal(one.alignment.shift_mm, again.alignment.shift_mm)
    assert one.pairs == again.pairs


def test_names_wrong_by_a_level_are_not_explained_by_a_patient_who_moved(
    simulated: tuple[SimulatedSeries, SimulatedSeries],
) -> None:
    first, second = simulated
    bodies = true_segmentation(second)
    table = np.arange(max(Level) + 1, dtype=np.uint8)
    for upper, lower in pairwise(ALL):
        table[lower] = upper
    wrong = replace(
        bodies,
        labels=table[np.where(bodies.labels == ALL[0], 0, bodies.labels)],
        regions=tuple(
            replace(region, level=ALL[ALL.index(region.level) - 1])
            for region in bodies.regions
            if region.level is not ALL[0]
        ),
    )
    for one_frame in (True, False):
        common = align(first.volume, true_segmentation(first), second.volume, wrong, one_frame=one_frame)
        assert common is not None
        assert not common.same_names
        one, other, _ = reconcile_levels(true_segmentation(first), wrong, common)
        assert not one.levels_certain
        assert not other.levels_certain


def test_the_pipeline_lets_a_sure_series_name_the_other(
    simulated: tuple[SimulatedSeries, SimulatedSeries],
) -> None:
    found = [true_segmentation(one) for one in simulated]
    unsure = replace(found[0], levels_certain=False, level_confidence=0.1)
    given = dict(zip((Contrast.T1, Contrast.T2), (unsure, found[1]), strict=True))
    findings = analyse(
        [
            SeriesInput(str(number), one.facts, one.volume, str(number), "1.2.3")
            for number, one in enumerate(simulated)
        ],
        model=None,
        settings=AnalysisSettings(FeatureSettings(filters=("Original",), reference="body")),
        software="test",
        segmenter=lambda _source, contrast: given[contrast],
    )
    assert isinstance(findings, Findings)
    assert findings.agreement is not None
    assert findings.agreement.same_names
    assert not findings.agreement.registered
    assert all(one.segmentation.levels_certain for one in findings.series)
