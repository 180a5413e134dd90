"""The mid-sagittal slice of a stack and the middle of each body, also in a curved spine."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.segmentation import Level, Segmentation
from analysis.measurement.depth import depth_in_slice

__all__ = ["mid_body", "mid_slice"]

_NEARLY_THE_BEST = 0.9
"""Slices with at least this fraction of the largest area show the bodies equally well."""

_SLAB_HALF_MM = 5.0
"""Half the thickness of the slab around the middle of a body: one to three slices of 4 to 5 mm."""


def mid_slice(segmentation: Segmentation) -> int:
    """Return the index of the slice that best shows the middle of the lumbar bodies.

    Among the slices with nearly the largest area of lumbar bodies it is the one nearest to their centre of
    mass. The area alone is nearly constant over the width of the bodies, and the centre of mass alone can
    miss a curved spine.

    Parameters
    ----------
    segmentation : Segmentation
        Labelled bodies.

    Returns
    -------
    int
        Index along array axis 0; the middle of the stack if there are no labels.
    """
    labels = segmentation.labels
    lumbar = (labels > 0) & (labels <= Level.L5)
    area = (lumbar if lumbar.any() else labels > 0).sum(axis=(1, 2)).astype(np.float64)
    if not area.any():
        return (len(area) - 1) // 2
    slices = np.arange(len(area))
    centre = float((slices * area).sum() / area.sum())
    good = slices[area >= _NEARLY_THE_BEST * area.max()]
    return int(good[np.argmin(np.abs(good - centre))])


def mid_body(segmentation: Segmentation, level: Level, *, border_mm: float) -> npt.NDArray[np.bool_]:
    """Mask the middle of one body: a slab around its own centre, without its border.

    Every body has its own slab, so that in a curved spine, too, the sample stays clear of the pedicles.

    Parameters
    ----------
    segmentation : Segmentation
        Labelled bodies.
    level : Level
        The body.
    border_mm : float
        Margin removed in plane, which holds cortex and endplates.

    Returns
    -------
    ndarray of bool, shape (slices, rows, columns)
        Empty if the body is missing or too thin.
    """
    labels = segmentation.labels
    inside = np.zeros(labels.shape, dtype=np.bool_)
    box = next(iter(ndimage.find_objects(labels, max_label=level)[level - 1 :]), None)
    if box is None:
        return inside
    body = labels[box] == level
    slice_mm, *pixel_mm = segmentation.grid.spacing_mm
    area = body.sum(axis=(1, 2))
    slices = np.arange(box[0].start, box[0].stop)
    from_centre_mm = np.abs(slices - (slices * area).sum() / area.sum()) * slice_mm
    # The slice nearest to the centre is always included, even if slices are thicker than the slab.
    in_slab = (from_centre_mm <= _SLAB_HALF_MM) | (from_centre_mm == from_centre_mm.min())
    for index in np.flatnonzero(in_slab):
        part = body[index]
        depth = depth_in_slice(part, tuple(pixel_mm)) - min(pixel_mm) / 2
        inside[box][index] = (depth >= border_mm) & part
    return inside
