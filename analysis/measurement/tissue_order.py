"""Whether the pixels of a series show the contrast that its header tells.

A header can be wrong, and fat suppression is not always written in it. But every contrast has its own order
of fluid, marrow and fat. On T1 fat is brighter than marrow, and fluid is dark. On T2 both are bright.
Where fat is suppressed (also by inversion: STIR, TIRM), the fluid outshines fat and marrow by far.

All tissues are sampled on lines through the bodies to the skin of the back, so they are compared at the same
height, and the shading of the coil along the spine does not count. The lines need outlined bodies and nothing
else, so they serve every segmenter.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.acquisition import Contrast
from analysis.domain.reason import Reason
from analysis.domain.segmentation import CRANIAL_TO_CAUDAL, Level, Segmentation
from analysis.domain.volume import Volume
from analysis.errors import RefusedError

__all__ = ["TissueOrder", "doubts_about_contrast", "tissue_order"]

Floats = npt.NDArray[np.float64]

_SAMPLED = (Level.L1, Level.L2, Level.L3, Level.L4)
"""Behind L5 the epidural fat is thick, so its canal is no sample of the fluid."""

_ASIDE_MM = (-4.0, 0.0, 4.0)
_ALONG_MM = np.arange(-7.0, 8.0, 2.0)
_BEHIND_MM = np.arange(-25.0, 130.0)
"""Positions of a line's samples behind the posterior wall of the body."""
_INWARD_MM = np.arange(0.0, 40.0, 0.5)
"""Positions behind the centre of a body at which its posterior wall is sought."""

_MARROW_MM = (-25.0, -6.0)
_CANAL_MM = (5.0, 12.0)
_BACK_MM = 22.0
"""From here on a line has left the canal."""
_FEWEST_BACK = 12
"""Samples behind the canal without which nothing is said about fat."""
_FAT_WIDTH = 5

_AIR = 0.2
"""Signal from which a sample is tissue, relative to the bright tissue of its line."""
_FEWEST_AIR = 5
_UNDER_SKIN = (14, 3)
"""The layer of fat under the skin, in samples from its end."""
_FEWEST_LEVELS = 2

_T1_FLUID, _T2_FLUID = 0.75, 0.9
"""Signal of fluid relative to marrow: up to the first on T1, from the second on T2, in between unclear. Real
images of T1 (498 slices that show the canal) have up to 0.64, of T2 (52) from 1.12."""
_SUPPRESSED, _T2_FAT = 0.25, 0.34
"""`TissueOrder.fat`: up to the first fat is suppressed, from the second not. Real T2 (52) have from 0.36,
simulated T2 (80 of six vendors) from 0.34, simulated fat suppression and inversion near the null of fat up to
0.2."""
_PROBABLY_SUPPRESSED, _PROBABLY_T2_FAT = 0.30, 0.45
_UNDER_SKIN_SUPPRESSED, _UNDER_SKIN_T2 = 0.27, 0.40
"""`TissueOrder.under_skin`, which decides where `TissueOrder.fat` is near a limit. It decides nothing alone,
because the skin is not always found: three of 52 real T2 have less than 0.30."""
_T1_WITHOUT_FAT, _T1_FAT = 1.0, 2.0
"""`TissueOrder.fat` on T1. Of 499 real T1 three of slim people have 1.7 to 1.9, the others more than 2."""


@dataclass(frozen=True, slots=True)
class TissueOrder:
    """Signals relative to each other; None where a tissue was not seen.

    Attributes
    ----------
    fluid : float or None
        Signal behind the bodies L1 to L4, in the canal, relative to the marrow at the same height.
    reference : float or None
        The same for the sample of fluid behind L3 (`Segmentation.csf`).
    fat : float or None
        Geometric mean of the signals of marrow and of the brightest layer behind the canal, relative to the
        fluid of the canal. Both lose their signal where fat is suppressed.
    under_skin : float or None
        Signal of the layer under the skin of the back relative to the fluid of the canal; None if the view
        ends before the skin.
    levels : int
        Number of bodies behind which the canal was seen.
    """

    fluid: float | None
    reference: float | None
    fat: float | None
    under_skin: float | None
    levels: int


