"""Radiomics of a vertebral body, by pyradiomics; refuses NaN.

What pyradiomics is asked for is plain: `prepare` makes the image and the labelled mask, `extractor` is
pyradiomics' own, and ``extractor(settings).execute(image, mask, label)`` gives the values of one body.
`extract` gives the same values, but filters each image once for all bodies, and turns a feature that
failed, which pyradiomics logs and stores as NaN, into an error.
"""

import logging
from collections.abc import Iterator, Mapping
from itertools import chain
from statistics import fmean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Volume
from analysis.errors import AnalysisError, RefusedError
from analysis.itk import grid_of, resample_in_plane, to_array, to_image
from analysis.settings import FeatureSettings
from analysis.vbq import csf_reference

__all__ = ["MINIMUM_VOXELS", "aggregate", "extract", "extractor", "prepare"]

MINIMUM_VOXELS = 100
"""A body with fewer voxels than this inside its border has no texture to speak of and is left out."""

_CLASSES = ("shape", "firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm")
_SMALLEST_EXTENT = 4  # ITK's recursive Gaussian needs four samples along every axis


def extract(
    volume: Volume, segmentation: Segmentation, settings: FeatureSettings
) -> dict[Level, dict[str, float]]:
    """Radiomics of every usable lumbar body.

    Parameters
    ----------
    volume : Volume
        The image.
    segmentation : Segmentation
        Its labelled bodies, on the same grid.
    settings : FeatureSettings
        How.

    Returns
    -------
    dict of Level to dict of str to float
        By pyradiomics' names, from cranial to caudal. Bodies that are not usable, or too small once
        their border is taken off, are missing.

    Raises
    ------
    RefusedError
        If the reference of the signal is missing, or the stack too small for the filters.
    AnalysisError
        If pyradiomics could not calculate a feature.
    """
    image, mask = prepare(volume, segmentation, settings)
    boxes = ndimage.find_objects(to_array(mask))
    found = {Level(label): box for label, box in enumerate(boxes, start=1) if box is not None}
    if not found:
        return {}
    calculator = extractor(settings)
    values: dict[Level, dict[str, float]] = {level: {} for level in found}
    for level, box in found.items():
        shape = calculator.computeShape(*_crop(image, mask, box), _whole(box), **_asked(calculator, level))
        _add(values[level], level, shape)
    for filtered, name, _ in _filtered(calculator, image, mask):
        for level, box in found.items():
            body = _crop(filtered, mask, box)
            _add(values[level], level, calculator.computeFeatures(*body, name, **_asked(calculator, level)))
    return values


