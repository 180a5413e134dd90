"""Places inside a body whose signal is not that of ordinary marrow, and bodies unlike all others.

Changes beside an endplate, haemangiomas, islands of fat, metastases and oedema have a signal that does not
follow from the density of the bone. Only their signal is judged here; it is told as what it is, a bright or
dark region, and never as a diagnosis. A body with such a region is left out of scores and predictions.

Marrow varies over a whole spine by the shading of the coil and by its share of fat, and both are smooth. So a
place counts only against its own body, after a slope that all bodies share, and only if it departs by more
than the marrow of this patient is uneven. What is normal is not looked at: the border of the body, outer
slices that cut its waist, and the entry of the basivertebral vein.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage, stats

from analysis.domain.reason import Reason
from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Grid, Volume
from analysis.measurement.marrow import Marrow, marrow_of

__all__ = ["FocalRegion", "focal_reasons", "focal_regions", "left_out", "unlike_neighbours"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


_VEIN_HEIGHT, _VEIN_DEPTH, _VEIN_MM = 0.36, 0.40, 9.0
"""The entry of the basivertebral vein: share of the half height around the middle, share of the depth from
the posterior wall, and distance from the middle of the width."""

_STEEPEST = np.array([0.15, 0.30])
"""Steepest shading that is taken off: natural logarithm per half the height and half the depth. What is
steeper is no shading of a coil, but a change that most bodies have at the same endplate."""
_LEAST_CHANGE = {1: 0.22, -1: 0.30}
"""Least departure (natural logarithm of the signal), bright and dark."""
_CORE_CHANGE = {1: 0.28, -1: 0.36}
_CORE = 0.75
"""Departure that the most marked quarter of a region must reach."""
_SPREADS = 3.0
"""Least departure in standard deviations of the marrow of this patient."""
_MOST_ALIKE = 0.4
"""Share of the marrow of a body that counts as usual."""
_LEAST_MM = 5.0
"""Least diameter of the disc with the area of a region on one slice."""
_STRIP_MM = 4.0
"""Least width."""
_WALL = 0.3
"""Share of half the depth beside the front and back walls where dark regions are not looked for: an outline
that passes outside a waist has the dark wall inside."""
_LEAST_SHARE = 0.04
_LARGE_SHARE = 0.06
"""Share of a slice from which one slice is enough, if slices are thick."""
_THICK_MM = 3.0
_LEAST_ML = 0.15

_UNLIKE = 0.45
"""Departure of a whole body from what the other bodies let expect (natural logarithm)."""
_FEWEST_OTHERS = 3

_LOWERED = 0.3
"""Factor of the quality, as for any other concern that makes a body unusable."""


@dataclass(frozen=True, slots=True)
class FocalRegion:
    """A connected place inside one body that departs from its marrow.

    Attributes
    ----------
    level : Level
        The body.
    bright : bool
        Whether it is brighter than the marrow, or darker.
    volume_ml : float
        Its volume; slices count as thick as their distance.
    change : float
        Median signal relative to that of the body, minus 1.
    place : str
        Code of the reason that says where it lies.
    """

    level: Level
    bright: bool
    volume_ml: float
    change: float
    place: str

    @property
    def reason(self) -> Reason:
        """The region as a reason against its body."""
        code = "focal_bright" if self.bright else "focal_dark"
        return Reason(
            code, volume_ml=self.volume_ml, percent=100 * abs(self.change), place=Reason(self.place)
        )


def focal_reasons(volume: Volume, segmentation: Segmentation) -> dict[Level, tuple[Reason, ...]]:
    """Tell of which lumbar bodies the signal is not that of ordinary marrow, and why.

    Parameters
    ----------
    volume : Volume
        The series.
    segmentation : Segmentation
        Its bodies, on the same grid.

    Returns
    -------
    dict of Level to tuple of Reason
        Only the bodies concerned.
    """
    marrow = marrow_of(volume, segmentation)
    reasons: dict[Level, tuple[Reason, ...]] = dict(unlike_neighbours(_typical(marrow)))
    for region in _regions(marrow, volume.grid):
        reasons[region.level] = (*reasons.get(region.level, ()), region.reason)
    return reasons


def left_out(segmentation: Segmentation, reasons: Mapping[Level, tuple[Reason, ...]]) -> Segmentation:
    """Make bodies unusable.

    Parameters
    ----------
    segmentation : Segmentation
        The bodies.
    reasons : mapping of Level to tuple of Reason
        Why each of them is left out; levels that were not found do not matter.

    Returns
    -------
    Segmentation
        The same outlines; the bodies concerned have a lower quality, are unusable, and have the reasons.
    """
    regions = tuple(
        replace(
            one, quality=_LOWERED * one.quality, usable=False, concerns=(*one.concerns, *reasons[one.level])
        )
        if reasons.get(one.level)
        else one
        for one in segmentation.regions
    )
    return replace(segmentation, regions=regions)


def focal_regions(volume: Volume, segmentation: Segmentation) -> tuple[FocalRegion, ...]:
    """Find the places inside the lumbar bodies that depart from their marrow.

    Parameters
    ----------
    volume, segmentation : Volume, Segmentation
        As for `focal_reasons`.

    Returns
    -------
    tuple of FocalRegion
        From cranial to caudal; of each body the largest bright and the largest dark one.
    """
    return tuple(_regions(marrow_of(volume, segmentation), volume.grid))


def unlike_neighbours(
    typical: dict[Level, tuple[float, float]],
) -> Iterator[tuple[Level, tuple[Reason, ...]]]:
    """Yield the bodies whose whole signal departs from what the others let expect.

    The others are followed by a line along the spine that a single odd one among them does not turn (the
    slope of Theil and Sen), so a smooth shading is not taken for a change.

    Parameters
    ----------
    typical : dict of Level to tuple of float
        Position along the spine in mm, and natural logarithm of the median signal.

    Yields
    ------
    tuple
        The level, and the reason.
    """
    for level, (at, value) in typical.items():
        others = np.array([one for name, one in typical.items() if name is not level])
        if len(others) < _FEWEST_OTHERS:
            continue
        places, values = others.T
        slope = float(stats.theilslopes(values, places).slope)
        expected = float(np.median(values - slope * places)) + slope * at
        # A body counts only if it departs from the nearest ones too, in the same direction: a shading that
        # is bent departs from the line at its ends, where the neighbour departs with it.
        nearest = values[np.argsort(np.abs(places - at))[:2]]
        departures = np.sign(value - expected) * (value - np.array([expected, *nearest]))
        if departures.min() > _UNLIKE:
            code = "body_brighter" if value > expected else "body_darker"
            yield level, (Reason(code, percent=100 * abs(float(np.expm1(value - expected)))),)


def _typical(marrow: dict[Level, Marrow]) -> dict[Level, tuple[float, float]]:
    return {
        level: (one.middle_mm, float(np.median(one.level_of_signal[one.inside])))
        for level, one in marrow.items()
    }


def _regions(marrow: dict[Level, Marrow], grid: Grid) -> Iterator[FocalRegion]:
    if not marrow:
        return
    slopes = np.median([_slopes(one) for one in marrow.values()], axis=0)
    slopes = np.clip(slopes, -_STEEPEST, _STEEPEST)
    rests = {level: _rest(one, slopes) for level, one in marrow.items()}
    spread = float(np.median([_spread(rest[marrow[level].inside]) for level, rest in rests.items()]))
    for level, one in marrow.items():
        for sign in (1, -1):
            least, core = (max(limit[sign], _SPREADS * spread) for limit in (_LEAST_CHANGE, _CORE_CHANGE))
            parts = _large_parts(one, rests[level], sign, least=least, core=core, grid=grid)
            large = [_region(level, one, part, rests[level], grid) for part in parts]
            if large:
                yield max(large, key=lambda region: region.volume_ml)


def _slopes(one: Marrow) -> Floats:
    """Return the change of the signal along height and depth of one body."""
    values = one.level_of_signal[one.inside]
    along = np.stack([np.ones(len(values)), one.height[one.inside], one.depth[one.inside]], axis=1)
    return np.asarray(np.linalg.lstsq(along, values, rcond=None)[0][1:])


def _rest(one: Marrow, slopes: Floats) -> Floats:
    """Return the signal of a body without the shared slope, relative to what is usual in it."""
    rest = one.level_of_signal - slopes[0] * one.height - slopes[1] * one.depth
    return np.asarray(rest - _usual(rest[one.inside]))


def _usual(values: Floats) -> float:
    """Return the middle of the shortest range with two fifths of the values.

    A median moves with a region of half the body, this does not.
    """
    ordered = np.sort(values)
    count = max(1, int(_MOST_ALIKE * len(ordered)))
    first = int(np.argmin(ordered[count:] - ordered[: len(ordered) - count]))
    return float(np.median(ordered[first : first + count + 1]))


def _spread(values: Floats) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _large_parts(
    one: Marrow, rest: Floats, sign: int, *, least: float, core: float, grid: Grid
) -> Iterator[Mask]:
    """Yield the connected, compact parts that depart by `least`, reach `core` and are large enough."""
    beyond = sign * np.where(one.inside, rest, -sign * np.inf)
    marked = (beyond > least) & ~_ordinary(one, sign)
    parts, count = ndimage.label(_without_strips(marked, grid))
    for number in range(1, count + 1):
        part = parts == number
        if _large(one, part, grid) and np.quantile(beyond[part], _CORE) >= core:
            yield part


def _ordinary(one: Marrow, sign: int) -> Mask:
    """Mask where ordinary marrow of a normal body looks brighter or darker too."""
    vein = (
        (np.abs(one.height) < _VEIN_HEIGHT)
        & (one.depth > 1.0 - 2.0 * _VEIN_DEPTH)
        & (one.aside_mm < _VEIN_MM)
    )
    return vein if sign > 0 else vein | (np.abs(one.depth) > 1.0 - _WALL)


def _without_strips(marked: Mask, grid: Grid) -> Mask:
    """Keep what a disc of `_STRIP_MM` covers on its slice: strips along the border are its partial volume."""
    kept = np.zeros_like(marked)
    for number in np.flatnonzero(marked.any(axis=(1, 2))):
        within = ndimage.distance_transform_edt(np.pad(marked[number], 1), sampling=grid.spacing_mm[1:])
        away = ndimage.distance_transform_edt(within < _STRIP_MM / 2, sampling=grid.spacing_mm[1:])
        kept[number] = marked[number] & (away[1:-1, 1:-1] < _STRIP_MM / 2)
    return kept


def _large(one: Marrow, part: Mask, grid: Grid) -> bool:
    per_slice = part.sum(axis=(1, 2))
    shares = per_slice / np.maximum(one.areas, 1)
    diameters = 2.0 * np.sqrt(per_slice * grid.spacing_mm[1] * grid.spacing_mm[2] / np.pi)
    large = (diameters >= _LEAST_MM) & (shares >= _LEAST_SHARE)
    alone = grid.spacing_mm[0] >= _THICK_MM and bool((shares[large] >= _LARGE_SHARE).any())
    return (int(large.sum()) >= 2 or alone) and grid.volume_ml(part) >= _LEAST_ML


def _region(level: Level, one: Marrow, part: Mask, rest: Floats, grid: Grid) -> FocalRegion:
    change = float(np.median(rest[part]))
    return FocalRegion(
        level=level,
        bright=change > 0.0,
        volume_ml=grid.volume_ml(part),
        change=float(np.expm1(change)),
        place=_place(one, part),
    )


def _place(one: Marrow, part: Mask) -> str:
    """Say where a region lies: by the endplate that it touches, or by its centre."""
    height, depth = float(one.height[part].mean()), float(one.depth[part].mean())
    reach = np.percentile(one.height[part], [2.0, 98.0])
    if reach[0] < -0.55 and reach[1] > 0.55:
        return "place_whole_height"
    if abs(height) > 0.3:
        return "place_upper_endplate" if height > 0 else "place_lower_endplate"
    return "place_front" if depth < -0.3 else "place_back" if depth > 0.3 else "place_middle"
