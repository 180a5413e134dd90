"""Quality of each outlined body, and the concerns that lower it.

Shapes are measured in a frame that follows the spine: "up" is the direction through the centres of the
neighbouring bodies, so that a tilted L5 has the same height as an upright one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.reason import Reason
from analysis.domain.segmentation import CRANIAL_TO_CAUDAL, Level
from analysis.domain.volume import volume_ml
from analysis.segment.instances import FoundBody

__all__ = [
    "USABLE_FROM",
    "BodyAssessment",
    "Shape",
    "assess",
    "crowding",
    "expected_overlap",
    "measure_shape",
]

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

USABLE_FROM = 0.5
"""Quality from which features may be taken."""

_SMALLEST_ML, _LARGEST_ML = 8.0, 80.0
_LOW_HEIGHT = 0.75
"""Height over that of the other bodies below which a fracture is possible (Genant grade 1: 20 to 25 %)."""

_VOLUME_RATIO = (0.62, 1.8)
"""Plausible volume relative to the neighbours; an outline that includes part of a neighbour is larger."""

_ACROSS, _BESIDE_MM = 1e3, 6.0
"""Probability this far beside an outline counts against it, but only within the same slice."""

_LEAST_STEP_MM, _LEAST_STEP_WITHOUT_SACRUM_MM = 25.0, 28.0
_LEAST_DEPTH_MM, _LEAST_HEIGHT_MM = 22.0, 15.0
"""Lumbar bodies of adults are 28 to 40 mm deep and 24 to 32 mm high; a collapsed one keeps its depth."""

_EXPECTED = (0.82, 0.95)
"""Expected overlap that gives a quality of 0, and that from which it gives 1."""

_BLURRED = 0.65

_VOID_SHARE = 0.06
_VOID_SIGNAL = 0.2


@dataclass(frozen=True, slots=True)
class Shape:
    """Dimensions of one body.

    Attributes
    ----------
    volume_ml : float
        Volume of its mask.
    anterior_mm, middle_mm, posterior_mm : float
        Heights of the front, middle and back third on the middle slices.
    depth_mm : float
        Extent from front to back on the middle slices.
    width_mm : float
        Extent from side to side; too small if the slices do not reach its sides.
    agreement : float
        Median Dice of adjacent slices' masks around the middle, 0 to 1.
    side_ratio : float
        Volume of the smaller side over that of the larger one, split at the middle of the width.
    expected_overlap : float
        The result of `expected_overlap`; 1 for outlines without probabilities.
    """

    volume_ml: float
    anterior_mm: float
    middle_mm: float
    posterior_mm: float
    depth_mm: float
    width_mm: float
    agreement: float
    side_ratio: float
    expected_overlap: float = 1.0

    @property
    def height_mm(self) -> float:
        """Mean of the three heights."""
        return (self.anterior_mm + self.middle_mm + self.posterior_mm) / 3


@dataclass(frozen=True, slots=True)
class BodyAssessment:
    """Quality of one body; the attributes are those of `Region`."""

    quality: float
    usable: bool
    concerns: tuple[Reason, ...]

    def lowered(self, reason: Reason, factor: float = 0.3) -> "BodyAssessment":
        """Return the assessment with one more concern, which multiplies the quality by `factor`."""
        quality = factor * self.quality
        return BodyAssessment(quality, quality >= USABLE_FROM, (*self.concerns, reason))


def measure_shape(
    mask: Mask, upwards: npt.NDArray[np.float64], spacing_mm: tuple[float, float, float]
) -> Shape:
    """Measure one body.

    Parameters
    ----------
    mask : ndarray of bool, shape (slabs, rows, columns)
        Its voxels.
    upwards : ndarray of shape (2,)
        Unit vector (rows, columns) along the spine.
    spacing_mm : tuple of float
        Distance between slabs, rows and columns.
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
        volume_ml=volume_ml(mask, spacing_mm),
        anterior_mm=heights[0],
        middle_mm=heights[1],
        posterior_mm=heights[2],
        depth_mm=depth,
        width_mm=len(shown) * spacing_mm[0],
        agreement=float(np.median(inner)) if inner else 1.0,
        side_ratio=min(left, right) / max(left, right, 1.0),
    )