def tissue_order(volume: Volume, segmentation: Segmentation) -> TissueOrder:
    """Compare marrow, fluid and fat.

    Parameters
    ----------
    volume : Volume
        The series.
    segmentation : Segmentation
        Its bodies, on the same grid.
    """
    centres = _centres(segmentation)
    fluids, fats, skins, marrow_at = [], [], [], {}
    for level in _SAMPLED:
        if level not in centres:
            continue
        line = _line(volume, segmentation, level, centres)
        marrow, canal = (_median(line, *part) for part in (_MARROW_MM, _CANAL_MM))
        if not (marrow > 0.0 and canal > 0.0):
            continue
        behind = line[(_BEHIND_MM >= _BACK_MM) & np.isfinite(line)]
        marrow_at[level] = marrow
        fluids.append(canal / marrow)
        fats.append(float(np.sqrt(marrow * _brightest(behind))) / canal)
        skins.append(_under_skin(behind) / canal)
    return TissueOrder(
        fluid=_typical(fluids),
        reference=_reference(volume, segmentation, marrow_at.get(Level.L3)),
        fat=_typical(fats),
        under_skin=_typical(skins),
        levels=len(fluids),
    )


def doubts_about_contrast(order: TissueOrder, contrast: Contrast) -> tuple[Reason, ...]:
    """Compare the order of the tissues with the contrast that the header tells.

    Parameters
    ----------
    order : TissueOrder
        What the pixels show.
    contrast : Contrast
        T1 or T2.

    Returns
    -------
    tuple of Reason
        Empty if the pixels show that contrast; otherwise why that is unclear.

    Raises
    ------
    RefusedError
        If the pixels show another contrast.
    """
    findings = tuple(_findings(order, contrast))
    against = [why for contradicts, why in findings if contradicts]
    if against:
        raise RefusedError(Reason("contrast_contradicted", contrast=contrast.value, why=against[0]))
    return tuple(Reason("contrast_unclear", contrast=contrast.value, why=why) for _, why in findings[:1])


def _findings(order: TissueOrder, contrast: Contrast) -> Iterator[tuple[bool, Reason]]:
    """Yield what speaks against the contrast, and whether it contradicts it."""
    yield from _about_fluid(order, contrast)
    if order.fat is not None:
        suppressed, doubtful = (_dark_on_t1 if contrast is Contrast.T1 else _dark_on_t2)(
            order.fat, order.under_skin
        )
        if suppressed or doubtful:
            yield suppressed, Reason("fat_dark", ratio=order.fat)


def _dark_on_t1(fat: float, _under_skin: float | None) -> tuple[bool, bool]:
    """Tell whether fat is too dark for T1, and whether that is possible."""
    return fat <= _T1_WITHOUT_FAT, fat < _T1_FAT


def _dark_on_t2(fat: float, under_skin: float | None) -> tuple[bool, bool]:
    """Tell whether fat is too dark for T2, and whether that is possible."""
    skin = np.inf if under_skin is None else under_skin
    suppressed = fat <= _SUPPRESSED or (fat < _PROBABLY_SUPPRESSED and skin < _UNDER_SKIN_SUPPRESSED)
    return suppressed, fat < _T2_FAT or (fat < _PROBABLY_T2_FAT and skin < _UNDER_SKIN_T2)


def _about_fluid(order: TissueOrder, contrast: Contrast) -> Iterator[tuple[bool, Reason]]:
    seen = [ratio for ratio in (order.fluid, order.reference) if ratio is not None]
    if order.levels < _FEWEST_LEVELS:
        yield False, Reason("fluid_not_seen")
    if not seen:
        return
    if contrast is Contrast.T1 and max(seen) > _T1_FLUID:
        # One sample may have missed the fluid, so a contradiction needs both.
        yield min(seen) >= _T2_FLUID, Reason("fluid_bright", ratio=max(seen))
    elif contrast is Contrast.T2 and min(seen) < _T2_FLUID:
        yield max(seen) <= _T1_FLUID, Reason("fluid_dark", ratio=min(seen))


def _centres(segmentation: Segmentation) -> dict[Level, Floats]:
    centres = {}
    for level in CRANIAL_TO_CAUDAL:
        if level in segmentation.boxes:
            body = segmentation.body(level)
            inside = np.argwhere(body.mask).mean(axis=0)
            centres[level] = segmentation.grid.to_mm(inside + [one.start for one in body.box])
    return centres


