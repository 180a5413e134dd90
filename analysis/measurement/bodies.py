"""The reported measurements of every lumbar body: volume, signal, VBQ, features and outline."""

from typing import TypeAlias

import contourpy
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.findings import BoneQuality, LevelMeasurements, Outline
from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Volume, box_of
from analysis.measurement.midsagittal import mid_slice
from analysis.measurement.vbq import level_scores, too_shaded

__all__ = ["measure_bodies", "outline"]

_Points: TypeAlias = npt.NDArray[np.float64]

_OUTLINE_TOLERANCE_PIXELS = 0.4
"""Largest deviation of an outline from the pixel border; too small to see."""


def measure_bodies(
    volume: Volume,
    segmentation: Segmentation,
    bone_quality: BoneQuality,
    features: dict[Level, dict[str, float]],
) -> tuple[LevelMeasurements, ...]:
    """Measure the lumbar bodies of one series.

    Parameters
    ----------
    volume : Volume
        The image.
    segmentation : Segmentation
        Its labelled bodies, on the same grid.
    bone_quality : BoneQuality
        The VBQ of the series, whose CSF signal is the reference for the single levels.
    features : dict of Level to dict of str to float
        The result of `analysis.measurement.radiomics.extract`; levels may be missing.

    Returns
    -------
    tuple of LevelMeasurements
        From L1 to L5, including bodies that are not usable for features.
    """
    middle = mid_slice(segmentation)
    fluid = None if too_shaded(bone_quality.concerns) else bone_quality.csf_signal
    scores = level_scores(volume, segmentation, fluid)
    found = []
    lumbar = (region for region in segmentation.regions if region.level.lumbar)
    for region in sorted(lumbar, key=lambda one: one.level):
        level = region.level
        signal = volume.values(segmentation.body(level)).astype(np.float64)
        points = outline(segmentation.labels[middle] == level)
        found.append(
            LevelMeasurements(
                level=level,
                volume_ml=region.volume_ml,
                mean_signal=float(signal.mean()),
                median_signal=float(np.median(signal)),
                sd_signal=float(signal.std()),
                vbq=scores.get(level),
                features=features.get(level, {}),
                outline=None if points is None else Outline(middle, points),
            )
        )
    return tuple(found)


def outline(mask: npt.NDArray[np.bool_]) -> _Points | None:
    """Trace the border of a region on one slice.

    Parameters
    ----------
    mask : ndarray of bool, shape (rows, columns)
        The region. Only its largest connected part is traced, with holes filled.

    Returns
    -------
    ndarray of shape (n, 2), or None
        Closed polygon in the coordinates of `Outline.points`; None for an empty mask.
    """
    if not mask.any():
        return None
    box = box_of(mask[None])[1:]
    parts, _ = ndimage.label(mask[box])
    largest = ndimage.binary_fill_holes(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]))
    # A frame of zeros closes the line at the edge of the image, too.
    lines = contourpy.contour_generator(z=np.pad(largest, 1).astype(np.float64)).lines(0.5)
    longest = max((np.asarray(line, dtype=np.float64) for line in lines), key=len)
    # The frame shifts pixel centres by 1, and DICOM has the first one at 0.5.
    corner = np.array([box[1].start, box[0].start])
    points: _Points = _simplify(longest, _OUTLINE_TOLERANCE_PIXELS) + corner - 0.5
    return points


def _simplify(points: _Points, tolerance: float) -> _Points:
    """Simplify a closed line: drop points that lie within `tolerance` of the line without them.

    References
    ----------
    Douglas and Peucker, Cartographica 1973;10:112-122.
    """
    # A closed line has no ends to start from, so it is split at the point farthest from the first one.
    farthest = int(np.argmax(np.linalg.norm(points - points[0], axis=1)))
    keep = np.zeros(len(points), dtype=bool)
    keep[[0, farthest, -1]] = True
    spans = [(0, farthest), (farthest, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        along = points[last] - points[first]
        offset = points[first + 1 : last] - points[first]
        length = max(float(np.hypot(*along)), np.finfo(float).tiny)
        distance = np.abs(along[0] * offset[:, 1] - along[1] * offset[:, 0]) / length
        worst = int(np.argmax(distance))
        if distance[worst] > tolerance:
            middle = first + 1 + worst
            keep[middle] = True
            spans += [(first, middle), (middle, last)]
    return points[keep]
