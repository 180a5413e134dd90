"""From named bodies to regions with their verdicts, whoever outlined them."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.segmentation import CRANIAL_TO_CAUDAL, Level, Region
from analysis.domain.volume import Grid
from analysis.segment.instances import Body
from analysis.segment.quality import Shape, crowding, judge, lessened

__all__ = ["filled", "regions_of", "upwards"]


def upwards(level: Level, bodies: dict[Level, Body]) -> npt.NDArray[np.float64]:
    """Direction (rows, columns) from the lower neighbour of a body to the upper one."""
    order = [one for one in CRANIAL_TO_CAUDAL if one in bodies]
    at = order.index(level)
    above, below = order[max(0, at - 1)], order[min(len(order) - 1, at + 1)]
    step = bodies[above].centre_mm[1:] - bodies[below].centre_mm[1:]
    length = float(np.hypot(*step))
    return np.asarray(step / length if length else np.array([-1.0, 0.0]))


def regions_of(
    labels: npt.NDArray[np.uint8],
    bodies: dict[Level, Body],
    shapes: dict[Level, Shape],
    signal: npt.NDArray[np.float32],
    grid: Grid,
) -> tuple[Region, ...]:
    """Judge every named body.

    Parameters
    ----------
    labels : ndarray of uint8, shape (slices, rows, columns)
        `Level` values.
    bodies : dict of Level to Body
        What is known of each.
    shapes : dict of Level to Shape
        What each measures.
    signal : ndarray of float32
        The image, on the same voxels.
    grid : Grid
        Where these lie.

    Returns
    -------
    tuple of Region
        One for every label that occurs, from cranial to caudal.
    """
    typical = float(np.median(signal[labels > 0])) if labels.any() else 0.0
    crowded = crowding({level: body.centre_mm for level, body in bodies.items()})
    regions = []
    for level in CRANIAL_TO_CAUDAL:
        own = labels == level
        if not own.any():
            continue
        verdict = judge(level, bodies[level], shapes, signal[filled(own)], typical)
        if crowded is not None:
            verdict = lessened(verdict, crowded)
        centre = grid.to_mm(np.argwhere(own).mean(axis=0))
        regions.append(
            Region(
                level=level,
                volume_ml=float(own.sum()) * grid.voxel_ml,
                centre_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
                quality=verdict.quality,
                usable=verdict.usable,
                concerns=verdict.concerns,
            )
        )
    return tuple(regions)


def filled(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Fill the holes of every slice of a mask that is not empty."""
    solid = mask.copy()
    # Nothing outside the box can be a hole, and the box is a hundredth of the volume.
    (box,) = ndimage.find_objects(mask.view(np.uint8))
    solid[box] = [ndimage.binary_fill_holes(one) for one in mask[box]]
    return solid
