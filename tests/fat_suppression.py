"""Fat-suppressed images made from real T2, because no real ones with masks are public.

They are made, not acquired: fat is told by its brightness, and a fixed share of the marrow counts as fat.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.segmentation import Segmentation
from analysis.domain.volume import Volume

__all__ = ["STRENGTHS", "Suppression", "suppressed"]


@dataclass(frozen=True, slots=True)
class Suppression:
    """How much of the signal of a T2 image is taken away.

    Attributes
    ----------
    removed : float
        Fraction of the signal of fat that is removed.
    marrow_fat : float
        Fraction of the signal of marrow that is fat; lower in young red marrow.
    water_kept : float
        Signal of water other than CSF; below 1 after an inversion pulse, whose null fat and muscle share.
    """

    removed: float
    marrow_fat: float
    water_kept: float = 1.0


STRENGTHS: Mapping[str, Suppression] = MappingProxyType(
    {
        "weak": Suppression(0.75, 0.65),
        "usual": Suppression(0.88, 0.75),
        "strong": Suppression(0.96, 0.90),
        "red marrow": Suppression(0.92, 0.50),
        "TIRM": Suppression(0.98, 0.80, 0.75),
    }
)
"""Suppressions by name."""

_MUSCLE, _FAT = 0.75, 1.5
"""Signal of muscle, and of fat, on T2 relative to that of marrow."""
_CANAL_MM = 16.0


def suppressed(volume: Volume, segmentation: Segmentation, how: Suppression) -> Volume:
    """Remove fat from a T2 image.

    Marrow loses a fixed share. Elsewhere brighter tissue than muscle counts as fat, but for the spine between
    the bodies and the canal behind them, whose bright signal is water.

    Parameters
    ----------
    volume : Volume
        T2, sagittal slices with rows to the feet and columns to the back.
    segmentation : Segmentation
        Its bodies.
    how : Suppression
        The strength.
    """
    marrow = segmentation.labels > 0
    usual = float(np.median(volume.voxels[marrow]))
    fat = np.clip((volume.voxels / usual - _MUSCLE) / (_FAT - _MUSCLE), 0.0, 1.0)
    watery = _watery(marrow, volume.grid.spacing_mm)
    fat[watery] = 0.0
    fat[marrow] = how.marrow_fat
    soft = ndimage.gaussian_filter(fat, (0.0, 0.7, 0.7))
    made = volume.voxels * (1.0 - how.removed * soft)
    if how.water_kept < 1.0:
        water = ~watery | (volume.voxels < _FAT * usual)
        made = np.where(water, how.water_kept * made, made)
    return Volume(np.ascontiguousarray(made, dtype=np.float32), volume.grid)


def _watery(marrow: npt.NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> npt.NDArray[np.bool_]:
    """Mask the discs, and the canal as deep as `_CANAL_MM` behind the bodies."""
    tall, deep = round(14.0 / spacing_mm[1]), round(_CANAL_MM / spacing_mm[2])
    # Along a line, the largest and smallest values are found far faster than a mask is dilated and eroded.
    padded = np.pad(marrow, ((0, 0), (tall, tall), (0, 0))).astype(np.uint8)
    grown = ndimage.maximum_filter1d(padded, 2 * tall + 1, axis=1, mode="constant")
    spine = ndimage.minimum_filter1d(grown, 2 * tall + 1, axis=1, mode="constant")[:, tall:-tall] > 0
    behind = ndimage.maximum_filter1d(spine.astype(np.uint8), 2 * deep + 1, axis=2, mode="constant") > 0
    behind &= np.maximum.accumulate(spine, axis=2)
    watery: npt.NDArray[np.bool_] = (spine | behind) & ~marrow
    return watery
