"""Radiomic features of the vertebral bodies, and of nothing else.

`prepare` makes the images and the labelled mask, and `analysis.measurement.pyradiomics` calculates. Every
image is made of pixels within the bodies alone (docs/decisions/0012-radiomics-of-bone-only.md); only the
reference, by which all signals are divided, may lie elsewhere. A failed feature, which pyradiomics logs and
stores as NaN, is an error here.
"""

from collections.abc import Mapping
from math import isfinite
from statistics import fmean, stdev
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.reason import Reason
from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Box, Volume, around
from analysis.errors import AnalysisError, RefusedError
from analysis.itk import to_image
from analysis.measurement.depth import depth_in_slice
from analysis.measurement.log_filter import laplacians_of_gaussian
from analysis.measurement.pyradiomics import calculate, extractor
from analysis.measurement.resample import (
    continued,
    covered,
    in_plane_grid,
    labels_on,
    signal_on,
    spline_reach,
)
from analysis.measurement.vbq import csf_reference
from analysis.settings import FeatureSettings

__all__ = ["MINIMUM_VOXELS", "Prepared", "aggregate", "extract", "prepare"]

MINIMUM_VOXELS = 100
"""A body with fewer voxels than this after erosion is left out: its texture means nothing."""

_ONE_VOXEL: Box = (slice(0, 1), slice(0, 1), slice(0, 1))

_NEARLY_ZERO = "firstorder_Mean"
"""Of a filtered image: a Laplacian takes from one pixel what it gives to its neighbours, and the mean of a
body is what is left over at its border."""


class Prepared(NamedTuple):
    """What pyradiomics reads: images by name, and the labelled mask, all on one grid.

    Attributes
    ----------
    images : dict of str to SimpleITK.Image
        "original" is the signal as a percentage of the reference; "log-2D-in-body-2-0-mm" is its
        Laplacian of Gaussian with a standard deviation of 2.0 mm, within slice and body.
    mask : SimpleITK.Image
        `Level` values of the eroded usable lumbar bodies.
    """

    images: dict[str, Any]
    mask: Any


def extract(
    volume: Volume, segmentation: Segmentation, settings: FeatureSettings
) -> dict[Level, dict[str, float]]:
    """Calculate the radiomics of every usable lumbar body.

    Parameters
    ----------
    volume : Volume
        The image.
    segmentation : Segmentation
        Its labelled bodies, on the same grid.
    settings : FeatureSettings
        Filters, binning, resampling and reference.

    Returns
    -------
    dict of Level to dict of str to float
        Features by the name of the image (`Prepared`) and pyradiomics' names of class and feature, from
        cranial to caudal. Bodies that are not usable, or too small after erosion, are missing, and so is the
        mean of filtered images, which is always zero.

    Raises
    ------
    RefusedError
        If the reference signal is missing.
    AnalysisError
        If pyradiomics could not calculate a feature.
    """
    calculated = calculate(extractor(settings), *prepare(volume, segmentation, settings))
    for label, values in calculated.items():
        failed = [name for name, value in values.items() if not isfinite(value)]
        if failed:
            raise AnalysisError(f"pyradiomics could not calculate {', '.join(failed)} of {Level(label).name}")
    return {
        Level(label): {name: value for name, value in values.items() if _tells_something(name)}
        for label, values in calculated.items()
    }


def aggregate(per_level: Mapping[Level, Mapping[str, float]]) -> dict[str, float]:
    """Summarise the bodies of one patient: mean and standard deviation over the levels.

    Parameters
    ----------
    per_level : mapping of Level to mapping of str to float
        The result of `extract`; all levels must have the same names.

    Returns
    -------
    dict of str to float
        Two values for every feature, named with "_mean" and "_sd" (sample standard deviation, n - 1); empty
        for fewer than two levels.

    Raises
    ------
    AnalysisError
        If the levels have different features.
    """
    if len(per_level) < 2:
        return {}
    levels = [per_level[level] for level in sorted(per_level)]
    if any(level.keys() != levels[0].keys() for level in levels):
        raise AnalysisError("the levels have different features and cannot be summarised")
    summary: dict[str, float] = {}
    for name in levels[0]:
        values = [level[name] for level in levels]
        summary[f"{name}_mean"] = fmean(values)
        summary[f"{name}_sd"] = stdev(values)
    return summary


