"""Shading of the coil: what is estimated of it, told and withheld."""

from functools import cache

import numpy as np
import pytest

from analysis.domain.findings import BoneQuality
from analysis.domain.reason import Reason
from analysis.domain.segmentation import CsfSample, Level, Segmentation
from analysis.domain.volume import Volume
from analysis.measurement.bodies import measure_bodies
from analysis.measurement.shading import shading_of_ratio
from analysis.measurement.vbq import SCORED_LEVELS, bone_quality
from analysis.phantom import SCANNERS, Resolution, draw_anatomy, draw_patient, simulate
from tests.analysis.synthetic_bodies import csf_on, grid, labels_on, segmentation_of, textured


def even(segmentation: Segmentation) -> Volume:
    """All bodies have a signal of 250, the fluid 100."""
    voxels = np.where(segmentation.labels > 0, 250.0, 60.0)
    voxels[csf_on(segmentation.grid)] = 100.0
    return Volume(voxels.astype(np.float32), segmentation.grid)


def boxes(seed: int | None = None) -> tuple[Volume, Segmentation]:
    where = grid()
    labels = labels_on(where)
    found = segmentation_of(labels, where, csf=CsfSample(csf_on(where), 1.0))
    return (even(found) if seed is None else textured(labels, where, seed)), found


def shaded(volume: Volume, *, back: float = 0.0, up: float = 0.0) -> Volume:
    """Multiply by a sensitivity whose logarithm rises by `back` and `up` on 100 mm."""
    at = volume.grid.to_mm(np.moveaxis(np.indices(volume.grid.shape), 0, -1))
    field = np.exp((back * at[..., 1] + up * at[..., 2]) / 100.0)
    return Volume((volume.voxels * field).astype(np.float32), volume.grid)


def score(volume: Volume, segmentation: Segmentation) -> BoneQuality:
    return bone_quality(volume, segmentation, minimum_usable_levels=3)


@pytest.mark.parametrize("back", [-1.0, 0.0, 0.5, 1.5])
@pytest.mark.parametrize("up", [-0.6, 0.0, 0.6])
def test_the_estimate_is_what_the_field_did_to_the_ratio(back: float, up: float) -> None:
    volume, found = boxes()
    field = shaded(Volume(np.ones(volume.grid.shape, dtype=np.float32), volume.grid), back=back, up=up)
    bodies = [np.median(field.voxels[found.labels == level]) for level in SCORED_LEVELS]
    done = float(np.median(bodies) / np.median(field.voxels[csf_on(volume.grid)]))
    estimate = shading_of_ratio(shaded(volume, back=back, up=up), found, SCORED_LEVELS)
    assert estimate == pytest.approx(done, rel=0.03)


def test_spots_at_the_back_of_two_bodies_are_no_shading() -> None:
    volume, found = boxes()
    voxels = volume.voxels.copy()
    for level in (Level.L2, Level.L5):
        rows = np.flatnonzero((found.labels == level).any(axis=(0, 2)))
        columns = np.flatnonzero((found.labels == level).any(axis=(0, 1)))
        voxels[:, rows[0] : rows[-1], columns[-10] : columns[-1]] *= 1.8
    estimate = shading_of_ratio(Volume(voxels, volume.grid), found, SCORED_LEVELS)
    assert estimate == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(
    ("back", "told", "scored"),
    [(0.0, [], True), (0.2, [], True), (0.8, ["shading"], True), (-0.8, ["shading"], True),
     (1.6, ["shading"], True), (2.6, ["shading_strong"], False), (-2.6, ["shading_strong"], False)],
)  # fmt: skip
def test_shading_is_told_and_strong_shading_leaves_no_value(
    back: float, told: list[str], *, scored: bool
) -> None:
    volume, found = boxes(seed=3)
    volume = shaded(volume, back=back)
    quality = score(volume, found)
    assert [one.code for one in quality.concerns] == told
    assert (quality.score is not None) is scored
    levels = measure_bodies(volume, found, quality, {})
    assert all((one.vbq is not None) is scored for one in levels)


def test_the_change_is_told_with_its_sign() -> None:
    volume, found = boxes()
    (low,) = score(shaded(volume, back=0.8), found).concerns
    (high,) = score(shaded(volume, back=-0.8), found).concerns
    assert "by up to about -2" in low
    assert "by up to about +" in high
    assert isinstance(low, Reason)


def test_without_fluid_or_bodies_there_is_no_estimate() -> None:
    volume, found = boxes()
    assert shading_of_ratio(volume, found, ()) is None
    none = segmentation_of(found.labels.copy(), found.grid, csf=None)
    assert shading_of_ratio(volume, none, SCORED_LEVELS) is None
    dark = Volume(np.zeros(volume.grid.shape, dtype=np.float32), volume.grid)
    assert shading_of_ratio(dark, found, SCORED_LEVELS) is None


@cache
def simulated() -> tuple[Volume, Segmentation]:
    patient = draw_patient(np.random.default_rng(5))
    maps = draw_anatomy(patient, Resolution(lateral_mm=3.0, in_plane_mm=1.6))
    series = simulate(patient, SCANNERS[0], SCANNERS[0].t1, np.random.default_rng(5), maps)
    labels = np.where(series.labels <= Level.L5, series.labels, 0).astype(np.uint8)
    where = series.volume.grid
    rows = np.flatnonzero((labels == Level.L3).any(axis=(0, 2)))
    fluid = np.zeros_like(series.csf)
    fluid[:, rows[0] : rows[-1]] = series.csf[:, rows[0] : rows[-1]]
    return series.volume, segmentation_of(labels, where, csf=CsfSample(fluid, 1.0))


def test_added_shading_of_a_simulated_patient_is_found() -> None:
    volume, found = simulated()
    before = shading_of_ratio(volume, found, SCORED_LEVELS)
    assert before is not None
    assert 0.85 < before < 1.1
    for back in (0.5, 1.0):
        after = shaded(volume, back=back)
        change = ratio(after, found) / ratio(volume, found)
        estimate = shading_of_ratio(after, found, SCORED_LEVELS)
        assert estimate is not None
        assert estimate / before == pytest.approx(change, rel=0.04)


def ratio(volume: Volume, found: Segmentation) -> float:
    assert found.csf is not None
    bodies = [np.median(volume.voxels[found.labels == level]) for level in SCORED_LEVELS]
    return float(np.median(bodies) / np.median(volume.voxels[found.csf.mask]))
