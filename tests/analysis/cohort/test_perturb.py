import numpy as np

from analysis.cohort.perturb import BORDER_SD_MM, perturbed
from analysis.domain.segmentation import Level, Region, Segmentation
from analysis.domain.volume import Grid


def bodies() -> Segmentation:
    grid = Grid((5, 120, 80), (4.0, 0.8, 0.8), (0.0, 0.0, 0.0), np.eye(3))
    labels = np.zeros(grid.shape, dtype=np.uint8)
    for level in (1, 2, 6):
        top = 5 + 38 * min(level - 1, 2)
        labels[1:4, top : top + 30, 20:60] = level
    regions = tuple(Region(Level(level), 23.0, (0.0, 0.0, 0.0), 1.0, usable=True) for level in (1, 2, 6))
    return Segmentation(labels, grid, regions, 1.0, levels_certain=True, csf=None, concerns=(), method="")


def test_borders_move_by_about_a_pixel_and_the_inside_stays() -> None:
    before, after = bodies().labels == 1, perturbed(bodies()).labels == 1
    changed = before ^ after
    assert 0.01 < changed.sum() / before.sum() < 0.15
    border = int(np.ceil(4 * BORDER_SD_MM / 0.8))
    assert not changed[:, 5 + border : 35 - border, 20 + border : 60 - border].any()
    assert not changed[[0, 4]].any()


def test_only_lumbar_bodies_move_and_none_into_another() -> None:
    before, after = bodies(), perturbed(bodies())
    np.testing.assert_array_equal(before.labels == 6, after.labels == 6)
    assert not ((before.labels == 1) & (after.labels == 2)).any()


def test_the_same_seed_moves_the_same_way() -> None:
    np.testing.assert_array_equal(perturbed(bodies(), 3).labels, perturbed(bodies(), 3).labels)
    assert (perturbed(bodies(), 3).labels != perturbed(bodies(), 4).labels).any()
