"""Perturbed masks, as another reader might outline the bodies, to find features that are repeatable."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.findings import SeriesFindings
from analysis.domain.segmentation import Segmentation
from analysis.errors import RefusedError
from analysis.measurement.radiomics import aggregate, extract
from analysis.settings import FeatureSettings

__all__ = ["BORDER_SD_MM", "features_again", "perturbed"]

BORDER_SD_MM = 0.7
"""Standard deviation of the shift of the border: about a pixel, as between two readers."""

_CORRELATION_MM = 6.0  # a reader's deviations are similar along a stretch of the border
_MARGIN_MM = 6.0


def perturbed(segmentation: Segmentation, seed: int = 0) -> Segmentation:
    """Move the border of every lumbar body by a smooth random distance in plane.

    Parameters
    ----------
    segmentation : Segmentation
        The original segmentation.
    seed : int
        Seed of the random distances.

    Returns
    -------
    Segmentation
        With the same regions; only the labels differ.

    References
    ----------
    Zwanenburg A et al. Assessing robustness of radiomic features by image perturbation. Sci Rep 2019;9:614.
    """
    rng = np.random.default_rng(seed)
    labels = segmentation.labels.copy()
    spacing = np.asarray(segmentation.grid.spacing_mm)
    boxes = ndimage.find_objects(segmentation.labels)
    for region in segmentation.regions:
        if not region.level.lumbar:
            continue
        box = _widened(boxes[int(region.level) - 1], spacing, segmentation.labels.shape)
        body = segmentation.labels[box] == int(region.level)
        moved = _moved(body, spacing[1:], rng)
        # A body must not grow into a neighbour, nor vanish: regions and labels must have the same levels.
        moved &= (segmentation.labels[box] == 0) | body
        if moved.any():
            part = labels[box]
            part[body] = 0
            part[moved & (part == 0)] = int(region.level)
    return replace(segmentation, labels=labels)


def features_again(found: SeriesFindings, settings: FeatureSettings) -> dict[str, float]:
    """Calculate the aggregated radiomics again from perturbed masks; the `repeat` of `measure_cohort`.

    Parameters
    ----------
    found : SeriesFindings
        The findings of the pipeline.
    settings : FeatureSettings
        The settings that the pipeline used.

    Returns
    -------
    dict of str to float
        Features by the names of `found.patient_features`; empty if a body became too small to measure.
    """
    try:
        return aggregate(extract(found.source.volume, perturbed(found.segmentation), settings))
    except RefusedError:
        return {}  # the change can make a body too small to measure


def _widened(
    box: tuple[slice, ...], spacing: npt.NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[slice, ...]:
    margins = [0, *(int(np.ceil(_MARGIN_MM / step)) for step in spacing[1:])]
    return tuple(
        slice(max(0, part.start - margin), min(size, part.stop + margin))
        for part, margin, size in zip(box, margins, shape, strict=True)
    )


def _moved(
    body: npt.NDArray[np.bool_], spacing: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    field = ndimage.gaussian_filter(rng.normal(size=body.shape), (0.0, *(_CORRELATION_MM / spacing)))
    field *= BORDER_SD_MM / max(float(field.std()), np.finfo(float).tiny)
    moved = np.zeros_like(body)
    for index in range(body.shape[0]):
        if body[index].any():
            inside = ndimage.distance_transform_edt(body[index], spacing)
            outside = ndimage.distance_transform_edt(~body[index], spacing)
            moved[index] = inside - outside + field[index] > 0
    return moved
