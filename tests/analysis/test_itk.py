"""Our grids and SimpleITK images have the same positions in the patient."""

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.spatial.transform import Rotation

from analysis.domain.volume import Grid
from analysis.itk import grid_of, to_array, to_image

lengths = st.floats(0.3, 8.0)
positions = st.floats(-300.0, 300.0)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    turn = Rotation.from_rotvec(draw(st.tuples(*[st.floats(-3.0, 3.0)] * 3))).as_matrix()
    mirror = np.diag([draw(st.sampled_from([-1.0, 1.0])), 1.0, 1.0])
    return Grid(
        draw(st.tuples(*[st.integers(1, 5)] * 3)),
        draw(st.tuples(lengths, lengths, lengths)),
        draw(st.tuples(positions, positions, positions)),
        mirror @ turn,
    )


@given(grids())
def test_every_voxel_lies_where_the_grid_says(grid: Grid) -> None:
    image = to_image(np.zeros(grid.shape, dtype=np.float32), grid)
    for index in np.ndindex(*grid.shape):
        place = image.TransformIndexToPhysicalPoint(tuple(reversed(index)))
        assert np.allclose(place, grid.to_mm(index), atol=1e-6)


@given(grids())
def test_a_grid_comes_back_as_it_went(grid: Grid) -> None:
    assert grid_of(to_image(np.zeros(grid.shape, dtype=np.uint8), grid)).matches(grid, tolerance_mm=1e-6)


@given(npst.arrays(np.int16, (2, 3, 4)))
def test_voxels_come_back_as_they_went(voxels: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> None:
    grid = Grid((2, 3, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3))
    assert (to_array(to_image(voxels, grid)) == voxels).all()


def test_masks_become_zeros_and_ones() -> None:
    grid = Grid((1, 1, 2), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3))
    image = to_image(np.array([[[True, False]]]), grid)
    assert image.GetPixelID() == SimpleITK.sitkUInt8
    assert to_array(image).tolist() == [[[1, 0]]]


def test_an_array_that_does_not_fill_its_grid_is_refused() -> None:
    grid = Grid((2, 3, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3))
    with pytest.raises(ValueError, match="do not fill"):
        to_image(np.zeros((4, 3, 2)), grid)
