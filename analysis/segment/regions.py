"""From named bodies to regions with their quality, for every segmenter."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.segmentation import CRANIAL_TO_CAUDAL, Level, Region
from analysis.domain.volume import Grid
from analysis.segment.instances import FoundBody
from analysis.segment.quality import Shape, assess, crowding

__all__ = ["filled", "regions_of", "upwards"]


def upwards(level: Level, bodies: dict[Level, FoundBody]) -> npt.NDArray[np.float64]:
    """Return the unit vector (rows, columns) from the lower neighbour of a body to the upper one."""
    order = [one for one in CRANIAL_TO_CAUDAL if one in bodies]
    at = order.index(level)
    above, below = order[max(0, at - 1)], order[min(len(order) - 1, at + 1)]
    step = bodies[above].centre_mm[1:] - bodies[below].centre_mm[1:]
    length = float(np.hypot(*step))
    return np.asarray(step / length if length else np.array([-1.0, 0.0]))


def regions_of(
    labels: npt.NDArray[np.uint8],
    bodies: dict[Level, FoundBody],
    shapes: dict[Level, Shape],
    signal: npt.NDArray[np.float32] | npt.NDArray[np.uint16],
    grid: Grid,
) -> tuple[Region, ...]:
    """Assess every named body and make its region.

    Parameters
    ----------
    labels : ndarray of uint8, shape (slices, rows, columns)
        `Level` values.
    bodies : dict of Level to FoundBody
        The bodies as the segmenter found them.
    shapes : dict of Level to Shape
        Their dimensions.
    signal : ndarray of float32 or uint16
        The image, on the same voxels.
    grid : Grid
        Geometry of labels and image.

    Returns
    -------
    tuple of Region
        One for every label that occurs, from cranial to caudal.
    """
    typical = float(np.median(_values(signal, labels > 0))) if labels.any() else 0.0
    crowded = crowding({level: body.centre_mm for level, body in bodies.items()})
    regions = []
    boxes = ndimage.find_objects(labels, max_label=max(Level))
    for level in CRANIAL_TO_CAUDAL:
        box = boxes[level - 1]
        if box is None:
            continue
        own = labels[box] == level
        assessment = assess(level, bodies[level], shapes, _values(signal[box], filled(own)), typical)
        if crowded is not None:
            assessment = assessment.lowered(crowded)
        centre = grid.to_mm(np.argwhere(own).mean(axis=0) + [one.start for one in box])
        regions.append(
            Region(
                level=level,
                volume_ml=grid.volume_ml(own),
                centre_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
                quality=assessment.quality,
                usable=assessment.usable,
                concerns=assessment.concerns,
            )
        )
    return tuple(regions)


def _values(
    signal: npt.NDArray[np.float32] | npt.NDArray[np.uint16], where: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    return np.asarray(signal[where], dtype=np.float32)


def filled(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Fill the holes in every slice of a mask, which must not be empty."""
    solid = mask.copy()
    # Holes lie inside the bounding box, which is about a hundredth of the volume.
    (box,) = ndimage.find_objects(mask.view(np.uint8))
    solid[box] = [ndimage.binary_fill_holes(one) for one in mask[box]]
    return solid