def _frame(level: Level, centres: dict[Level, Floats]) -> tuple[Floats, Floats]:
    """Return the unit vectors up the spine and to the back, both in the sagittal plane."""
    row = [one for one in CRANIAL_TO_CAUDAL if one in centres]
    at = row.index(level)
    up = centres[row[max(0, at - 1)]] - centres[row[min(len(row) - 1, at + 1)]]
    length = float(np.hypot(up[1], up[2]))
    down, back = (up[1] / length, up[2] / length) if length > 0.0 and up[2] > 0.0 else (0.0, 1.0)
    return np.array([0.0, down, back]), np.array([0.0, back, -down])


def _line(volume: Volume, segmentation: Segmentation, level: Level, centres: dict[Level, Floats]) -> Floats:
    """Return the typical signal at `_BEHIND_MM` on lines through the middle of a body; NaN out of view."""
    up, back = _frame(level, centres)
    starts = [
        centres[level] + np.array([aside, 0.0, 0.0]) + along * up
        for aside in _ASIDE_MM
        for along in _ALONG_MM
    ]
    lines = []
    for start in starts:
        inside = _inside(segmentation, level, start + _INWARD_MM[:, None] * back)
        if inside.any():
            wall = _INWARD_MM[np.flatnonzero(inside)[-1]]
            lines.append(_signal(volume, start + (wall + _BEHIND_MM)[:, None] * back))
    return _typical_line(lines)


def _inside(segmentation: Segmentation, level: Level, positions_mm: Floats) -> npt.NDArray[np.bool_]:
    """Tell which positions lie in a body."""
    at = np.rint(segmentation.grid.to_index(positions_mm)).astype(np.intp)
    seen = ((at >= 0) & (at < segmentation.labels.shape)).all(axis=1)
    inside = np.zeros(len(at), dtype=np.bool_)
    inside[seen] = segmentation.labels[tuple(at[seen].T)] == level
    return inside


def _signal(volume: Volume, positions_mm: Floats) -> Floats:
    """Return the interpolated signal, NaN out of view; slices are as thick as their distance."""
    at = volume.grid.to_index(positions_mm)
    seen = ((at >= -0.5) & (at <= np.asarray(volume.voxels.shape) - 0.5)).all(axis=1)
    values = ndimage.map_coordinates(volume.voxels, at.T, output=np.float64, order=1, mode="nearest")
    return np.where(seen, values, np.nan)


def _typical_line(lines: list[Floats]) -> Floats:
    if not lines:
        return np.full(_BEHIND_MM.shape, np.nan)
    stack = np.array(lines)
    seen = np.isfinite(stack).any(axis=0)
    typical = np.full(_BEHIND_MM.shape, np.nan)
    typical[seen] = np.nanmedian(stack[:, seen], axis=0)
    return typical


def _median(line: Floats, first_mm: float, last_mm: float) -> float:
    part = line[(first_mm <= _BEHIND_MM) & (last_mm >= _BEHIND_MM)]
    return float(np.median(part[np.isfinite(part)])) if np.isfinite(part).any() else float("nan")


def _brightest(behind: Floats) -> float:
    """Return the signal of the brightest layer; thin bright lines (skin, vessels) do not count."""
    if len(behind) < _FEWEST_BACK:
        return float("nan")
    return float(ndimage.median_filter(behind, _FAT_WIDTH).max())


def _under_skin(behind: Floats) -> float:
    """Return the signal of the layer under the skin, NaN if no air is seen behind it."""
    if len(behind) < _FEWEST_BACK:
        return float("nan")
    tissue = np.flatnonzero(behind > _AIR * np.percentile(behind, 90))
    last = int(tissue[-1]) if len(tissue) else 0
    first, end = (max(0, last - step) for step in _UNDER_SKIN)
    if len(behind) - last < _FEWEST_AIR or end - first < _FEWEST_AIR:
        return float("nan")
    return float(np.percentile(behind[first:end], 75))


def _reference(volume: Volume, segmentation: Segmentation, marrow: float | None) -> float | None:
    sample = segmentation.csf
    if marrow is None or sample is None or not sample.part.mask.any():
        return None
    return float(np.median(volume.values(sample.part))) / marrow


def _typical(values: list[float]) -> float | None:
    seen = [value for value in values if np.isfinite(value)]
    return float(np.median(seen)) if seen else None
