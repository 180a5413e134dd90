"""On a real patient: the quality falls as an outline gets worse, and images of other regions are refused.

Only one patient is tested, because each segmentation takes seconds.
"""

from functools import cache

import numpy as np
import pytest
from scipy.stats import spearmanr

from analysis.domain.segmentation import Grade, Level, Segmentation
from analysis.domain.volume import Grid, Volume
from analysis.segment import segment
from tests.analysis.degraded import (
    DEGRADATIONS,
    Scene,
    every_second_slice,
    scaled,
    without_the_sacrum,
)
from tests.real_images import chu_case

pytestmark = pytest.mark.slow

CASE = 2
LUMBAR = tuple(level for level in Level if level.lumbar)
LOOKED_AT = ("as it is", "blurred 4 mm", "half erased")


@cache
def real() -> Scene:
    case = chu_case(CASE)
    return every_second_slice((case.volume, case.labels))


@cache
def outlined(how: str) -> tuple[Segmentation, np.ndarray]:
    volume, truth = DEGRADATIONS[how](real())
    return segment(volume), truth


def dice(found: Segmentation, truth: np.ndarray, level: Level) -> float:
    own, true = found.labels == level, truth == level
    return 2 * float((own & true).sum()) / max(1, int(own.sum() + true.sum()))


def pairs() -> list[tuple[float, float]]:
    return [
        (region.quality, dice(*outlined(how), region.level))
        for how in LOOKED_AT
        for region in outlined(how)[0].regions
        if region.level.lumbar
    ]


def test_good_outlines_are_usable_and_the_whole_is_sound() -> None:
    found, truth = outlined("as it is")
    assert found.levels_certain
    for level in LUMBAR:
        region = found.region(level)
        assert region is not None
        assert dice(found, truth, level) > 0.85
        assert region.usable, region
    assert found.judge(3).grade is Grade.SOUND, found.judge(3).reasons


def test_quality_falls_as_dice_falls() -> None:
    quality, overlap = zip(*pairs(), strict=True)
    assert min(overlap) < 0.7
    assert spearmanr(quality, overlap).statistic > 0.6


def test_no_bad_outline_passes_as_usable() -> None:
    bad = [
        region
        for how in LOOKED_AT
        for found, truth in [outlined(how)]
        for region in found.regions
        if region.level.lumbar and dice(found, truth, region.level) < 0.7
    ]
    assert bad
    assert not any(region.usable for region in bad), [region.level.name for region in bad if region.usable]


def test_half_a_body_is_not_a_body() -> None:
    found, _ = outlined("half erased")
    for level in (Level.L2, Level.L4):
        region = found.region(level)
        assert region is None or not region.usable


def test_bodies_of_half_the_size_without_a_sacrum_are_no_lumbar_spine() -> None:
    volume, _ = scaled(without_the_sacrum(real()), 0.5)
    found = segment(volume)
    assert found.judge(3).grade is Grade.UNUSABLE
    assert not found.levels_certain


def test_a_picture_of_muscle_is_no_spine() -> None:
    """The outermost slices of the same patient: flank, psoas, kidney."""
    volume, truth = real()
    shown = np.flatnonzero((truth > 0).any(axis=(1, 2)))
    outer = np.ascontiguousarray(volume.voxels[: max(3, shown[0] - 1)])
    grid = volume.grid
    found = segment(Volume(outer, Grid(outer.shape, grid.spacing_mm, grid.origin_mm, grid.axes)))
    assert found.judge(3).grade is Grade.UNUSABLE
