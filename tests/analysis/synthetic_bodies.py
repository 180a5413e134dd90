"""A small stack with box-shaped bodies of known signal, for tests of measurements."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.segmentation import CsfSample, Level, Region, Segmentation
from analysis.domain.volume import Grid, Volume

SAGITTAL_AXES = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
LUMBAR = (Level.L1, Level.L2, Level.L3, Level.L4, Level.L5)
CSF_SIGNAL = 100.0

_HEIGHT_MM, _DEPTH_MM, _WIDTH_MM, _STEP_MM = 24.0, 32.0, 36.0, 30.0


def grid(
    shape: tuple[int, int, int] = (11, 160, 90), spacing_mm: tuple[float, float, float] = (4.4, 1.0, 1.0)
) -> Grid:
    return Grid(shape, spacing_mm, (-22.0, -45.0, 80.0), SAGITTAL_AXES)


def labels_on(
    where: Grid, levels: Sequence[Level] = LUMBAR, *, shift_slices: Sequence[int] = (0, 0, 0, 0, 0)
) -> npt.NDArray[np.uint8]:
    """Return boxes one above the other around the middle slice, each shifted by a number of slices."""
    labels = np.zeros(where.shape, dtype=np.uint8)
    half = round(_WIDTH_MM / 2 / where.spacing_mm[0])
    height, depth = round(_HEIGHT_MM / where.spacing_mm[1]), round(_DEPTH_MM / where.spacing_mm[2])
    for index, level in enumerate(LUMBAR):
        if level in levels:
            middle = where.shape[0] // 2 + shift_slices[index]
            top = round((4.0 + index * _STEP_MM) / where.spacing_mm[1])
            front = round(16.0 / where.spacing_mm[2])
            labels[middle - half : middle + half + 1, top : top + height, front : front + depth] = level
    return labels


def csf_on(where: Grid) -> npt.NDArray[np.bool_]:
    """Mask a strip behind L3."""
    mask = np.zeros(where.shape, dtype=np.bool_)
    middle = where.shape[0] // 2
    top, back = round(66.0 / where.spacing_mm[1]), round(56.0 / where.spacing_mm[2])
    mask[middle - 1 : middle + 2, top : top + round(20.0 / where.spacing_mm[1]), back : back + 10] = True
    return mask


def segmentation_of(
    labels: npt.NDArray[np.uint8],
    where: Grid,
    *,
    usable: Sequence[Level] = LUMBAR,
    csf: CsfSample | None = None,
    levels_certain: bool = True,
) -> Segmentation:
    regions = tuple(
        Region(level, float((labels == level).sum()) * where.voxel_ml, (0.0, 0.0, 0.0), 1.0, level in usable)
        for level in LUMBAR
        if (labels == level).any()
    )
    return Segmentation(labels, where, regions, 1.0, levels_certain, csf, (), "boxes")


def textured(labels: npt.NDArray[np.uint8], where: Grid, seed: int = 0) -> Volume:
    """Return correlated noise with bodies at 250 + 10 × level and CSF at `CSF_SIGNAL`."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0.0, 1.0, where.shape), (0, 1.2, 1.2))
    voxels = 60.0 + 15.0 * noise / noise.std()
    body = labels > 0
    voxels[body] += 190.0 + 10.0 * labels[body]
    voxels[csf_on(where)] = CSF_SIGNAL
    return Volume(voxels.astype(np.float32), where)


def example(seed: int = 0) -> tuple[Volume, Segmentation]:
    where = grid()
    labels = labels_on(where)
    return textured(labels, where, seed), segmentation_of(labels, where, csf=CsfSample(csf_on(where), 1.0))
