"""The one door to pyradiomics: plain extraction, and the same values for several regions at once.

`extractor` is pyradiomics' own, and ``extractor(settings).execute(image, mask, label)`` is what a region's
values are. `calculate` gives the same values for all labels of a mask, but every image is filtered once, only
around the regions and beside the counting on another core, and every region is binned once per image.

References
----------
van Griethuysen et al., Cancer Res 2017;77:e104-e107.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import SimpleITK
from scipy import ndimage

from analysis.itk import to_array
from analysis.settings import FeatureSettings

__all__ = ["calculate", "extractor"]

_Box: TypeAlias = tuple[slice, ...]
_Plain: TypeAlias = Any
"""pyradiomics' extractor and its classes; it ships no types."""

_TEXTURE = ("firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm")
"""Classes of features that depend on the filtered image; the shape does not."""

_REACH_OF_LOG = 16
"""Widths of the Gaussian after which ITK's recursive filter no longer changes a float32."""


class _Region(NamedTuple):
    """A label, its bounding box in the whole image, and the labels within that box."""

    label: int
    box: _Box
    mask: SimpleITK.Image


class _Filtered(NamedTuple):
    """A filtered image, its name, and the index of its first voxel in the whole image."""

    voxels: npt.NDArray[Any]
    name: str
    first: tuple[int, ...]


def extractor(settings: FeatureSettings) -> _Plain:
    """Build pyradiomics' own extractor: all classes of features of the configured filters.

    It is asked for no pre-processing; `analysis.features.prepare` has done that.

    Parameters
    ----------
    settings : FeatureSettings
        How.

    Returns
    -------
    radiomics.featureextractor.RadiomicsFeatureExtractor
        Ready for ``execute(image, mask, label)`` with a mask that `prepare` made.
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
        custom = {"sigma": list(settings.log_sigma_mm)} if name == "LoG" else {}
        built.enableImageTypeByName(name, customArgs=custom)
    built.disableAllFeatures()
    for name in ("shape", *_TEXTURE):
        built.enableFeatureClassByName(name)
    return built


def calculate(plain: _Plain, image: SimpleITK.Image, mask: SimpleITK.Image) -> dict[int, dict[str, float]]:
    """Calculate what ``plain.execute(image, mask, label)`` would for every label of the mask.

    Parameters
    ----------
    plain : radiomics.featureextractor.RadiomicsFeatureExtractor
        From `extractor`.
    image, mask : SimpleITK.Image
        On one grid.

    Returns
    -------
    dict of int to dict of str to float
        Values by name for each label. A feature that failed is NaN, as pyradiomics has it.
    """
    labels, spacing = to_array(mask), image.GetSpacing()
    regions = [
        _Region(label, box, _small(labels[box], spacing))
        for label, box in enumerate(ndimage.find_objects(labels), start=1)
        if box is not None
    ]
    if not regions:
        return {}
    values: dict[int, dict[str, float]] = {region.label: {} for region in regions}
    around = _around([region.box for region in regions])
    with ThreadPoolExecutor(max_workers=1) as beside:
        # SimpleITK lets go of Python's lock while it filters. Regions are cut out of arrays, because its own
        # cutting would wait for the threads that are busy then.
        filtering = [beside.submit(job) for job in _filters(plain, image, mask, around)]
        for region in regions:
            body = _small(to_array(image)[region.box], spacing)
            values[region.label] |= _features(plain, ("shape",), body, region, "original")
        for job in filtering:
            for filtered in job.result():
                for region in regions:
                    body = _small(filtered.voxels[_moved(region.box, filtered.first)], spacing)
                    values[region.label] |= _features(plain, _TEXTURE, body, region, filtered.name)
    return values


def _filters(
    plain: _Plain, image: SimpleITK.Image, mask: SimpleITK.Image, around: _Box
) -> Iterator[Callable[[], list[_Filtered]]]:
    """Yield one job per filter and width; the results are in pyradiomics' own order."""
    from radiomics import imageoperations

    def job(
        name: str, part: SimpleITK.Image, first: tuple[int, ...], **custom: object
    ) -> Callable[[], list[_Filtered]]:
        make = getattr(imageoperations, f"get{name}Image")
        return lambda: [
            _Filtered(to_array(filtered), named, first)
            for filtered, named, _ in make(part, mask, **plain.settings | custom)
        ]

    for name, custom in plain.enabledImagetypes.items():
        if name != "LoG":
            yield job(name, image, (0, 0, 0), **custom)
            continue
        for sigma_mm in custom["sigma"]:
            window = _widened(around, image, _REACH_OF_LOG * sigma_mm)
            part = image[tuple(reversed(window))]
            yield job(name, part, tuple(along.start for along in window), sigma=[sigma_mm])


def _features(
    plain: _Plain, names: tuple[str, ...], image: SimpleITK.Image, region: _Region, image_name: str
) -> dict[str, float]:
    """Values of the named classes for one region, which the image is cut out around."""
    settings = {**plain.settings, "label": region.label, "shared_bins": {}}
    return {
        f"{image_name}_{class_name}_{name}": float(value)
        for class_name in names
        for name, value in _classes()[class_name](image, region.mask, **settings).execute().items()
    }


@cache
def _classes() -> dict[str, Any]:
    from radiomics import getFeatureClasses

    classes = getFeatureClasses()
    return {name: _sharing(classes[name]) for name in ("shape", *_TEXTURE)}


def _sharing(feature_class: _Plain) -> _Plain:
    """Let one class take the bins that another made of the same region, and list its features only once."""
    names = feature_class.getFeatureNames()

    class Sharing(feature_class):  # type: ignore[misc]  # pyradiomics ships no types
        @classmethod
        def getFeatureNames(cls) -> dict[str, bool]:  # noqa: N802 - its name
            return dict(names)

        def _applyBinning(self, matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:  # noqa: N802 - its name
            shared = self.settings["shared_bins"]
            if not shared:
                shared["matrix"] = super()._applyBinning(matrix)
                shared["coefficients"] = dict(self.coefficients)
            self.coefficients.update(shared["coefficients"])
            binned: npt.NDArray[Any] = shared["matrix"]
            return binned

    Sharing.__module__ = feature_class.__module__  # names the logger that `extractor` has quieted
    return Sharing


def _around(boxes: Sequence[_Box]) -> _Box:
    """Smallest box that holds all boxes."""
    return tuple(
        slice(min(part.start for part in along), max(part.stop for part in along))
        for along in zip(*boxes, strict=True)
    )


def _widened(box: _Box, image: SimpleITK.Image, margin_mm: float) -> _Box:
    """Box with a margin, as far as the image goes."""
    margins = (int(np.ceil(margin_mm / spacing)) for spacing in reversed(image.GetSpacing()))
    return tuple(
        slice(max(part.start - margin, 0), min(part.stop + margin, size))
        for part, margin, size in zip(box, margins, reversed(image.GetSize()), strict=True)
    )


def _moved(box: _Box, first: tuple[int, ...]) -> _Box:
    return tuple(slice(part.start - by, part.stop - by) for part, by in zip(box, first, strict=True))


def _small(voxels: npt.NDArray[Any], spacing: tuple[float, ...]) -> SimpleITK.Image:
    """Image of a cut-out; features know of spacing, but not of place."""
    image = SimpleITK.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    return image
