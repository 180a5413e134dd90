"""Check that slices form one complete, evenly spaced stack, from their positions and orientations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.domain.reason import Reason
from analysis.errors import RefusedError

__all__ = ["Stack", "stack_slices"]

_SAME_PLACE_MM = 0.05
_EVEN_WITHIN = 0.05
"""Tolerance as a fraction of the spacing; vendors round positions to about 0.01 mm."""
_PARALLEL_WITHIN = 1e-3
_SHEAR_WITHIN_MM = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Order and spacing of the slices of a stack.

    Attributes
    ----------
    order : tuple of int
        Indices of the given slices, sorted along the normal.
    spacing_mm : float
        Distance between the centres of neighbouring slices.
    normal : ndarray of shape (3,)
        LPS unit vector from slice to slice.
    """

    order: tuple[int, ...]
    spacing_mm: float
    normal: npt.NDArray[np.float64]


def stack_slices(orientations: Sequence[Sequence[float]], positions_mm: Sequence[Sequence[float]]) -> Stack:
    """Sort slices along their normal, and refuse them if they form no even stack.

    Parameters
    ----------
    orientations : sequence of six float each
        Image Orientation (Patient) of every slice.
    positions_mm : sequence of three float each
        Image Position (Patient) of every slice, in mm.

    Returns
    -------
    Stack
        Order, spacing and normal of the slices.

    Raises
    ------
    RefusedError
        If there are fewer than three slices, if they are not parallel, unevenly spaced or shifted in plane,
        if two have the same position, or if one is missing.

    References
    ----------
    DICOM PS3.3 C.7.6.2.1.1, Image Position and Image Orientation (Patient).
    """
    if len(positions_mm) < 3:
        raise RefusedError(Reason("no_stack", count=len(positions_mm)))
    cosines = np.asarray(orientations, dtype=np.float64)
    if np.abs(cosines - cosines[0]).max() > _PARALLEL_WITHIN:
        raise RefusedError(Reason("not_parallel"))
    normal = np.cross(cosines[0, :3], cosines[0, 3:])
    length = float(np.linalg.norm(normal))
    if abs(length - 1) > _PARALLEL_WITHIN:
        raise RefusedError(Reason("orientation_invalid"))
    normal /= length
    positions = np.asarray(positions_mm, dtype=np.float64)
    depth = positions @ normal
    order = np.argsort(depth, kind="stable")
    spacing = _even_spacing(depth[order])
    in_plane = positions - np.outer(depth, normal)
    if np.abs(in_plane - in_plane[order[0]]).max() > _SHEAR_WITHIN_MM:
        raise RefusedError(Reason("slices_shifted"))
    return Stack(tuple(int(index) for index in order), spacing, normal)


def _even_spacing(depths_mm: npt.NDArray[np.float64]) -> float:
    gaps = np.diff(depths_mm)
    if gaps.min() < _SAME_PLACE_MM:
        raise RefusedError(Reason("slices_at_one_place", depth_mm=float(depths_mm[int(gaps.argmin())])))
    spacing = float(np.median(gaps))
    widest = int(gaps.argmax())
    if gaps[widest] > 1.5 * spacing:
        before, after = float(depths_mm[widest]), float(depths_mm[widest + 1])
        raise RefusedError(Reason("slice_missing", from_mm=before, to_mm=after, spacing_mm=spacing))
    if np.abs(gaps - spacing).max() > max(_EVEN_WITHIN * spacing, _SAME_PLACE_MM):
        raise RefusedError(Reason("slices_uneven", least_mm=float(gaps.min()), most_mm=float(gaps.max())))
    return float(gaps.mean())
