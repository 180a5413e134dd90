"""Outlines that lie outside the edge of the marrow are taken back to it."""

import numpy as np
import pytest
from scipy import ndimage

from analysis.segment.marrow_edge import edge_positions, inward_shifts, moved

MARROW, CORTEX, FAT = 100.0, 20.0, 160.0
FINE = 0.25
HALF_MM = np.array([13.0, 16.0])
CENTRE_MM = np.array([40.0, 40.0])


def beyond_mm(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the signed distance of points from a rectangle of marrow with round corners."""
    away = np.stack([np.abs(rows - CENTRE_MM[0]), np.abs(columns - CENTRE_MM[1])])
    away = away - HALF_MM[:, None, None] + 5.0
    return np.asarray(np.hypot(*np.maximum(away, 0.0)) + np.minimum(away.max(axis=0), 0.0) - 5.0)


def image(beyond: float = FAT, cortex: float = CORTEX) -> np.ndarray:
    """Return a blurred slice of 80 × 80 mm in pixels of 0.25 mm: marrow, 1.5 mm of cortex, another tissue."""
    rows, columns = (np.indices((320, 320)) + 0.5) * FINE
    distance = beyond_mm(rows, columns)
    signal = np.select([distance < 0, distance < 1.5], [MARROW, cortex], beyond)
    return np.asarray(ndimage.gaussian_filter(signal, 0.3 / FINE))


def outline(excess_mm: float) -> np.ndarray:
    """Return the probabilities of an outline that lies this far outside the marrow, in pixels of 1 mm."""
    rows, columns = np.indices((80, 80)) + 0.5
    return (1.0 / (1.0 + np.exp(2.0 * (beyond_mm(rows, columns) - excess_mm)))).astype(np.float32)[None]


def excess_mm(bone: np.ndarray, row: float | None = None) -> float:
    """Return how far an outline lies outside the marrow in front of its middle, or above it."""
    line = bone[0, 40] if row is None else bone[0, :, 40]
    half = HALF_MM[1] if row is None else HALF_MM[0]
    at = np.arange(80) + 0.5
    first = int(np.flatnonzero(line > 0.5)[0])
    cross = np.interp(0.5, line[first - 1 : first + 1], at[first - 1 : first + 1])
    return float(CENTRE_MM[1] - half - cross)


def taken_back(bone: np.ndarray, signal: np.ndarray, owner: np.ndarray | None = None) -> np.ndarray:
    def sample(_slab: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        points = [rows / FINE - 0.5, columns / FINE - 0.5]
        return np.asarray(ndimage.map_coordinates(signal, points, order=1))

    owner = np.ones(bone.shape, int) if owner is None else owner
    return moved(bone, inward_shifts(bone, owner, sample, 1.0))


@pytest.mark.parametrize("beyond", [FAT, CORTEX, 60.0])
@pytest.mark.parametrize("excess", [0.9, 1.4, 2.0])
def test_an_outline_outside_comes_back_to_within_a_cortex(excess: float, beyond: float) -> None:
    given = outline(excess)
    assert excess_mm(given) == pytest.approx(excess, abs=0.15)
    found = taken_back(given, image(beyond))
    for row in (None, 40.0):
        assert 0.2 < excess_mm(found, row) < 0.75


@pytest.mark.parametrize("excess", [-1.0, 0.0, 0.4])
def test_an_outline_on_the_edge_or_within_it_stays(excess: float) -> None:
    given = outline(excess)
    found = taken_back(given, image())
    assert excess_mm(found) == pytest.approx(excess_mm(given), abs=0.1)


def test_without_a_dark_border_the_network_has_the_say() -> None:
    given = outline(1.5)
    assert np.array_equal(taken_back(given, image(beyond=MARROW, cortex=MARROW)), given)


def test_a_body_that_is_not_named_is_not_moved() -> None:
    given = outline(1.5)
    assert np.array_equal(taken_back(given, image(), np.zeros(given.shape, int)), given)


def test_no_outline_moves_by_more_than_two_millimetres_nor_outwards() -> None:
    given = outline(2.0)
    dark_rim = image()
    dark_rim[(320 - 100) // 2 : (320 + 100) // 2, 96:110] = CORTEX
    found = taken_back(given, dark_rim)
    assert (found <= given + 1e-6).all()
    assert excess_mm(given) - excess_mm(found) < 2.3


def test_the_edge_of_a_profile_is_half_way_down_and_not_at_a_vein() -> None:
    at = np.arange(-6.5, 2.6, 0.25)
    profile = np.interp(at, [-1.0, 0.0], [MARROW, CORTEX])
    vein = np.where(np.abs(at + 4.0) < 0.3, 10.0, profile)
    flat = np.full(len(at), MARROW)
    found = edge_positions(np.stack([profile, vein, flat]), at)
    assert found[:2] == pytest.approx([-0.5, -0.5], abs=0.05)
    assert np.isnan(found[2])