def expected_overlap(bone: Floats, mask: Mask, others: Mask) -> float:
    """Estimate the Dice of an outline from the network's probabilities, taken as calibrated.

    An uncertain border has intermediate probabilities on both sides, which lower the estimate as they lower
    the true Dice.

    Parameters
    ----------
    bone : ndarray of float32, shape (slabs, rows, columns)
        Probability of bone, at 1 mm in plane.
    mask : ndarray of bool
        The outlined body.
    others : ndarray of bool
        The other bodies, whose bone does not count.
    """
    box = next(iter(ndimage.find_objects(mask.astype(np.uint8))), None)
    if box is None:
        return 0.0
    wide = tuple(
        slice(max(0, part.start - by), part.stop + by) for part, by in zip(box, (1, 8, 8), strict=True)
    )
    own = mask[wide]
    away = ndimage.distance_transform_edt(~own, sampling=(_ACROSS, 1.0, 1.0))
    near = bone[wide][(away <= _BESIDE_MM) & ~others[wide]]
    return 2.0 * float(bone[mask].sum()) / (float(near.sum()) + float(mask.sum()))


def crowding(centres_mm: Mapping[Level, npt.NDArray[np.float64]]) -> Reason | None:
    """Tell whether the bodies lie too close together to be lumbar.

    The centres of neighbouring bodies are 30 to 40 mm apart in the adult lumbar spine, 22 to 30 mm in the
    thoracic spine, and less than 20 mm in the neck. Without the sacrum in view nothing else tells them apart.

    Parameters
    ----------
    centres_mm : mapping of Level to ndarray of shape (3,)
        Centres of all bodies.

    Returns
    -------
    Reason or None
        The concern, or None if the distances are plausible.
    """
    row = [centres_mm[level] for level in CRANIAL_TO_CAUDAL if level in centres_mm and level is not Level.S1]
    if len(row) < 2:
        return None
    step = float(np.median([np.linalg.norm(below - above) for above, below in pairwise(row)]))
    least = _LEAST_STEP_MM if Level.S1 in centres_mm else _LEAST_STEP_WITHOUT_SACRUM_MM
    if step >= least:
        return None
    return Reason("bodies_crowded", step_mm=step)


def _dice(one: Mask, other: Mask) -> float:
    total = float(one.sum() + other.sum())
    return 2.0 * float((one & other).sum()) / total if total else 0.0


def _thirds(
    slabs: Mask, upwards: npt.NDArray[np.float64], spacing_mm: tuple[float, float, float]
) -> tuple[tuple[float, float, float], float]:
    """Return the mean height of the front, middle and back third, and the depth, in mm."""
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


def assess(
    level: Level, body: FoundBody, shapes: dict[Level, Shape], signal: Floats, typical_signal: float
) -> BodyAssessment:
    """Assess one body: its quality, and the concerns that lower it.

    Parameters
    ----------
    level : Level
        Level of the body.
    body : FoundBody
        The body as the segmenter found it.
    shapes : dict of Level to Shape
        Shapes of all bodies, to compare with the neighbours.
    signal : ndarray of float32
        Image values inside its outline, holes included.
    typical_signal : float
        Median signal over all bodies.
    """
    faults = _outline_faults(body, shapes[level])
    if level is not Level.S1:
        faults += _deformity(level, shapes)
    void = float(np.mean(signal < _VOID_SIGNAL * typical_signal)) if len(signal) else 1.0
    if void > _VOID_SHARE:
        faults.append((0.4, Reason("signal_void")))
    quality = float(np.prod([factor for factor, _ in faults])) if faults else 1.0
    quality *= min(1.0, body.certainty / 0.9) * _sharpness(shapes[level].expected_overlap)
    return BodyAssessment(quality, quality >= USABLE_FROM, tuple(reason for _, reason in faults))


