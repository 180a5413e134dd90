"""How the shading of the coil changes the ratio of marrow to fluid.

The sensitivity of a coil under the back falls towards the front, and the bodies lie in front of the fluid
that their signal is divided by. The marrow of one body is the same tissue in front and behind, so the slope
of its signal is taken for that of the coil, and it is continued to the fluid, a few centimetres behind. Along
the spine the bodies are compared with each other. Where the slope ends behind the body, as on T2 with
saturated signal in front, the estimate is too large. Figures: docs/decisions/0016-shading-is-told.md.
"""

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Volume
from analysis.measurement.midsagittal import mid_body

__all__ = ["BORDER_MM", "MINIMUM_PIXELS", "shading_of_ratio"]

Floats = npt.NDArray[np.float64]

BORDER_MM = 3.0
"""Margin of a body that is left out: cortex, endplate and their partial volume."""
MINIMUM_PIXELS = 20

_BACK, _UP = 1, 2
_FEWEST_AT_DEPTH, _FEWEST_DEPTHS = 5, 5
"""Pixels at a depth (whole mm from front to back) from which it counts, and depths that a slope needs."""


def shading_of_ratio(volume: Volume, segmentation: Segmentation, scored: tuple[Level, ...]) -> float | None:
    """Estimate by what factor shading has changed the ratio of the marrow of some bodies to the fluid at L3.

    Parameters
    ----------
    volume : Volume
        A sagittal series.
    segmentation : Segmentation
        Its labelled bodies and fluid, on the same grid.
    scored : tuple of Level
        The bodies whose median signal is divided by that of the fluid.

    Returns
    -------
    float or None
        0.8 if the ratio is 20 % too low, 1 without shading; None without fluid, or if all bodies are too
        short.
    """
    usable = [region.level for region in segmentation.usable_lumbar]
    bodies = {level: _logarithms(volume, segmentation, level) for level in usable}
    bodies = {level: body for level, body in bodies.items() if len(body[0]) >= MINIMUM_PIXELS}
    centres = {level: positions.mean(axis=0) for level, (_, positions) in bodies.items()}
    wanted = [centres[level] for level in scored if level in centres]
    if not wanted or segmentation.csf is None or not segmentation.csf.part.mask.any():
        return None
    fluid = volume.grid.to_mm(segmentation.csf.part.indices).mean(axis=0)
    offset = np.median(wanted, axis=0) - fluid
    # The median leaves out bodies with another tissue at one end.
    slopes = [slope for body in bodies.values() if np.isfinite(slope := _slope(*body))]
    if not slopes:
        return None
    slope = float(np.median(slopes))
    medians = [
        float(np.median(signal)) - slope * centres[level][_BACK] for level, (signal, _) in bodies.items()
    ]
    heights = [centre[_UP] for centre in centres.values()]
    along = float(stats.theilslopes(medians, heights).slope) if len(bodies) > 1 else 0.0
    return float(np.exp(slope * offset[_BACK] + along * offset[_UP]))


def _logarithms(volume: Volume, segmentation: Segmentation, level: Level) -> tuple[Floats, Floats]:
    """Return the logarithms of the signal in the middle of a body, and their positions in mm."""
    body = mid_body(segmentation, level, border_mm=BORDER_MM)
    inside = body & (volume.voxels[body.box] > 0.0)
    return np.log(volume.values(inside).astype(np.float64)), volume.grid.to_mm(inside.indices)


def _slope(signal: Floats, positions: Floats) -> float:
    """Return the slope of the logarithm towards the back of one body, per mm; NaN in a body too short for it.

    Medians at each depth and the slope of Theil and Sen leave out spots and streaks.
    """
    depth = np.rint(positions[:, _BACK])
    depths, counts = np.unique(depth, return_counts=True)
    depths = depths[counts >= _FEWEST_AT_DEPTH]
    if len(depths) < _FEWEST_DEPTHS:
        return float("nan")
    return float(stats.theilslopes([np.median(signal[depth == one]) for one in depths], depths).slope)
