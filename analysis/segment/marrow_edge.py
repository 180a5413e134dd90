"""Take outlines back to the edge of the marrow where they lie too far outside it.

The manual outlines that the network learned from include the cortex, the endplates and often a line of
ligament; on some sides they lie up to 1 mm outside the marrow, and the network follows them. The image
shows where the marrow ends: at half its signal over the dark line of the border. Along the normal of each
outline that edge is found, averaged over neighbouring points, and the outline is moved inwards if it lies
farther outside than the cortex is thick. It is never moved outwards: beyond the edge is no marrow, and where
the border shows no edge (a bright disc without a dark endplate, a vein) the network has the say.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["edge_positions", "inward_shifts", "moved"]

Floats = npt.NDArray[np.floating]
Sampler = Callable[[int, Floats, Floats], Floats]
"""Signal of a slab (number) at rows and columns in mm from the corner of the image."""

_STEP_MM = 0.25
_FIRST_MM, _LAST_MM = -6.5, 2.5
"""Profiles run from the marrow to beyond the outline."""
_DARKEST_MM = -3.0
_MARROW_MM = -3.5
_LEAST_CONTRAST = 0.25
"""Part of the marrow's signal by which the border must be darker."""
_CORTEX_MM = 0.55
"""The outline may lie this far outside the edge: shell and endplates are about 0.4 to 0.6 mm thick."""
_MOST_MM = 2.0
_SMOOTHING_MM = 2.0
_FEWEST = 0.15
"""Weight of "no shift", relative to a border whose every point shows an edge."""
_BAND_MM = 4.0


def edge_positions(profiles: Floats, at_mm: Floats) -> Floats:
    """Return where profiles fall to half-way between the marrow and the darkest point of the border.

    Parameters
    ----------
    profiles : ndarray of float, shape (points, steps)
        Signal from the marrow outwards.
    at_mm : ndarray of float, shape (steps,)
        Distance from the outline, positive outside, evenly spaced.

    Returns
    -------
    ndarray of float, shape (points,)
        In mm from the outline; nan where the border is hardly darker than the marrow.
    """
    number = np.arange(len(profiles))
    marrow = np.median(profiles[:, at_mm <= _MARROW_MM], axis=1)
    first = int(np.searchsorted(at_mm, _DARKEST_MM))
    darkest = first + np.argmin(profiles[:, first:], axis=1)
    dark = profiles[number, darkest]
    half = (marrow + dark) / 2
    # From the darkest point inwards, so that veins and trabeculae in the body are not met first.
    bright = (profiles >= half[:, None]) & (np.arange(len(at_mm)) < darkest[:, None])
    last = len(at_mm) - 1 - np.argmax(bright[:, ::-1], axis=1)
    after = np.minimum(last + 1, len(at_mm) - 1)
    high, low = profiles[number, last], profiles[number, after]
    part = (high - half) / np.maximum(high - low, 1e-9)
    shown = bright.any(axis=1) & (marrow > 0) & (marrow - dark >= _LEAST_CONTRAST * marrow)
    return np.where(shown, at_mm[last] + np.clip(part, 0.0, 1.0) * (at_mm[1] - at_mm[0]), np.nan)


def inward_shifts(bone: Floats, owner: npt.NDArray[np.integer], sample: Sampler, pixel_mm: float) -> Floats:
    """Find how far each pixel near an outline is to be moved, and in which direction.

    Parameters
    ----------
    bone : ndarray of float32, shape (slabs, rows, columns)
        Probability of bone; the outline is where it is 0.5.
    owner : ndarray of int, same shape
        Number of the body that a voxel is assigned to, 0 for none.
    sample : callable
        Gives the signal of a slab at points.
    pixel_mm : float
        Distance between rows and columns.

    Returns
    -------
    ndarray of float32, shape (2, slabs, rows, columns)
        Offsets in pixels along rows and columns to the outside, to sample the probability at; 0 elsewhere.
    """
    offsets = np.zeros((2, *bone.shape), np.float32)
    for number, (chance, own) in enumerate(zip(bone, owner, strict=True)):
        mask = (own > 0) & (chance > 0.5)
        if not mask.any():
            continue
        box = _box(mask, round(_BAND_MM / pixel_mm) + 1)
        corner = (box[0].start * pixel_mm, box[1].start * pixel_mm)
        shifts = _on_slab(chance[box], mask[box], partial(_from_corner, sample, number, corner), pixel_mm)
        offsets[:, number, box[0], box[1]] = shifts * (own[box] > 0)
    return offsets


