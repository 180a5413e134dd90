"""A shape prior for vertebral bodies, applied on lateral slices, where the network is least reliable.

A sagittal slice through the side of the bodies shows rims of bodies, discs, vessels and psoas, and on a
single slice each of these can look like a body. The middle slices give the depth and the axis of each body,
and the breadth follows from the depth within a few per cent. Away from the middle the network's probability
is therefore combined with that shape.

References
----------
Panjabi MM, Goel V, Oxland T, et al. Human lumbar vertebrae: quantitative three-dimensional anatomy. Spine
1992;17:299-306: endplates of cadavers, whose proportions are used here in round numbers. Living bodies can
be a tenth broader; the narrower prior gave better results, because the network's errors lie outside the body.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.segmentation import Level

__all__ = ["BodyShape", "fit_shape", "restrain"]

Floats = npt.NDArray[np.float32]
Vector = npt.NDArray[np.floating[Any]]

_BREADTH_OVER_DEPTH = {
    Level.T11: 1.17,
    Level.T12: 1.20,
    Level.L1: 1.22,
    Level.L2: 1.27,
    Level.L3: 1.31,
    Level.L4: 1.38,
    Level.L5: 1.42,
}
_BREADTH_SD = 0.07
_CENTRE_SD_MM = 2.5
_WAIST = 0.16
"""Fraction of the breadth that is missing at half height."""
_ROUNDNESS = 2.6
"""Exponent of the superellipse: 2 is an ellipse, larger values approach a box."""
_SPARE_MM = 2.0
"""Added to the depth in front and behind, for osteophytes and the posterior corners."""
_MIDDLE_MM = 10.0
_EVIDENCE = 0.002
"""Weight of the network's log odds in 1 mm³ relative to the prior of breadth and centre."""
_STEEPNESS = 0.5
"""Log odds subtracted for every mm outside the shape."""
_STRANGENESS = 1.5
"""Log odds subtracted for every SD beyond `_USUAL` by which a signal differs from the middle of the body."""
_USUAL = 2.0
_LEAST_SPREAD = 0.1
_GRAIN_MM = 1.2
"""Standard deviation of the smoothing before signals are compared, which removes noise and trabeculae."""
_FREE, _BOUND = 0.45, 0.70
"""Fractions of half the breadth: inside the first the network alone decides, outside the second the prior has
its full weight."""


@dataclass(frozen=True, slots=True, eq=False)
class BodyShape:
    """Position and size of one body.

    Attributes
    ----------
    centre_mm : ndarray of shape (3,)
        Centre along slabs, rows and columns.
    upwards : ndarray of shape (2,)
        Unit vector (rows, columns) along the spine.
    depth_mm, height_mm, breadth_mm : float
        Extent from front to back, along the spine, and from side to side.
    """

    centre_mm: Vector
    upwards: Vector
    depth_mm: float
    height_mm: float
    breadth_mm: float

    def reach(self, rows_mm: Vector, columns_mm: Vector) -> Vector:
        """Return half the breadth at points of the sagittal plane, over `breadth_mm` (0 to 0.5)."""
        down, right = rows_mm - self.centre_mm[1], columns_mm - self.centre_mm[2]
        up = down * self.upwards[0] + right * self.upwards[1]
        back = right * self.upwards[0] - down * self.upwards[1]
        along = np.clip(np.abs(back) / (self.depth_mm / 2 + _SPARE_MM), 0.0, 1.0)
        level = np.clip(np.abs(up) / (self.height_mm / 2), 0.0, 1.0)
        waist = 1.0 - _WAIST * (1.0 - level**2)
        return np.asarray(0.5 * waist * (1.0 - along**_ROUNDNESS) ** (1.0 / _ROUNDNESS))


