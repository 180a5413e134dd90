import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import RefusedError
from node.decode.geometry import stack_slices

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def sagittal_positions(depths_mm: list[float]) -> list[tuple[float, float, float]]:
    return [(-depth, -120.0, 130.0) for depth in depths_mm]


@given(
    count=st.integers(3, 60),
    spacing=st.floats(0.5, 10),
    tilt=st.floats(-0.5, 0.5),
    seed=st.integers(0, 1000),
)
def test_an_even_stack_in_any_order_is_sorted_along_its_normal(
    count: int, spacing: float, tilt: float, seed: int
) -> None:
    row, column = (math.sin(tilt), math.cos(tilt), 0.0), (0.0, 0.0, -1.0)
    normal = np.cross(row, column)
    start = np.array([10.0, -100.0, 120.0])
    shuffled = np.random.default_rng(seed).permutation(count)
    positions = [tuple(start + normal * spacing * index) for index in shuffled]

    stack = stack_slices([(*row, *column)] * count, positions)

    assert [shuffled[index] for index in stack.order] == list(range(count))
    assert stack.spacing_mm == pytest.approx(spacing)
    assert stack.normal == pytest.approx(normal)


@pytest.mark.parametrize(
    ("depths", "reason"),
    [
        ([0, 4, 8, 16, 20], "a slice is missing between 8.0 and 16.0 mm"),
        ([0, 4, 4, 8, 12], "two slices lie at one place"),
        ([0, 4, 8, 12.9, 16], "not evenly spaced"),
        ([0, 4], "only 2 slices"),
    ],
)
def test_an_uneven_stack_is_refused_with_its_reason(depths: list[float], reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        stack_slices([SAGITTAL] * len(depths), sagittal_positions(depths))


def test_rounding_in_headers_is_forgiven() -> None:
    positions = sagittal_positions([0.0, 4.39, 8.81, 13.2, 17.6])
    assert stack_slices([SAGITTAL] * 5, positions).spacing_mm == pytest.approx(4.4)


def test_a_localiser_of_three_planes_is_no_stack() -> None:
    axial = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    with pytest.raises(RefusedError, match="not parallel"):
        stack_slices([SAGITTAL, SAGITTAL, axial], sagittal_positions([0, 4, 8]))


def test_slices_shifted_in_their_plane_are_refused() -> None:
    positions = sagittal_positions([0, 4, 8, 12])
    positions[2] = (positions[2][0], positions[2][1] + 3, positions[2][2])
    with pytest.raises(RefusedError, match="shifted"):
        stack_slices([SAGITTAL] * 4, positions)


def test_an_orientation_that_is_none_is_refused() -> None:
    with pytest.raises(RefusedError, match="perpendicular"):
        stack_slices([(0.0, 1.0, 0.0, 0.0, 0.5, 0.0)] * 3, sagittal_positions([0, 4, 8]))
