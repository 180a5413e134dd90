"""The inside of each lumbar body, where an image shows marrow and nothing else."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.segmentation import CRANIAL_TO_CAUDAL, Level, Segmentation
from analysis.domain.volume import Volume
from analysis.measurement.depth import depth_in_slice

__all__ = ["Marrow", "marrow_of"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_BORDER_MM = 2.5
"""Cortex, endplate and their partial volume."""
_SMOOTHING_MM = 1.2
_FULL_SLICE = 0.7
"""Area of a slice of a body, relative to its largest, from which it shows no more than marrow."""
_SIDE_MM, _WIDE_MM = 3.0, 20.0
"""Distance from the first and last slice of a body within which slices may cut its waist. If these two are
not that far apart, they do not show its sides."""
_FEWEST_PIXELS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Marrow:
    """The inside of one body within its box.

    Attributes
    ----------
    inside : ndarray of bool, shape (slices, rows, columns)
        Its voxels away from the border, on slices that cut it fully.
    areas : ndarray of shape (slices,)
        Voxels of the whole body on each slice.
    level_of_signal : ndarray of float64
        Natural logarithm of the smoothed signal; NaN outside.
    height, depth : ndarray of float64
        From -1 (lower endplate, front) to 1 (upper endplate, back), along the spine.
    aside_mm : ndarray of float64, shape (slices, 1, 1)
        Distance from the middle of the width.
    middle_mm : float
        Position along the spine.
    """

    inside: Mask
    areas: npt.NDArray[np.intp]
    level_of_signal: Floats
    height: Floats
    depth: Floats
    aside_mm: Floats
    middle_mm: float


def marrow_of(volume: Volume, segmentation: Segmentation) -> dict[Level, Marrow]:
    """Return the marrow of every lumbar body that shows enough of it."""
    boxes = segmentation.boxes
    centres = {
        level: np.argwhere(segmentation.labels[boxes[level]] == level).mean(axis=0)
        + [part.start for part in boxes[level]]
        for level in CRANIAL_TO_CAUDAL
        if level.lumbar and level in boxes
    }
    order = list(centres)
    found = {}
    for at, level in enumerate(order):
        above, below = centres[order[max(0, at - 1)]], centres[order[min(len(order) - 1, at + 1)]]
        one = _marrow_in(volume, segmentation.labels, level, boxes[level], above - below)
        if one is not None:
            found[level] = one
    return found


def _marrow_in(
    volume: Volume,
    labels: npt.NDArray[np.uint8],
    level: Level,
    box: tuple[slice, slice, slice],
    step: Floats,
) -> Marrow | None:
    spacing = volume.grid.spacing_mm
    wide = (
        box[0],
        *(
            slice(max(0, part.start - 2), min(size, part.stop + 2))
            for part, size in zip(box[1:], labels.shape[1:], strict=True)
        ),
    )
    own = labels[wide] == level
    areas = own.sum(axis=(1, 2))
    whole = (areas >= _FULL_SLICE * areas.max()) & ~_at_the_side(areas, spacing[0])
    inside = np.zeros_like(own)
    for number in np.flatnonzero(whole):
        inside[number] = depth_in_slice(own[number], spacing[1:]) > _BORDER_MM
    if inside.sum() < _FEWEST_PIXELS:
        return None
    signal = volume.voxels[wide].astype(np.float64)
    sigma = tuple(_SMOOTHING_MM / apart for apart in spacing)
    weight = ndimage.gaussian_filter(own.astype(np.float64), sigma)
    smooth = ndimage.gaussian_filter(np.where(own, signal, 0.0), sigma) / np.maximum(weight, 1e-6)
    floor = 0.02 * max(float(np.median(smooth[inside])), 1e-6)
    values = np.where(inside, np.log(np.maximum(smooth, floor)), np.nan)
    numbers, rows, columns = np.indices(own.shape)
    up = np.array([step[1] * spacing[1], step[2] * spacing[2]])
    up = up / np.hypot(*up) if np.any(up) else np.array([-1.0, 0.0])
    back = np.array([-up[1], up[0]])
    # Columns run to the back in every sagittal series of this project.
    back = back if back[1] > 0 else -back
    y, x = rows * spacing[1], columns * spacing[2]
    middle = numbers[own].mean()
    return Marrow(
        inside=inside,
        areas=areas,
        level_of_signal=values,
        height=_from_edge_to_edge(y * up[0] + x * up[1], own),
        depth=_from_edge_to_edge(y * back[0] + x * back[1], own),
        aside_mm=np.abs(numbers[:, :1, :1] - middle) * spacing[0],
        middle_mm=float((np.mean(rows[own]) + wide[1].start) * spacing[1]),
    )


def _at_the_side(areas: npt.NDArray[np.intp], apart_mm: float) -> Mask:
    """Mask the slices so close to the sides of a body that they may cut its waist."""
    first, last = np.flatnonzero(areas)[[0, -1]]
    numbers = np.arange(len(areas))
    beside_mm = np.minimum(numbers - first, last - numbers) * apart_mm
    return np.asarray((beside_mm < _SIDE_MM) & ((last - first) * apart_mm > _WIDE_MM))


def _from_edge_to_edge(position: Floats, own: Mask) -> Floats:
    """Scale positions so that the edges of the body are at -1 and 1."""
    low, high = np.percentile(position[own], [2.0, 98.0])
    return np.asarray((2.0 * position - high - low) / max(high - low, 1e-6))
