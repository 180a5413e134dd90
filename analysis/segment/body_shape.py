"""What a vertebral body looks like from above, so that outlines stay true where single slices mislead.

A sagittal slice through the side of the bodies shows their rims, the discs, vessels and psoas in a row, and
one at a time these look like bodies too. From the middle slices, which do not mislead, depth and axis of each
body are known, and with them, within a few per cent, its breadth. So beside the middle the network's word is
weighed against that shape.

References
----------
Panjabi MM, Goel V, Oxland T, et al. Human lumbar vertebrae: quantitative three-dimensional anatomy. Spine
1992;17:299-306: endplates of cadavers, which the proportions here follow in round numbers. Living bodies
can be a tenth broader; a narrow prior was found to do less harm, because networks err outwards here.
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
"""Share of the breadth by which the sides draw in at half height."""
_ROUNDNESS = 2.6
"""Exponent of the superellipse: 2 is an ellipse, more is a box with rounded corners."""
_SPARE_MM = 2.0
"""Added to the depth in front and behind: lips and the posterior corners."""
_MIDDLE_MM = 10.0
_EVIDENCE = 0.002
"""Weight of one mm³ of the network's log odds against the prior of breadth and centre."""
_STEEPNESS = 1.5
"""Log odds taken for every mm beyond the shape."""
_STRANGENESS = 1.5
"""Log odds taken for every standard deviation beyond `_USUAL` that a signal is off the body's own."""
_USUAL = 2.0
_LEAST_SPREAD = 0.1
_GRAIN_MM = 1.2
"""Signals are smoothed by this before they are compared, so that noise and trabeculae do not count."""
_FREE, _BOUND = 0.45, 0.70
"""Shares of half the breadth: nearer the network alone decides, further out the shape has its full say."""


@dataclass(frozen=True, slots=True, eq=False)
class BodyShape:
    """One body in a frame of its own.

    Attributes
    ----------
    centre_mm : ndarray of shape (3,)
        Along slabs, rows and columns.
    upwards : ndarray of shape (2,)
        Unit vector (rows, columns) along the spine.
    depth_mm, height_mm, breadth_mm : float
        From front to back, along the spine, and from side to side.
    """

    centre_mm: Vector
    upwards: Vector
    depth_mm: float
    height_mm: float
    breadth_mm: float

    def reach(self, rows_mm: Vector, columns_mm: Vector) -> Vector:
        """Half of the breadth at places of the sagittal plane, over the whole breadth: 0 to 0.5."""
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
    """Find the shape that agrees best with the network and with what is known of that level.

    Parameters
    ----------
    level : Level
        Which; decides the usual breadth.
    mask : ndarray of bool, shape (slabs, rows, columns)
        The body as the network has it.
    bone : ndarray of float32, same shape
        Probability of body or sacrum.
    upwards : ndarray of shape (2,)
        Unit vector (rows, columns) along the spine.
    middle_mm : float
        Where the spine's middle lies at this level, in mm from the first slab.
    spacing_mm : tuple of float
        Between slabs, rows and columns.
    """
    slabs, rows, columns = np.nonzero(mask)
    lateral = slabs * spacing_mm[0]
    # A single slice, or a stack that misses the middle, has to do with what it shows.
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
    """Vary breadth and lateral place of a shape: log odds inside it, less how unusual it is."""
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
    """Lower the probability of bone where it lies beyond the body that claims it, or does not look like it.

    Parameters
    ----------
    bone : ndarray of float32, shape (slabs, rows, columns)
        Probability of body or sacrum.
    owner : ndarray of int, same shape
        Number of the body that claims a voxel, 0 for none.
    shapes : dict of int to BodyShape
        By that number; bodies without one keep what they have.
    signal : ndarray of float32, same shape
        The image.
    spacing_mm : tuple of float
        Between slabs, rows and columns.
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
    """How far signals lie outside the usual of a body's own middle, in its standard deviations."""
    if not central.any():
        return np.zeros(signal.shape)
    usual = float(np.median(signal[central]))
    spread = max(1.4826 * float(np.median(np.abs(signal[central] - usual))), _LEAST_SPREAD * abs(usual), 1e-9)
    return np.asarray(np.clip(np.abs(signal - usual) / spread - _USUAL, 0.0, 4.0))