def prepare(volume: Volume, segmentation: Segmentation, settings: FeatureSettings) -> Prepared:
    """Make the images and the mask that pyradiomics reads: normalised, resampled, eroded, filtered.

    Parameters
    ----------
    volume, segmentation, settings : Volume, Segmentation, FeatureSettings
        As for `extract`.

    Returns
    -------
    Prepared
        Of the box around the usable bodies: resampled in plane by a cubic B-spline that the pixels of the
        bodies alone determine, and filtered within the eroded bodies, so that cortex and endplate do not
        enter the filter either.

    Raises
    ------
    RefusedError
        If the reference signal is missing.
    """
    usable = [region.level for region in segmentation.usable_lumbar]
    share = np.float32(100.0 / _reference(volume, segmentation, usable, settings))
    grid = volume.grid
    whole = in_plane_grid(grid, settings.pixel_spacing_mm)
    # Only what is near the bodies is worked on, which is a tenth of a large image.
    box = around(segmentation.boxes[level] for level in usable) if usable else _ONE_VOXEL
    wide, within = spline_reach(box, grid.shape), covered(whole, grid, box)
    corner, target = (wide[1].start, wide[2].start), whole.part(within)
    bodies = np.where(np.isin(segmentation.labels[wide], usable), segmentation.labels[wide], 0).astype(
        np.uint8
    )
    inner = _erode(labels_on(whole, bodies, grid, within, corner), settings)
    marrow = continued(volume.signal(wide) * share, bodies > 0, grid)
    signal = signal_on(whole, marrow, grid, within, corner)
    images = {"original": to_image(signal, target)} if "Original" in settings.filters else {}
    if "LoG" in settings.filters:
        filtered = laplacians_of_gaussian(
            signal,
            inner,
            settings.log_sigma_mm,
            settings.pixel_spacing_mm,
            within=within[1:],
            size=whole.shape[1:],
        )
        images |= {
            _log_name(sigma_mm): to_image(image, target)
            for sigma_mm, image in zip(settings.log_sigma_mm, filtered, strict=True)
        }
    return Prepared(images, to_image(inner, target))


def _tells_something(feature: str) -> bool:
    image, _, name = feature.partition("_")
    return image == "original" or name != _NEARLY_ZERO


def _log_name(sigma_mm: float) -> str:
    return f"log-2D-in-body-{sigma_mm}-mm".replace(".", "-")


def _reference(
    volume: Volume, segmentation: Segmentation, usable: list[Level], settings: FeatureSettings
) -> float:
    """Return the signal by which all others are divided."""
    if settings.reference == "csf":
        signal, concerns = csf_reference(volume, segmentation)
        if signal is None:
            raise RefusedError(*concerns)
        return signal
    if not usable:
        raise RefusedError(Reason("no_usable_body"))
    median = float(np.median(np.concatenate([volume.values(segmentation.body(level)) for level in usable])))
    if not median > 0:
        raise RefusedError(Reason("bodies_without_signal"))
    return median


def _erode(labels: npt.NDArray[np.uint8], settings: FeatureSettings) -> npt.NDArray[np.uint8]:
    """Keep the voxels whose centre is at least `erosion_mm` inside the border of their body, in plane."""
    inner = np.zeros_like(labels)
    # Depths are to the centre of the first voxel outside, half a voxel beyond the border.
    reach = settings.erosion_mm / settings.pixel_spacing_mm + 0.5
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        body = labels[box] == label
        kept = body & (np.stack([depth_in_slice(part) for part in body]) >= reach)
        if kept.sum() >= MINIMUM_VOXELS:
            inner[box][kept] = label
    return inner