def aggregate(per_level: Mapping[Level, Mapping[str, float]]) -> dict[str, float]:
    """Summarise the bodies of one patient: mean and standard deviation over the levels.

    Parameters
    ----------
    per_level : mapping of Level to mapping of str to float
        What `extract` returned, all levels with the same names.

    Returns
    -------
    dict of str to float
        For every feature its name with "_mean" and with "_sd" (of the sample, over n - 1) added; empty
        for fewer than two levels, which have no spread.

    Raises
    ------
    AnalysisError
        If the levels name different features.
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


def prepare(volume: Volume, segmentation: Segmentation, settings: FeatureSettings) -> tuple[Any, Any]:
    """Make the image and the mask that pyradiomics reads: referenced, resampled, eroded.

    Parameters
    ----------
    volume, segmentation, settings : Volume, Segmentation, FeatureSettings
        As for `extract`.

    Returns
    -------
    image : SimpleITK.Image
        Signal as a percentage of the reference, resampled in plane by a cubic B-spline.
    mask : SimpleITK.Image
        `Level` values of the usable lumbar bodies inside their borders, on the same grid.

    Raises
    ------
    RefusedError
        If the reference of the signal is missing, or the stack too small for the filters.
    """
    if "LoG" in settings.filters and min(volume.grid.shape) < _SMALLEST_EXTENT:
        raise RefusedError(f"the series has fewer than {_SMALLEST_EXTENT} slices, too few to filter")
    bodies = np.zeros_like(segmentation.labels)
    for region in segmentation.usable_lumbar:
        bodies[segmentation.labels == region.level] = region.level
    percent = volume.voxels * np.float32(100.0 / _reference(volume, segmentation, bodies, settings))
    image = resample_in_plane(to_image(percent, volume.grid), settings.pixel_spacing_mm, labels=False)
    mask = resample_in_plane(to_image(bodies, volume.grid), settings.pixel_spacing_mm, labels=True)
    inner = to_image(_erode(to_array(mask), settings), grid_of(mask))
    return image, inner


def extractor(settings: FeatureSettings) -> Any:  # noqa: ANN401 - pyradiomics ships no types
    """Build pyradiomics' own extractor for what `prepare` returns; no further pre-processing is asked for.

    Parameters
    ----------
    settings : FeatureSettings
        How.

    Returns
    -------
    radiomics.featureextractor.RadiomicsFeatureExtractor
        All classes of features of the configured filters.
    """
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    # pyradiomics puts a handler on standard error; what to log, and where, is the application's business.
    # Its warnings repeat our own choices (a fixed number of bins), its errors are worth having.
    logger = logging.getLogger("radiomics")
    logger.handlers[:] = [logging.NullHandler()]
    logger.setLevel(logging.ERROR)
    built = RadiomicsFeatureExtractor(
        binCount=settings.bin_count,
        force2D=settings.in_plane,
        force2Ddimension=0,  # the slices: pyradiomics counts the axes of its arrays, as we do
        additionalInfo=False,
    )
    built.disableAllImageTypes()
    for name in settings.filters:
        built.enableImageTypeByName(name, customArgs=_custom(name, settings))
    built.disableAllFeatures()
    for name in _CLASSES:
        built.enableFeatureClassByName(name)
    return built


def _custom(filter_name: str, settings: FeatureSettings) -> dict[str, Any]:
    return {"sigma": list(settings.log_sigma_mm)} if filter_name == "LoG" else {}


def _reference(
    volume: Volume, segmentation: Segmentation, bodies: npt.NDArray[np.uint8], settings: FeatureSettings
) -> float:
    """Signal that all others are divided by."""
    if settings.reference == "csf":
        signal, concerns = csf_reference(volume, segmentation)
        if signal is None:
            raise RefusedError(*concerns)
        return signal
    if not bodies.any():
        raise RefusedError("no lumbar vertebral body is usable")
    median = float(np.median(volume.voxels[bodies > 0]))
    if not median > 0:
        raise RefusedError("the vertebral bodies have no signal")
    return median


def _erode(labels: npt.NDArray[np.uint8], settings: FeatureSettings) -> npt.NDArray[np.uint8]:
    """Keep the voxels whose centre lies at least `erosion_mm` inside the border of their body, in plane."""
    inner = np.zeros_like(labels)
    # Distances run to the centre of the first voxel outside, half a voxel beyond the border.
    reach = settings.erosion_mm / settings.pixel_spacing_mm + 0.5
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        body = np.pad(labels[box] == label, ((0, 0), (1, 1), (1, 1)))
        depth = np.stack([ndimage.distance_transform_edt(part) for part in body])
        kept = (body & (depth >= reach))[:, 1:-1, 1:-1]
        if kept.sum() >= MINIMUM_VOXELS:
            inner[box][kept] = label
    return inner


def _filtered(calculator: Any, image: Any, mask: Any) -> Iterator[tuple[Any, str, Any]]:  # noqa: ANN401
    """Yield the image through every filter, once for all bodies."""
    from radiomics import imageoperations

    return chain.from_iterable(
        getattr(imageoperations, f"get{name}Image")(image, mask, **{**calculator.settings, **custom})
        for name, custom in calculator.enabledImagetypes.items()
    )


def _asked(calculator: Any, level: Level) -> dict[str, Any]:  # noqa: ANN401
    return {**calculator.settings, "label": int(level)}


def _crop(image: Any, mask: Any, box: tuple[slice, ...]) -> tuple[Any, Any]:  # noqa: ANN401
    window = tuple(reversed(box))
    return image[window], mask[window]


def _whole(box: tuple[slice, ...]) -> npt.NDArray[np.int_]:
    """Bounding box of a cropped image as pyradiomics has it: x first, lower and upper index of each axis."""
    return np.array([bound for part in reversed(box) for bound in (0, part.stop - part.start - 1)])


def _add(values: dict[str, float], level: Level, calculated: Mapping[str, Any]) -> None:
    for name, value in calculated.items():
        number = float(value)
        if not np.isfinite(number):
            raise AnalysisError(f"pyradiomics could not calculate {name} of {level.name}")
        values[name] = number
