"""Vertebral bodies out of whole vertebrae.

Several programs and atlases outline whole vertebrae. What is measured here is the body, so all that lies
behind its posterior wall is cut off. The wall is where the spinal canal begins; where no canal is marked, the
gap that it leaves between body and spinous process on the middle slices shows it as well.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage, stats

from analysis.domain.segmentation import Level

__all__ = ["cut_posterior_elements"]

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]

_MIDDLE_MM = 6.0
_SHORTEST_WALL_MM = 6.0
"""Less of the wall than this is no wall that a line could be laid through."""

_LEAST_DEPTH_MM, _GREATEST_DEPTH_MM = 15.0, 55.0
_NARROWEST_GAP_MM = 6.0
"""The lumbar canal is 12 mm deep at least where it is not narrowed."""


def cut_posterior_elements(
    labels: Labels, canal: Mask, spacing_mm: tuple[float, float, float]
) -> tuple[Labels, tuple[Level, ...]]:
    """Keep of every vertebra what lies in front of its posterior wall.

    Parameters
    ----------
    labels : ndarray of uint8, shape (slices, rows, columns)
        Whole vertebrae as `Level` values; rows to the feet, columns to the back.
    canal : ndarray of bool
        The spinal canal; empty where it is not marked.
    spacing_mm : tuple of float
        Between slices, rows and columns.

    Returns
    -------
    labels : ndarray of uint8
        Bodies; S1 too loses what lies behind its wall.
    lost : tuple of Level
        Those whose wall could not be found; they are left out.
    """
    bodies = np.zeros_like(labels)
    lost = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        vertebra = labels[box] == number
        body = _in_front(vertebra, _wall(vertebra, canal[box], spacing_mm), spacing_mm)
        if body is None:
            lost.append(Level(number))
        else:
            bodies[box][body] = number
    return bodies, tuple(lost)


def _wall(vertebra: Mask, canal: Mask, spacing_mm: tuple[float, float, float]) -> Points:
    """Points (row, column) of the first voxels behind the body, on the middle slices."""
    marked = canal.any()
    weights = (canal if marked else vertebra).sum(axis=(1, 2)).astype(float)
    middle = float(weights @ np.arange(len(weights))) / max(weights.sum(), 1.0)
    reach = max(0.51, _MIDDLE_MM / spacing_mm[0])
    points = []
    for number in np.flatnonzero(np.abs(np.arange(len(weights)) - middle) <= reach):
        rows = _canal_fronts(canal[number]) if marked else _gaps(vertebra[number], spacing_mm[2])
        points += rows
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def _canal_fronts(canal: Mask) -> list[tuple[int, int]]:
    return [(int(row), int(np.argmax(canal[row]))) for row in np.flatnonzero(canal.any(axis=1))]


def _gaps(vertebra: Mask, pixel_mm: float) -> list[tuple[int, int]]:
    """Where in each row a gap as deep as a canal follows something as deep as a body."""
    found = []
    for row in np.flatnonzero(vertebra.any(axis=1)):
        columns = np.flatnonzero(vertebra[row])
        jumps = np.flatnonzero(np.diff(columns) * pixel_mm > _NARROWEST_GAP_MM)
        if len(jumps) and (columns[jumps[0]] - columns[0]) * pixel_mm >= _LEAST_DEPTH_MM:
            found.append((int(row), int(columns[jumps[0]]) + 1))
    return found


def _in_front(vertebra: Mask, wall: Points, spacing_mm: tuple[float, float, float]) -> Mask | None:
    if not len(wall) or np.ptp(wall[:, 0]) * spacing_mm[1] < _SHORTEST_WALL_MM:
        return None
    # Robust, for the wall is dented by the basivertebral vein and rows beyond the body show a disc's bulge.
    line = stats.siegelslopes(wall[:, 1], wall[:, 0])
    rows, columns = np.ogrid[: vertebra.shape[1], : vertebra.shape[2]]
    parts, count = ndimage.label(vertebra & (columns < line.intercept + line.slope * rows))
    if not count:
        return None
    body = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    depth_mm = float(np.ptp(np.flatnonzero(body.any(axis=(0, 1)))) + 1) * spacing_mm[2]
    return body if _LEAST_DEPTH_MM <= depth_mm <= _GREATEST_DEPTH_MM else None
