"""How far each outlined body can be trusted, and why not further.

Shapes are measured on the network's grid, in a frame that follows the spine: "up" is the line through the
centres of the neighbours, so that a tilted L5 has the same height as an upright one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.domain.segmentation import Level
from analysis.segment.instances import Body

__all__ = ["USABLE_FROM", "Shape", "Verdict", "judge", "measure_shape"]

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

USABLE_FROM = 0.5
"""Quality from which features may be taken."""

_SMALLEST_ML, _LARGEST_ML = 8.0, 80.0
_LOW_HEIGHT = 0.75
"""Height over the others' below which a body looks fractured; Genant's grade 1 is a loss of 20 to 25 %."""

_VOID_SHARE = 0.06
_VOID_SIGNAL = 0.2


@dataclass(frozen=True, slots=True)
class Shape:
    """What a body measures.

    Attributes
    ----------
    volume_ml : float
        Of its mask.
    anterior_mm, middle_mm, posterior_mm : float
        Heights of the front, middle and back third on the middle slices.
    depth_mm : float
        From front to back on the middle slices.
    width_mm : float
        From side to side; short when slices do not reach its sides.
    agreement : float
        Dice of neighbouring slices' masks in its middle, 0 to 1.
    side_ratio : float
        Volume of the smaller side over the larger one's, parted at the middle of its width.
    """

    volume_ml: float
    anterior_mm: float
    middle_mm: float
    posterior_mm: float
    depth_mm: float
    width_mm: float
    agreement: float
    side_ratio: float

    @property
    def height_mm(self) -> float:
        """Mean of the three heights."""
        return (self.anterior_mm + self.middle_mm + self.posterior_mm) / 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """Quality of one body, as `Region` has it."""

    quality: float
    usable: bool
    concerns: tuple[str, ...]


def measure_shape(
    mask: Mask, upwards: npt.NDArray[np.float64], spacing_mm: tuple[float, float, float]
) -> Shape:
    """Measure one body.

    Parameters
    ----------
    mask : ndarray of bool, shape (slabs, rows, columns)
        Its voxels on the network's grid.
    upwards : ndarray of shape (2,)
        Unit vector (rows, columns) along the spine.
    spacing_mm : tuple of float
        Between slabs, rows and columns.
    """
    areas = mask.sum(axis=(1, 2))
    shown = np.flatnonzero(areas)
    middle = round(float((areas @ np.arange(len(areas))) / areas.sum()))
    reach = int(6.0 // spacing_mm[0])
    heights, depth = _thirds(mask[max(0, middle - reach) : middle + reach + 1], upwards, spacing_mm)
    inner = [
        _dice(mask[number], mask[number + 1])
        for number in range(shown[0], shown[-1])
        if abs(number + 0.5 - middle) * spacing_mm[0] < 12
    ]
    left, right = float(areas[:middle].sum()), float(areas[middle + 1 :].sum())
    return Shape(
        volume_ml=float(areas.sum()) * float(np.prod(spacing_mm)) / 1000,
        anterior_mm=heights[0],
        middle_mm=heights[1],
        posterior_mm=heights[2],
        depth_mm=depth,
        width_mm=len(shown) * spacing_mm[0],
        agreement=float(np.median(inner)) if inner else 1.0,
        side_ratio=min(left, right) / max(left, right, 1.0),
    )


def _dice(one: Mask, other: Mask) -> float:
    total = float(one.sum() + other.sum())
    return 2.0 * float((one & other).sum()) / total if total else 0.0


def _thirds(
    slabs: Mask, upwards: npt.NDArray[np.float64], spacing_mm: tuple[float, float, float]
) -> tuple[tuple[float, float, float], float]:
    """Mean height of the front, middle and back third, and the depth, in mm."""
    numbers, rows, columns = np.nonzero(slabs)
    backwards = np.array([-upwards[1], upwards[0]])
    if backwards[1] < 0:
        backwards = -backwards
    across = rows * spacing_mm[1] * backwards[0] + columns * spacing_mm[2] * backwards[1]
    front, back = np.percentile(across, [2.0, 98.0])
    depth = float(back - front)
    edges = np.linspace(front, back, 4)
    slices = len(np.unique(numbers))
    pixel = spacing_mm[1] * spacing_mm[2]
    counts, _ = np.histogram(across, edges)
    heights = counts * pixel / max(slices * depth / 3, pixel)
    return (float(heights[0]), float(heights[1]), float(heights[2])), depth


def judge(
    level: Level, body: Body, shapes: dict[Level, Shape], signal: Floats, typical_signal: float
) -> Verdict:
    """Weigh all that speaks against a body.

    Parameters
    ----------
    level : Level
        Which.
    body : Body
        As the network found it.
    shapes : dict of Level to Shape
        Of all bodies, so that neighbours can be compared.
    signal : ndarray of float32
        Image values inside its outline, holes included.
    typical_signal : float
        Median over all bodies.
    """
    shape = shapes[level]
    faults: list[tuple[float, str]] = []
    if body.certainty < 0.8:
        faults.append((max(0.0, (body.certainty - 0.5) / 0.3), "the outline is uncertain"))
    if not _SMALLEST_ML <= shape.volume_ml <= _LARGEST_ML:
        faults.append((0.4, f"an implausible volume of {shape.volume_ml:.0f} ml"))
    if body.touches_edge:
        faults.append((0.4, "touches the edge of the image"))
    if shape.agreement < 0.8:
        faults.append((max(0.2, shape.agreement), "neighbouring slices disagree"))
    if shape.side_ratio < 0.4 and shape.width_mm > 30:
        faults.append((0.7, "the sides are unequal; scoliosis or rotation is possible"))
    if level is not Level.S1:
        faults += _deformity(level, shapes)
    void = float(np.mean(signal < _VOID_SIGNAL * typical_signal)) if len(signal) else 1.0
    if void > _VOID_SHARE:
        faults.append((0.4, "signal voids inside the body; metal is possible"))
    quality = float(np.prod([factor for factor, _ in faults])) if faults else 1.0
    quality *= min(1.0, body.certainty / 0.9)
    return Verdict(quality, quality >= USABLE_FROM, tuple(words for _, words in faults))


def _deformity(level: Level, shapes: dict[Level, Shape]) -> list[tuple[float, str]]:
    """Height loss against the other bodies and within the body."""
    shape = shapes[level]
    others = [other for name, other in shapes.items() if name not in {level, Level.S1}]
    faults = []
    if len(others) >= 2:
        usual = float(np.median([max(one.anterior_mm, one.posterior_mm) for one in others]))
        lowest = min(shape.anterior_mm, shape.middle_mm, shape.posterior_mm)
        if lowest < _LOW_HEIGHT * usual and level is not Level.L5:
            faults.append((0.45, "fracture-like height loss"))
        elif level is Level.L5 and min(shape.anterior_mm, shape.middle_mm) < _LOW_HEIGHT * usual:
            # The posterior wall of a normal L5 is lower than its anterior one.
            faults.append((0.45, "fracture-like height loss"))
        depths = float(np.median([one.depth_mm for one in others]))
        if not 0.7 < shape.depth_mm / depths < 1.4:
            faults.append((0.6, "an implausible depth beside its neighbours"))
    return faults