def _sharpness(expected: float) -> float:
    """Map the expected overlap to a quality factor; 1 at the Dice between manual outlines."""
    worst, best = _EXPECTED
    return float(np.clip((expected - worst) / (best - worst), 0.0, 1.0))


def _outline_faults(body: FoundBody, shape: Shape) -> list[tuple[float, Reason]]:
    """List the concerns about one outline by itself, each with its quality factor."""
    faults: list[tuple[float, Reason]] = []
    if body.certainty < 0.8:
        faults.append((max(0.0, (body.certainty - 0.5) / 0.3), Reason("outline_uncertain")))
    elif _sharpness(shape.expected_overlap) < _BLURRED:
        faults.append((1.0, Reason("border_uncertain")))
    if not _SMALLEST_ML <= shape.volume_ml <= _LARGEST_ML:
        faults.append((0.4, Reason("volume_implausible", volume_ml=shape.volume_ml)))
    if shape.depth_mm < _LEAST_DEPTH_MM or shape.height_mm < _LEAST_HEIGHT_MM:
        reason = Reason("body_too_small", depth_mm=shape.depth_mm, height_mm=shape.height_mm)
        faults.append((0.4, reason))
    if body.touches_edge:
        faults.append((0.4, Reason("touches_edge")))
    if shape.agreement < 0.8:
        faults.append((max(0.2, shape.agreement), Reason("slices_disagree")))
    if shape.side_ratio < 0.4 and shape.width_mm > 30:
        faults.append((0.7, Reason("sides_unequal")))
    return faults


def _odd_volume(level: Level, shapes: dict[Level, Shape]) -> list[tuple[float, Reason]]:
    """Compare the volume with two bodies on either side; neighbours usually differ by about a tenth."""
    order: list[Level] = [one for one in CRANIAL_TO_CAUDAL if one in shapes and one != Level.S1]
    at = order.index(level)
    beside = [shapes[one].volume_ml for one in order[max(0, at - 2) : at + 3] if one is not level]
    ratio = shapes[level].volume_ml / float(np.median(beside)) if beside else 1.0
    if _VOLUME_RATIO[0] < ratio < _VOLUME_RATIO[1]:
        return []
    return [(0.5, Reason("volume_of_neighbours", percent=100 * ratio))]


def _genant(loss_percent: float) -> int:
    """Grade a loss of height as Genant et al. do (J Bone Miner Res 1993;8:1137-1148)."""
    return 3 if loss_percent > 40 else 2 if loss_percent > 25 else 1


def _deformity(level: Level, shapes: dict[Level, Shape]) -> list[tuple[float, Reason]]:
    """List the concerns about height, depth and volume relative to the other bodies."""
    shape = shapes[level]
    others = [other for name, other in shapes.items() if name not in {level, Level.S1}]
    faults = []
    if len(others) >= 2:
        usual = float(np.median([max(one.anterior_mm, one.posterior_mm) for one in others]))
        lowest = min(shape.anterior_mm, shape.middle_mm, shape.posterior_mm)
        if level is Level.L5:
            # The posterior wall of a normal L5 is lower than its anterior one.
            lowest = min(shape.anterior_mm, shape.middle_mm)
        if lowest < _LOW_HEIGHT * usual:
            loss = 100 * (1 - lowest / usual)
            faults.append((0.45, Reason("height_loss", percent=loss, grade=_genant(loss))))
        depths = float(np.median([one.depth_mm for one in others]))
        if not 0.75 < shape.depth_mm / depths < 1.33:
            faults.append((0.45, Reason("depth_implausible")))
        faults += _odd_volume(level, shapes)
    return faults
