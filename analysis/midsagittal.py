"""Where the middle of the spine lies in a stack of slices, also when the spine is curved."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.segmentation import Level, Segmentation

__all__ = ["mid_body", "mid_slice"]

_NEARLY_THE_BEST = 0.9
"""Slices within this part of the largest area show the bodies equally well."""

_SLAB_HALF_MM = 5.0
"""Half of the slab around a body's middle, which at the usual 4 to 5 mm holds one to three slices."""


def mid_slice(segmentation: Segmentation) -> int:
    """Index of the slice that shows the middle of the lumbar bodies best.

    Of the slices that show nearly as much lumbar body as the best one does, the nearest to the centre of
    mass: the area alone has a flat top as wide as the bodies, and the centre of mass alone can miss a curved
    spine.

    Parameters
    ----------
    segmentation : Segmentation
        Labelled bodies.

    Returns
    -------
    int
        Along array axis 0; the middle of the stack if nothing was found.
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

    Every body has its own slab, so that a curved spine does not move the sample off its pedicle-free middle.

    Parameters
    ----------
    segmentation : Segmentation
        Labelled bodies.
    level : Level
        Which.
    border_mm : float
        Taken off in plane, where cortex and endplates are.

    Returns
    -------
    ndarray of bool, shape (slices, rows, columns)
        Empty where the body is missing or too thin.
    """
    body: npt.NDArray[np.bool_] = segmentation.labels == level
    inside = np.zeros(body.shape, dtype=np.bool_)
    box = next(iter(ndimage.find_objects(body.astype(np.uint8))), None)
    if box is None:
        return inside
    slice_mm, *pixel_mm = segmentation.grid.spacing_mm
    area = body.sum(axis=(1, 2))
    slices = np.arange(len(area))
    from_centre_mm = np.abs(slices - (slices * area).sum() / area.sum()) * slice_mm
    # The slice nearest to the centre always counts, however thick the slices are.
    for index in slices[(from_centre_mm <= _SLAB_HALF_MM) | (from_centre_mm == from_centre_mm.min())]:
        part = np.pad(body[index][box[1:]], 1)
        # Half a pixel lies between the border and the centre of the first pixel outside.
        depth = ndimage.distance_transform_edt(part, sampling=pixel_mm) - min(pixel_mm) / 2
        inside[index][box[1:]] = (depth >= border_mm)[1:-1, 1:-1] & part[1:-1, 1:-1]
    return inside
