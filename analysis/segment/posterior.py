"""Separate vertebral bodies from whole vertebrae.

Several programs and atlases outline whole vertebrae. Only the body is measured, so everything behind its
posterior wall is cut off. The wall is the front of the spinal canal. If the canal is not marked, the gap
between body and spinous process on the middle slices takes its place.
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
"""Shortest piece of wall through which a line is fitted."""

_LEAST_DEPTH_MM, _GREATEST_DEPTH_MM = 15.0, 55.0
_NARROWEST_GAP_MM = 6.0
"""Smallest gap that counts as the canal; a lumbar canal without stenosis is at least 12 mm deep."""


def cut_posterior_elements(
    labels: Labels, canal: Mask, spacing_mm: tuple[float, float, float]
) -> tuple[Labels, tuple[Level, ...]]:
    """Keep the part of every vertebra in front of its posterior wall.

    Parameters
    ----------
    labels : ndarray of uint8, shape (slices, rows, columns)
        Whole vertebrae as `Level` values; rows to the feet, columns to the back.
    canal : ndarray of bool
        The spinal canal; without a voxel if it is not marked.
    spacing_mm : tuple of float
        Distance between slices, rows and columns.

    Returns
    -------
    labels : ndarray of uint8
        The bodies, including S1 without the part behind its wall.
    lost : tuple of Level
        The levels whose wall could not be found; they are left out.
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
    """Return the points (row, column) of the first voxels behind the body, on the middle slices."""
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
    """Return the start (row, column) of a gap as deep as a canal behind a part as deep as a body."""
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
    # A robust fit: the basivertebral vein dents the wall, and rows beyond the body show the bulge of a disc.
    line = stats.siegelslopes(wall[:, 1], wall[:, 0])
    rows, columns = np.ogrid[: vertebra.shape[1], : vertebra.shape[2]]
    parts, count = ndimage.label(vertebra & (columns < line.intercept + line.slope * rows))
    if not count:
        return None
    body = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    depth_mm = float(np.ptp(np.flatnonzero(body.any(axis=(0, 1)))) + 1) * spacing_mm[2]
    return body if _LEAST_DEPTH_MM <= depth_mm <= _GREATEST_DEPTH_MM else None
