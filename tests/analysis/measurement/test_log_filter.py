"""The Laplacian of Gaussian within a body: as everywhere else inside, without a rim, and blind outside."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from analysis.measurement.log_filter import laplacians_of_gaussian

SIGMAS_MM = (2.0, 4.0)


def ellipses() -> npt.NDArray[np.uint8]:
    """Return three slices with two bodies that touch."""
    row, column = np.mgrid[:80, :60]
    labels = np.zeros((3, 80, 60), dtype=np.uint8)
    labels[:, np.hypot((row - 20) / 14, (column - 30) / 18) < 1] = 1
    labels[:, (np.hypot((row - 48) / 15, (column - 30) / 18) < 1) & (labels[0] == 0)] = 2
    return labels


def noise(shape: tuple[int, ...], seed: int = 0) -> npt.NDArray[np.float32]:
    drawn = np.random.default_rng(seed).normal(size=shape)
    smooth: npt.NDArray[np.float32] = ndimage.gaussian_filter(drawn, (0, 1.0, 1.0)).astype(np.float32)
    return smooth


def test_far_from_any_border_it_is_the_laplacian_of_gaussian() -> None:
    signal = noise((1, 120, 120))
    everywhere = np.ones(signal.shape, dtype=np.uint8)
    for sigma, ours in zip(
        SIGMAS_MM, laplacians_of_gaussian(signal, everywhere, SIGMAS_MM, 1.0), strict=True
    ):
        theirs = sigma**2 * ndimage.gaussian_laplace(signal[0].astype(np.float64), sigma)
        middle = (slice(35, 85), slice(35, 85))
        np.testing.assert_allclose(ours[0][middle], theirs[middle], atol=1e-4)


def test_the_width_is_in_mm() -> None:
    labels = ellipses()
    signal = noise(labels.shape)
    (one,) = laplacians_of_gaussian(signal, labels, (2.0,), 0.5)
    (other,) = laplacians_of_gaussian(signal, labels, (4.0,), 1.0)
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(("level", "down", "back"), [(100.0, 0.0, 0.0), (250.0, 1.7, 0.0), (80.0, -0.6, 2.3)])
def test_a_constant_or_a_shading_leaves_no_rim(level: float, down: float, back: float) -> None:
    labels = ellipses()
    row, column = np.mgrid[:80, :60]
    signal = np.broadcast_to(level + down * row + back * column, labels.shape).astype(np.float32)
    for filtered in laplacians_of_gaussian(signal, labels, SIGMAS_MM, 1.0):
        assert np.abs(filtered).max() < 1e-3


def test_texture_is_as_strong_at_the_border_as_inside() -> None:
    labels = np.repeat(ellipses()[:1], 60, axis=0)
    inside = np.stack([ndimage.distance_transform_edt(slice_ == 2) for slice_ in labels[:1]])[0]
    for filtered in laplacians_of_gaussian(noise(labels.shape), labels, SIGMAS_MM, 1.0):
        rim, core = filtered[:, (inside > 0) & (inside <= 2)], filtered[:, inside >= 7]
        assert 0.7 < rim.std() / core.std() < 1.6


def test_a_bright_spot_is_negative() -> None:
    labels = ellipses()
    signal = np.full(labels.shape, 50.0, dtype=np.float32)
    signal[1, 18:23, 28:33] += 20.0
    for filtered in laplacians_of_gaussian(signal, labels, SIGMAS_MM, 1.0):
        assert filtered[1, 20, 30] == filtered.min() < -1.0


def test_what_is_outside_a_body_or_in_another_slice_or_body_is_not_read() -> None:
    labels = ellipses()
    signal = noise(labels.shape)
    other = np.where((labels == 1) & (np.arange(3)[:, None, None] == 1), signal, np.float32(1e4))
    pairs = zip(
        laplacians_of_gaussian(signal, labels, SIGMAS_MM, 1.0),
        laplacians_of_gaussian(other, labels, SIGMAS_MM, 1.0),
        strict=True,
    )
    for before, after in pairs:
        np.testing.assert_allclose(before[1][labels[1] == 1], after[1][labels[1] == 1], atol=1e-5)
        assert not after[labels == 0].any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2)])
def test_a_part_of_a_few_pixels_is_filtered_too(shape: tuple[int, int]) -> None:
    labels = np.zeros((1, 12, 12), dtype=np.uint8)
    labels[0, 3 : 3 + shape[0], 3 : 3 + shape[1]] = 1
    for filtered in laplacians_of_gaussian(noise(labels.shape), labels, SIGMAS_MM, 1.0):
        assert np.isfinite(filtered).all()


def test_no_body_gives_zeros() -> None:
    labels = np.zeros((2, 8, 8), dtype=np.uint8)
    assert not np.any(laplacians_of_gaussian(noise(labels.shape), labels, SIGMAS_MM, 1.0))


def test_a_part_of_an_image_is_filtered_as_the_whole_to_the_last_bit() -> None:
    labels = np.zeros((2, 90, 80), np.uint8)
    labels[:, 3:30, 41:70], labels[1, 45:70, 40:60] = 1, 2
    signal = np.random.default_rng(2).normal(100.0, 20.0, labels.shape).astype(np.float32)
    here = (slice(3, 70), slice(40, 70))
    whole = laplacians_of_gaussian(signal, labels, (2.0, 4.0), 1.0)
    cut = (slice(None), *here)
    part = laplacians_of_gaussian(signal[cut], labels[cut], (2.0, 4.0), 1.0, within=here, size=(90, 80))
    for one, other in zip(part, whole, strict=True):
        assert np.array_equal(one, other[cut])
