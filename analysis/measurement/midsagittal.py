"""The mid-sagittal slice of a stack and the middle of each body, also in a curved spine."""

import numpy as np

from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Part
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
    box = segmentation.box
    labels = segmentation.labels[box]
    lumbar = (labels > 0) & (labels <= Level.L5)
    area = np.zeros(segmentation.grid.shape[0])
    area[box[0]] = (lumbar if lumbar.any() else labels > 0).sum(axis=(1, 2))
    if not area.any():
        return (len(area) - 1) // 2
    slices = np.arange(len(area))
    centre = float((slices * area).sum() / area.sum())
    good = slices[area >= _NEARLY_THE_BEST * area.max()]
    return int(good[np.argmin(np.abs(good - centre))])


def mid_body(segmentation: Segmentation, level: Level, *, border_mm: float) -> Part:
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
    Part
        Empty if the body is missing or too thin.
    """
    box, body = (whole := segmentation.body(level)).box, whole.mask
    inside = np.zeros_like(body)
    if not body.size:
        return whole
    slice_mm, *pixel_mm = segmentation.grid.spacing_mm
    area = body.sum(axis=(1, 2))
    slices = np.arange(box[0].start, box[0].stop)
    from_centre_mm = np.abs(slices - (slices * area).sum() / area.sum()) * slice_mm
    # The slice nearest to the centre is always included, even if slices are thicker than the slab.
    in_slab = (from_centre_mm <= _SLAB_HALF_MM) | (from_centre_mm == from_centre_mm.min())
    for index in np.flatnonzero(in_slab):
        part = body[index]
        depth = depth_in_slice(part, tuple(pixel_mm)) - min(pixel_mm) / 2
        inside[index] = (depth >= border_mm) & part
    return Part(box, inside)
