"""What is reported of every vertebral body: size, signal, score, features, and its outline."""

from typing import TypeAlias

import contourpy
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.findings import BoneQuality, LevelMeasurements, Outline
from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Volume
from analysis.midsagittal import mid_slice
from analysis.vbq import level_scores

__all__ = ["measure", "mid_slice", "outline"]

_Points: TypeAlias = npt.NDArray[np.float64]

_OUTLINE_TOLERANCE_PIXELS = 0.4
"""An outline may leave the border of its pixels by this much, which the eye cannot see."""


def measure(
    volume: Volume,
    segmentation: Segmentation,
    bone_quality: BoneQuality,
    features: dict[Level, dict[str, float]],
) -> tuple[LevelMeasurements, ...]:
    """Measure the lumbar bodies that were found.

    Parameters
    ----------
    volume : Volume
        The image.
    segmentation : Segmentation
        Its labelled bodies, on the same grid.
    bone_quality : BoneQuality
        Its score, for the reference of the levels' own scores.
    features : dict of Level to dict of str to float
        What `analysis.features.extract` returned; may lack levels.

    Returns
    -------
    tuple of LevelMeasurements
        From cranial to caudal, also of bodies that are not usable for features.
    """
    middle = mid_slice(segmentation)
    scores = level_scores(volume, segmentation, bone_quality.csf_signal)
    found = []
    for level in sorted(region.level for region in segmentation.regions if region.level.lumbar):
        body = segmentation.labels == level
        signal = volume.voxels[body].astype(np.float64)
        points = outline(body[middle])
        found.append(
            LevelMeasurements(
                level=level,
                volume_ml=float(body.sum()) * volume.grid.voxel_ml,
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
        The region; only its largest connected part is traced, and holes are not.

    Returns
    -------
    ndarray of shape (n, 2), or None
        Closed polygon as `Outline.points` has it; None for an empty mask.
    """
    parts, count = ndimage.label(mask)
    if count == 0:
        return None
    largest = ndimage.binary_fill_holes(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]))
    # A frame of zeros closes the line also at the edge of the image.
    lines = contourpy.contour_generator(z=np.pad(largest, 1).astype(np.float64)).lines(0.5)
    longest = max((np.asarray(line, dtype=np.float64) for line in lines), key=len)
    # The frame moves pixel centres by one, DICOM counts them from one half.
    return _simplify(longest, _OUTLINE_TOLERANCE_PIXELS) - 0.5


def _simplify(points: _Points, tolerance: float) -> _Points:
    """Leave out the points of a closed line that lie within `tolerance` of the line without them.

    References
    ----------
    Douglas and Peucker, Cartographica 1973;10:112-122.
    """
    # A closed line has no ends to start from: the point farthest from the first one parts it in two.
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
