"""Realistic degradations of a good series, which should lower the quality of its segmentation."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.segmentation import Level
from analysis.domain.volume import Grid, Volume

__all__ = ["DEGRADATIONS", "Scene", "every_second_slice", "scaled", "without_the_sacrum"]

Labels = npt.NDArray[np.uint8]
Scene = tuple[Volume, Labels]
"""A volume (slices from side to side, rows to the feet) and its true labels."""


def _with(volume: Volume, voxels: npt.NDArray[np.generic]) -> Volume:
    return Volume(np.ascontiguousarray(voxels, dtype=np.float32), volume.grid)


def every_second_slice(scene: Scene) -> Scene:
    """Drop slices to reach the slice distance of a clinical protocol."""
    volume, labels = scene
    grid = volume.grid
    voxels = np.ascontiguousarray(volume.voxels[::2])
    spacing = (2 * grid.spacing_mm[0], *grid.spacing_mm[1:])
    return Volume(voxels, Grid(voxels.shape, spacing, grid.origin_mm, grid.axes)), labels[::2].copy()


def without_the_sacrum(scene: Scene) -> Scene:
    """Cut the image above the lower edge of L4."""
    volume, labels = scene
    end = int(np.argwhere(labels == Level.L4)[:, 1].max())
    voxels = np.ascontiguousarray(volume.voxels[:, :end])
    grid = volume.grid
    return Volume(voxels, Grid(voxels.shape, grid.spacing_mm, grid.origin_mm, grid.axes)), labels[:, :end]


def scaled(scene: Scene, factor: float) -> Scene:
    """Scale the grid: at 0.5 a lumbar spine has bodies of cervical size."""
    volume, labels = scene
    grid = volume.grid
    across, down, back = (factor * length for length in grid.spacing_mm)
    return Volume(
        volume.voxels.copy(), Grid(grid.shape, (across, down, back), grid.origin_mm, grid.axes)
    ), labels


def blurred(scene: Scene, sigma_mm: float) -> Scene:
    volume, labels = scene
    sigma = [0.0, *(sigma_mm / length for length in volume.grid.spacing_mm[1:])]
    return _with(volume, ndimage.gaussian_filter(volume.voxels, sigma)), labels


def noisy(scene: Scene, share: float) -> Scene:
    """Add Rician noise, as a fraction of the bodies' signal."""
    volume, labels = scene
    sigma = share * float(np.median(volume.voxels[labels > 0]))
    real, imaginary = np.random.default_rng(5).normal(0.0, sigma, (2, *volume.voxels.shape))
    return _with(volume, np.hypot(volume.voxels + real, imaginary)), labels


def shuffled(scene: Scene) -> Scene:
    volume, labels = scene
    order = np.random.default_rng(7).permutation(len(volume.voxels))
    return _with(volume, volume.voxels[order]), labels


def implanted(scene: Scene) -> Scene:
    """Add screws in L3 and L4: signal voids larger than the metal, with a bright rim."""
    volume, labels = scene
    voxels = volume.voxels.copy()
    spacing = np.asarray(volume.grid.spacing_mm)
    bright = float(np.percentile(voxels, 99.5))
    for level in (Level.L3, Level.L4):
        centre = np.argwhere(labels == level).mean(axis=0)
        away = [(np.arange(n) - c) * s for n, c, s in zip(voxels.shape, centre, spacing, strict=True)]
        across, down, back = np.meshgrid(*away, indexing="ij", sparse=True)
        radius = np.hypot(down, 0.6 * (back - 6.0)) + 0.0 * across
        inside = np.abs(across) + np.zeros_like(radius) < 16
        voxels[inside & (radius < 11)] = bright
        voxels[inside & (radius < 9)] = 0.02 * bright
    return _with(volume, voxels), labels


def half_erased(scene: Scene) -> Scene:
    """Remove the signal of the front half of L2 and L4, as a saturation band does."""
    volume, labels = scene
    voxels = volume.voxels.copy()
    dark = float(np.percentile(voxels, 10))
    for level in (Level.L2, Level.L4):
        where = np.argwhere(labels == level)
        low, high = where[:, 1].min() - 2, where[:, 1].max() + 3
        voxels[:, low:high, : int(where[:, 2].mean())] = dark
    return _with(volume, voxels), labels


def compressed(scene: Scene) -> Scene:
    """Reduce the height of L2 by 45 %, and move everything above it down."""
    volume, labels = scene
    where = np.argwhere(labels == Level.L2)[:, 1]
    top, bottom = int(np.percentile(where, 1)), int(np.percentile(where, 99))
    lost = round(0.45 * (bottom - top))
    rows = np.arange(labels.shape[1], dtype=np.float64)
    source = np.interp(rows, [0, top + lost, bottom, rows[-1]], [-lost, top, bottom, rows[-1]])
    near = np.clip(np.rint(source), 0, rows[-1]).astype(int)
    low = np.clip(np.floor(source), 0, rows[-1]).astype(int)
    high = np.minimum(low + 1, labels.shape[1] - 1)
    share = (np.clip(source, 0, rows[-1]) - low).astype(np.float32)[:, None]
    voxels = volume.voxels[:, low] * (1 - share) + volume.voxels[:, high] * share
    return _with(volume, voxels), labels[:, near]


DEGRADATIONS: Mapping[str, Callable[[Scene], Scene]] = MappingProxyType(
    {
        "as it is": lambda scene: scene,
        "blurred 2 mm": lambda scene: blurred(scene, 2.0),
        "blurred 4 mm": lambda scene: blurred(scene, 4.0),
        "noise 30 %": lambda scene: noisy(scene, 0.3),
        "noise 70 %": lambda scene: noisy(scene, 0.7),
        "slices shuffled": shuffled,
        "implants": implanted,
        "half erased": half_erased,
        "compressed": compressed,
    }
)
"""The degradations by name."""
