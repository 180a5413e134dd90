"""Signs in the image that the names of the levels may be wrong, beyond what the bodies alone show."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.segment.instances import FoundBodies, FoundBody
from analysis.segment.locate import rewindow
from analysis.segment.network import BODY, CANAL, SACRUM, Network

__all__ = ["looks_mirrored", "looks_transitional"]

Floats = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]
Spacing = tuple[float, float, float]

_MIRRORED = 2.0
"""Sacrum in the mirror image relative to the image; at most 1.4 in real patients, below 0.1 in most."""
_NO_SACRUM = 100.0
"""Sum of probabilities, in pixels of the network's grid, that is no sacrum yet."""
_SQUARE = 0.95
"""Volume of S1 relative to the bodies above it; 19 of 20 patients have less."""
_WELL_FORMED_MM = 6.0
"""Thickness of the disc below S1; 5 mm in the median patient, at most this in 19 of 20."""

_NEARLY_SQUARE = 0.9
_TAPERING = 1.05
"""Width of S1 above relative to below: 1.31 in the median patient, less than 1.13 in 1 of 20. Whatever hardly
tapers is an L5 rather, and the disc below an L5 may be gone. Unlike the size, this does not depend on other
bodies, whose outlines grow where metal darkens them."""
_FORMED_TAPERING, _FORMED_MM = 1.15, 5.0
"""A little more tapering is no S1 either if there is a disc."""

_STEP_MM = 0.5
_REACH_MM = 45.0
_STRIP_MM = np.arange(-5.0, 5.1, 1.0)
"""Positions across the strip."""
_SEARCH_MM = (-2.0, 8.0)
"""Where the disc must begin, from the lower end of the mask of S1."""
_TURNS_DEG = (0.0, 10.0, 20.0, 30.0)
"""The sacrum turns to the back below S1, by how much is not known."""
_USUAL_TURNS_DEG = (0.0, 10.0, 20.0)
"""S1 itself turns less than the whole sacrum."""
_ENDS = (0.2, 0.8)
"""Where the widths of S1 are taken, in parts of its height."""
_BAND_PIXELS = 1.5
"""Half the height of the bands in which they are taken."""


def looks_mirrored(network: Network, slices: Floats, probabilities: Floats) -> bool:
    """Tell whether the network finds more of the sacrum when front and back of the images are exchanged.

    With a wrong orientation in the header the network still finds bodies, but names them wrongly.

    Parameters
    ----------
    network : Network
        The network that made the probabilities.
    slices : ndarray of float32, shape (slabs, rows, columns)
        The images.
    probabilities : ndarray of float32, shape (slabs, classes, rows, columns)
        What the network made of them.
    """
    spine = probabilities[:, [BODY, SACRUM, CANAL]].sum(axis=(1, 2, 3))
    middle = int(np.argmax(spine))
    turned = network.probabilities(rewindow(slices)[middle : middle + 1, :, ::-1])
    found, expected = (float(one[SACRUM].sum()) for one in (turned[0], probabilities[middle]))
    return found > _MIRRORED * expected + _NO_SACRUM


def looks_transitional(
    signal: Floats, found: FoundBodies, chain: Sequence[FoundBody], spacing_mm: Spacing
) -> bool:
    """Tell whether S1 may be a lumbarised vertebra, or the body above it a sacralised one.

    Such a vertebra is as large as the one above, and has a well-formed disc below it or hardly tapers. A dark
    L5 that was taken for S1 looks the same.

    Parameters
    ----------
    signal : ndarray of float32, shape (slabs, rows, columns)
        The images.
    found : FoundBodies
        What was found in them.
    chain : sequence of FoundBody
        The bodies from S1 upwards, at least two.
    spacing_mm : tuple of float
        Distance between slabs, rows and columns; equal for rows and columns.

    References
    ----------
    O'Driscoll et al., Skeletal Radiol 1996;25:225-230. Tokgoz et al., Korean J Radiol 2014;15:258-266.
    """
    sacrum = chain[0]
    size = sacrum.volume_mm3 / float(np.median([body.volume_mm3 for body in chain[1:4]]))
    if size < _NEARLY_SQUARE:
        return False
    mask = found.instances == sacrum.number
    slab = int(np.argmax(mask.sum(axis=(1, 2))))
    pixel_mm = spacing_mm[1]
    centres = [one.centre_mm[1:] / pixel_mm for one in chain]
    # The median over all levels, because a single body or disc may be diseased.
    marrow = np.median([_at(signal[slab], centre) for centre in centres])
    disc = np.median([_darkest_between(signal[slab], *pair) for pair in pairwise(centres)])
    limit = float(marrow + disc) / 2
    way = (centres[0], centres[1])
    disc_mm = _disc_below_mm(signal[slab], mask[slab], way, pixel_mm, limit)
    if size >= _SQUARE and disc_mm >= _WELL_FORMED_MM:
        return True
    return _tapering(mask[slab], way) <= (_FORMED_TAPERING if disc_mm >= _FORMED_MM else _TAPERING)