def _box(mask: npt.NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    (found,) = ndimage.find_objects(mask.view(np.uint8))
    rows, columns = (slice(max(0, one.start - margin), one.stop + margin) for one in found)
    return rows, columns


def _from_corner(
    sample: Sampler, slab: int, corner_mm: tuple[float, float], rows_mm: Floats, columns_mm: Floats
) -> Floats:
    return sample(slab, rows_mm + corner_mm[0], columns_mm + corner_mm[1])


def _on_slab(
    chance: Floats, mask: npt.NDArray[np.bool_], sample: Callable[[Floats, Floats], Floats], pixel_mm: float
) -> Floats:
    """Return the offsets of one slab, shape (2, rows, columns), in pixels."""
    border = mask & ~ndimage.binary_erosion(mask, border_value=1)
    if not border.any():
        return np.zeros((2, *mask.shape))
    away, nearest = ndimage.distance_transform_edt(~border, return_indices=True)
    depth = ndimage.gaussian_filter(np.where(mask, -away, away), 1.5 / pixel_mm)
    normals = np.array(np.gradient(depth))
    normals /= np.maximum(np.hypot(*normals), 1e-9)
    at = np.nonzero(border)
    normal = normals[:, at[0], at[1]]
    # The outline lies between the last pixel of the mask and the next one.
    fall = -(np.array(np.gradient(chance))[:, at[0], at[1]] * normal).sum(axis=0)
    beyond = np.clip((chance[at] - 0.5) / np.maximum(fall, 0.05), 0.0, 1.0)
    start = (np.array(at) + normal * beyond + 0.5) * pixel_mm
    steps = np.arange(_FIRST_MM, _LAST_MM + _STEP_MM / 2, _STEP_MM)
    rows, columns = start[:, :, None] + normal[:, :, None] * steps
    edge = edge_positions(sample(rows, columns), steps)
    seen = np.isfinite(edge)
    weight, lot = np.zeros(mask.shape), np.zeros(mask.shape)
    weight[at], lot[at] = seen, np.where(seen, -edge, 0.0)
    every, weight, lot = (
        ndimage.gaussian_filter(one, _SMOOTHING_MM / pixel_mm) for one in (border.astype(float), weight, lot)
    )
    outside = lot / np.maximum(weight + _FEWEST * every, 1e-9)
    shift = np.clip(outside - _CORTEX_MM, 0.0, _MOST_MM)[tuple(nearest)]
    return np.asarray(normals * np.where(away * pixel_mm <= _BAND_MM, shift, 0.0) / pixel_mm)


def moved(bone: Floats, offsets: Floats) -> npt.NDArray[np.float32]:
    """Move the outline of a map inwards.

    Parameters
    ----------
    bone : ndarray of float32, shape (slabs, rows, columns)
        Probability of bone.
    offsets : ndarray of float32, shape (2, slabs, rows, columns)
        The result of `inward_shifts`.
    """
    result = np.array(bone, dtype=np.float32)
    where = np.nonzero(offsets.any(axis=0))
    slabs, rows, columns = where
    down, right = (one[where] for one in offsets)
    # Never between slabs: the numbers of the slabs are whole.
    result[where] = ndimage.map_coordinates(
        bone, [slabs, rows + down, columns + right], order=1, mode="nearest"
    )
    return result