def fit_shape(
    level: Level,
    mask: npt.NDArray[np.bool_],
    bone: Floats,
    *,
    upwards: Vector,
    middle_mm: float,
    spacing_mm: tuple[float, float, float],
) -> BodyShape:
    """Fit the shape that best agrees with the network and with the usual proportions of that level.

    Parameters
    ----------
    level : Level
        Level of the body, which gives the usual breadth.
    mask : ndarray of bool, shape (slabs, rows, columns)
        The body as the network found it.
    bone : ndarray of float32, same shape
        Probability of body or sacrum.
    upwards : ndarray of shape (2,)
        Unit vector (rows, columns) along the spine.
    middle_mm : float
        Lateral position of the spine at this level, in mm from the first slab.
    spacing_mm : tuple of float
        Distance between slabs, rows and columns.
    """
    slabs, rows, columns = np.nonzero(mask)
    lateral = slabs * spacing_mm[0]
    # For a single slice, or a stack that misses the middle, the nearest slices take its place.
    central = np.abs(lateral - middle_mm) <= max(_MIDDLE_MM, float(np.abs(lateral - middle_mm).min()) + 0.1)
    down, right = rows[central] * spacing_mm[1], columns[central] * spacing_mm[2]
    along = down * upwards[0] + right * upwards[1]
    back = right * upwards[0] - down * upwards[1]
    (low, high), (front, rear) = (np.percentile(one, [2.0, 98.0]) for one in (along, back))
    up, behind = (low + high) / 2, (front + rear) / 2
    depth = float(rear - front)
    shape = BodyShape(
        centre_mm=np.array(
            [middle_mm, up * upwards[0] - behind * upwards[1], up * upwards[1] + behind * upwards[0]]
        ),
        upwards=upwards,
        depth_mm=depth,
        height_mm=float(high - low),
        breadth_mm=_BREADTH_OVER_DEPTH[level] * depth,
    )
    reach = shape.reach(rows * spacing_mm[1], columns * spacing_mm[2])
    chance = np.clip(bone[slabs, rows, columns], 1e-4, 1.0 - 1e-4)
    odds = np.log(chance / (1.0 - chance))
    weights = np.clip(odds, -3.0, 3.0) * float(np.prod(spacing_mm)) * _EVIDENCE
    return _likeliest(shape, lateral, reach, weights)


def _likeliest(shape: BodyShape, lateral: Vector, reach: Vector, weights: Vector) -> BodyShape:
    """Vary breadth and lateral position; maximise the log odds inside the shape plus the log prior."""
    best, chosen = -np.inf, (shape.breadth_mm, float(shape.centre_mm[0]))
    for unusual in np.linspace(-2.0, 2.0, 9):
        breadth = shape.breadth_mm * np.exp(unusual * _BREADTH_SD)
        for aside in np.linspace(-2.0, 2.0, 9):
            middle = shape.centre_mm[0] + aside * _CENTRE_SD_MM
            inside = np.abs(lateral - middle) < breadth * reach
            likelihood = float(weights[inside].sum()) - (unusual**2 + aside**2) / 2
            if likelihood > best:
                best, chosen = likelihood, (float(breadth), float(middle))
    centre = np.array([chosen[1], *shape.centre_mm[1:]])
    return BodyShape(centre, shape.upwards, shape.depth_mm, shape.height_mm, chosen[0])


def restrain(
    bone: Floats,
    owner: npt.NDArray[np.integer],
    shapes: dict[int, BodyShape],
    signal: Floats,
    spacing_mm: tuple[float, float, float],
) -> Floats:
    """Lower the probability of bone outside the shape of its body, and where the signal is unlike the body's.

    Parameters
    ----------
    bone : ndarray of float32, shape (slabs, rows, columns)
        Probability of body or sacrum.
    owner : ndarray of int, same shape
        Number of the body that a voxel is assigned to, 0 for none.
    shapes : dict of int to BodyShape
        Shapes by that number; bodies without a shape are left unchanged.
    signal : ndarray of float32, same shape
        The image.
    spacing_mm : tuple of float
        Distance between slabs, rows and columns.
    """
    restrained = bone.copy()
    smooth = ndimage.gaussian_filter(signal, [0.0, *(_GRAIN_MM / step for step in spacing_mm[1:])])
    for number, shape in shapes.items():
        where = np.nonzero(owner == number)
        slabs, rows, columns = where
        aside = np.abs(slabs * spacing_mm[0] - shape.centre_mm[0])
        given = bone[where].astype(np.float64)
        beyond = aside - shape.breadth_mm * shape.reach(rows * spacing_mm[1], columns * spacing_mm[2])
        fall = _STEEPNESS * np.clip(beyond, 0.0, 12.0)
        fall += _STRANGENESS * _strange(smooth[where], (aside < _MIDDLE_MM) & (given > 0.8))
        say = np.clip((aside / (shape.breadth_mm / 2) - _FREE) / (_BOUND - _FREE), 0.0, 1.0)
        restrained[where] = given / (given + (1.0 - given) * np.exp(say * fall))
    return restrained


def _strange(signal: Vector, central: npt.NDArray[np.bool_]) -> Vector:
    """Return by how many standard deviations beyond `_USUAL` signals differ from the middle of the body."""
    if not central.any():
        return np.zeros(signal.shape)
    usual = float(np.median(signal[central]))
    spread = max(1.4826 * float(np.median(np.abs(signal[central] - usual))), _LEAST_SPREAD * abs(usual), 1e-9)
    return np.asarray(np.clip(np.abs(signal - usual) / spread - _USUAL, 0.0, 4.0))