def _tapering(sacrum: npt.NDArray[np.bool_], way: tuple[Vector, Vector]) -> float:
    """Return the width of S1 near its upper end relative to that near its lower end.

    Parameters
    ----------
    sacrum : ndarray of bool, shape (rows, columns)
        The mask of S1 on one slice.
    way : pair of ndarray of shape (2,)
        Centres (row, column) of S1 and of the body above it, in pixels.

    Returns
    -------
    float
        The median over the directions that S1 usually takes.
    """
    points = np.argwhere(sacrum) - way[0]
    down = _angle(way)
    ratios = []
    for turn in np.radians(_USUAL_TURNS_DEG):
        axis = np.array([np.cos(down + turn), np.sin(down + turn)])
        along, across = points @ axis, points @ np.array([-axis[1], axis[0]])
        top, bottom = np.percentile(along, (1, 99))
        upper, lower = (top + part * (bottom - top) for part in _ENDS)
        ratios.append(_width(across, along, upper) / _width(across, along, lower))
    return float(np.median(ratios))


def _width(across: Vector, along: Vector, at: float) -> float:
    """Return how far the points at one place along the axis reach across it, in pixels."""
    band = across[np.abs(along - at) < _BAND_PIXELS]
    return float(np.ptp(band)) + 1.0 if len(band) else 1.0  # a mask of two parts may have a gap there


def _angle(way: tuple[Vector, Vector]) -> float:
    """Return the angle of the way from the body above to S1, from straight down to the back."""
    start, above = way
    return float(np.arctan2(start[1] - above[1], start[0] - above[0]))


def _at(signal: Floats, centre: Vector) -> float:
    """Return the median signal around the centre of a body."""
    row, column = (round(float(one)) for one in centre)
    around = signal[max(0, row - 4) : row + 5, max(0, column - 4) : column + 5]
    return float(np.median(around))


def _darkest_between(signal: Floats, lower: Vector, upper: Vector) -> float:
    """Return the signal of the disc between two bodies, at the tenth percentile of the way between them."""
    return float(np.percentile(ndimage.map_coordinates(signal, np.linspace(upper, lower, 60).T, order=1), 10))


def _disc_below_mm(
    signal: Floats,
    sacrum: npt.NDArray[np.bool_],
    way: tuple[Vector, Vector],
    pixel_mm: float,
    limit: float,
) -> float:
    """Measure the disc between S1 and S2.

    The signal is averaged over a strip that runs from the centre of S1 down the sacrum.

    Parameters
    ----------
    signal : ndarray of float32, shape (rows, columns)
        The slice through the middle of S1.
    sacrum : ndarray of bool, shape (rows, columns)
        The mask of S1 on this slice.
    way : pair of ndarray of shape (2,)
        Centres (row, column) of S1 and of the body above it, in pixels.
    pixel_mm : float
        Size of a pixel.
    limit : float
        The disc is darker than this.

    Returns
    -------
    float
        Thickness in mm, the least over the directions that the sacrum may take; 0 without a disc.
    """
    thicknesses = []
    for turn in np.radians(_TURNS_DEG):
        points = _strip(way[0], _angle(way) + turn, pixel_mm)
        profile = ndimage.map_coordinates(signal, points, order=1, mode="nearest").mean(axis=1)
        inside = ndimage.map_coordinates(sacrum.astype(np.float32), points, order=1).mean(axis=1) > 0.5
        thicknesses.append(_STEP_MM * _first_run(profile < limit, np.flatnonzero(inside)))
    return min(thicknesses)


def _strip(start: Vector, angle: float, pixel_mm: float) -> npt.NDArray[np.float64]:
    """Return the points (row, column) of a strip from `start` on, shape (2, along, across), in pixels."""
    along, across = np.meshgrid(np.arange(0.0, _REACH_MM, _STEP_MM), _STRIP_MM, indexing="ij")
    rows = along * np.cos(angle) - across * np.sin(angle)
    columns = along * np.sin(angle) + across * np.cos(angle)
    return np.stack([start[0] + rows / pixel_mm, start[1] + columns / pixel_mm])


def _first_run(dark: npt.NDArray[np.bool_], inside: npt.NDArray[np.int64]) -> int:
    """Return the number of steps of the first dark stretch that begins near the end of the mask."""
    if not len(inside):
        return 0
    first, last = (max(0, int(inside[-1]) + round(edge / _STEP_MM)) for edge in _SEARCH_MM)
    starts = np.flatnonzero(dark[first:last])
    if not len(starts):
        return 0
    stretch = dark[first + int(starts[0]) :]
    return len(stretch) if stretch.all() else int(np.argmin(stretch))
