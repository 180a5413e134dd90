"""The only module that calls pyradiomics: its own extractor, and a faster one for several regions.

`extractor` builds pyradiomics' extractor, and ``extractor(settings).execute(image, mask, label)`` defines the
values of a region. `calculate` returns the same values for all labels of a mask, but filters every image
once, only around the regions and in a second thread, and bins every region once per image.

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
"""Feature classes that depend on the filtered image; "shape" does not."""

_REACH_OF_LOG = 16
"""Distance, in sigmas, beyond which a voxel no longer changes ITK's recursive filter in float32."""


class _Region(NamedTuple):
    """A label, its bounding box in the whole image, and the label image within that box."""

    label: int
    box: _Box
    mask: SimpleITK.Image


class _Filtered(NamedTuple):
    """A filtered image, its name, and the index of its first voxel in the whole image."""

    voxels: npt.NDArray[Any]
    name: str
    first: tuple[int, ...]


def extractor(settings: FeatureSettings) -> _Plain:
    """Build pyradiomics' extractor with all feature classes and the configured filters.

    Its own pre-processing is off; `analysis.measurement.radiomics.prepare` replaces it.

    Parameters
    ----------
    settings : FeatureSettings
        Filters and binning.

    Returns
    -------
    radiomics.featureextractor.RadiomicsFeatureExtractor
        For ``execute(image, mask, label)`` with an image and a mask from `prepare`.
    """
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    # pyradiomics logs to standard error by itself, which only the application may decide. Its warnings
    # repeat our own choices (a fixed number of bins); its errors are kept.
    logger = logging.getLogger("radiomics")
    logger.handlers[:] = [logging.NullHandler()]
    logger.setLevel(logging.ERROR)
    built = RadiomicsFeatureExtractor(
        binCount=settings.bin_count,
        force2D=settings.in_plane,
        force2Ddimension=0,  # the slice axis: pyradiomics counts array axes, as we do
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
    """Calculate the values of ``plain.execute(image, mask, label)`` for every label of the mask.

    Parameters
    ----------
    plain : radiomics.featureextractor.RadiomicsFeatureExtractor
        The result of `extractor`.
    image, mask : SimpleITK.Image
        Image and labels on one grid.

    Returns
    -------
    dict of int to dict of str to float
        Values by name for each label; a feature that failed is NaN, as in pyradiomics.
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
        # SimpleITK releases the GIL while it filters. Regions are cut out of arrays, because cutting with
        # SimpleITK would wait for its threads, which are busy filtering.
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
    """Yield one job per filter and sigma; the results keep pyradiomics' order."""
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
    """Return the values of the named feature classes for one region, from the image within its box."""
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
    """Make a feature class reuse the bins that another one made of the same region.

    The list of its features is also computed only once.
    """
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

    Sharing.__module__ = feature_class.__module__  # pyradiomics names its logger by it
    return Sharing


def _around(boxes: Sequence[_Box]) -> _Box:
    """Return the smallest box that holds all boxes."""
    return tuple(
        slice(min(part.start for part in along), max(part.stop for part in along))
        for along in zip(*boxes, strict=True)
    )


def _widened(box: _Box, image: SimpleITK.Image, margin_mm: float) -> _Box:
    """Add a margin to a box, clipped to the image."""
    margins = (int(np.ceil(margin_mm / spacing)) for spacing in reversed(image.GetSpacing()))
    return tuple(
        slice(max(part.start - margin, 0), min(part.stop + margin, size))
        for part, margin, size in zip(box, margins, reversed(image.GetSize()), strict=True)
    )


def _moved(box: _Box, first: tuple[int, ...]) -> _Box:
    return tuple(slice(part.start - by, part.stop - by) for part, by in zip(box, first, strict=True))


def _small(voxels: npt.NDArray[Any], spacing: tuple[float, ...]) -> SimpleITK.Image:
    """Make an image of a cut-out; features depend on its spacing but not on its origin."""
    image = SimpleITK.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    return image
