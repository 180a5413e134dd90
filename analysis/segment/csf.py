"""Sampling of the cerebrospinal fluid behind L3, the reference of the VBQ score."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.reason import Reason
from analysis.domain.segmentation import CsfSample, Level
from analysis.domain.volume import Box, box_of

__all__ = ["sample_csf"]

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_BORDER_MM = 2.0
_HALF_WIDTH_MM = 6.0
_FEWEST_VOXELS = 20
_FULL_SAMPLE_MM3 = 250.0
_CLIPPED_SHARE = 0.1
"""Fraction of sample voxels at the image maximum from which the fluid counts as clipped."""


def sample_csf(
    canal: Floats,
    labels: npt.NDArray[np.uint8],
    signal: Floats | npt.NDArray[np.uint16],
    spacing_mm: tuple[float, float, float],
    *,
    brightest: float | None = None,
) -> CsfSample | None:
    """Sample the fluid in the middle of the canal behind L3.

    The border of the canal holds dura, ligaments and chemical shift, and the canal holds roots of the cauda
    equina. So only the core of the canal is sampled, and there only voxels near the most common signal.

    Parameters
    ----------
    canal : ndarray of float32, shape (slices, rows, columns)
        Probability of the spinal canal; rows run to the feet, columns to the back.
    labels : ndarray of uint8
        `Level` values.
    signal : ndarray of float32 or uint16
        The image.
    spacing_mm : tuple of float
        Distance between slices, rows and columns.
    brightest : float, optional
        Largest value of the image, if `signal` is a part of it.

    Returns
    -------
    CsfSample or None
        None if L3 or the canal was not found.
    """
    body = box_of(labels == Level.L3)
    if not body[0].stop:
        return None
    near = _behind(body, spacing_mm)
    # Only this part is worked on, with one voxel more on each side, where the border of the canal then is.
    around = (slice(None), *(slice(max(0, one.start - 1), one.stop + 1) for one in near[1:]))
    found, there = canal[around], np.asarray(signal[around], dtype=np.float32)
    behind = np.zeros(found.shape, np.bool_)
    rows, columns = (slice(min(1, one.start), min(1, one.start) + one.stop - one.start) for one in near[1:])
    behind[:, rows, columns] = found[:, rows, columns] > 0.5
    core = _core(behind, spacing_mm)
    if core.sum() < _FEWEST_VOXELS:
        return None
    values = there[core]
    usual, spread = _mode(values)
    pure = core & (np.abs(there - usual) <= 2.0 * spread)
    volume_mm3 = float(pure.sum()) * float(np.prod(spacing_mm))
    quality = min(1.0, volume_mm3 / _FULL_SAMPLE_MM3) * float(found[pure].mean())
    bone = np.asarray(signal[body][labels[body] == Level.L3], dtype=np.float32)
    faults = _faults(values, there[pure], bone, volume_mm3)
    brightest = float(signal.max()) if brightest is None else brightest
    if float(np.mean(there[pure] >= brightest)) > _CLIPPED_SHARE:
        faults.append((0.4, Reason("fluid_clipped")))
    for factor, _ in faults:
        quality *= factor
    mask = np.zeros(labels.shape, np.bool_)
    mask[around] = pure
    return CsfSample(mask, float(np.clip(quality, 0.0, 1.0)), tuple(reason for _, reason in faults))


def _behind(body: Box, spacing_mm: tuple[float, float, float]) -> Box:
    """Return the rows of a body, and the columns from 15 mm in front of its back to 45 mm behind it."""
    back = body[2].stop - 1
    columns = slice(max(0, back - round(15 / spacing_mm[2])), back + round(45 / spacing_mm[2]))
    return body[0], body[1], columns


def _core(behind: Mask, spacing_mm: tuple[float, float, float]) -> Mask:
    """Mask the voxels away from the border of the canal, on the slices around its middle."""
    areas = behind.sum(axis=(1, 2)).astype(float)
    if not areas.any():
        return behind
    middle = float((areas**2 @ np.arange(len(areas))) / (areas**2).sum())
    reach = max(0.51, _HALF_WIDTH_MM / spacing_mm[0])
    core = np.zeros_like(behind)
    for number, one in enumerate(behind):
        if abs(number - middle) <= reach and one.any():
            core[number] = ndimage.distance_transform_edt(one, sampling=spacing_mm[1:]) > _BORDER_MM
    return core


def _mode(values: Floats) -> tuple[float, float]:
    """Return the median of the densest half of the values, and the SD of a normal distribution as narrow."""
    ordered = np.sort(values.astype(np.float64))
    half = len(ordered) // 2
    widths = ordered[half:] - ordered[: len(ordered) - half]
    start = int(np.argmin(widths))
    middle = float(np.median(ordered[start : start + half + 1]))
    return middle, max(float(widths[start]) / 1.349, 1e-6 * max(1.0, abs(middle)))


def _faults(canal: Floats, fluid: Floats, bone: Floats, volume_mm3: float) -> list[tuple[float, Reason]]:
    """List the concerns about a sample with their quality factors, from signals of canal, sample and L3."""
    found = []
    if volume_mm3 < 0.5 * _FULL_SAMPLE_MM3:
        found.append((1.0, Reason("fluid_scarce")))
    if len(fluid) < 0.6 * len(canal):
        found.append((0.7, Reason("canal_unevenly_filled")))
    middle, marrow = float(np.median(fluid)), float(np.median(bone))
    if middle <= 0 or max(middle, marrow) < 1.1 * min(middle, marrow):
        found.append((0.5, Reason("fluid_like_marrow")))
    if float(np.std(fluid)) > 0.4 * max(abs(middle), 1e-6):
        found.append((0.6, Reason("fluid_uneven")))
    return found
