"""The only module that calls pyradiomics: its own extractor, and a faster one for several regions.

`extractor` builds pyradiomics' extractor, and ``extractor(settings).execute(image, mask, label)`` defines the
values of a region in an image. `calculate` returns the same values for all labels of a mask and several
images, but bins every region only once per image. pyradiomics' own filters are not used: they read what is
outside the regions.

References
----------
van Griethuysen et al., Cancer Res 2017;77:e104-e107.
"""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, TypeAlias

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


class _Region(NamedTuple):
    """A label, its bounding box in the whole image, and the label image within that box."""

    label: int
    box: _Box
    mask: SimpleITK.Image


def extractor(settings: FeatureSettings) -> _Plain:
    """Build pyradiomics' extractor with all feature classes, for images as they are.

    Its own pre-processing and filters are off; `analysis.measurement.radiomics.prepare` replaces it.

    Parameters
    ----------
    settings : FeatureSettings
        Binning, and texture in plane or in space.

    Returns
    -------
    radiomics.featureextractor.RadiomicsFeatureExtractor
        For ``execute(image, mask, label)`` with an image and the mask from `prepare`; it calls every image
        "original".
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
    built.enableImageTypeByName("Original")
    built.disableAllFeatures()
    for name in ("shape", *_TEXTURE):
        built.enableFeatureClassByName(name)
    return built


def calculate(
    plain: _Plain, images: Mapping[str, SimpleITK.Image], mask: SimpleITK.Image
) -> dict[int, dict[str, float]]:
    """Calculate the values of ``plain.execute(image, mask, label)`` for every image and label of the mask.

    Parameters
    ----------
    plain : radiomics.featureextractor.RadiomicsFeatureExtractor
        The result of `extractor`.
    images : mapping of str to SimpleITK.Image
        Images by name, on the grid of the mask.
    mask : SimpleITK.Image
        Labels.

    Returns
    -------
    dict of int to dict of str to float
        For each label, values by name, which begins with that of the image. The shape is that of the mask,
        and is named "original". A feature that failed is NaN, as in pyradiomics.
    """
    labels, spacing = to_array(mask), mask.GetSpacing()
    regions = [
        _Region(label, box, _small(labels[box], spacing))
        for label, box in enumerate(ndimage.find_objects(labels), start=1)
        if box is not None
    ]
    values = {
        region.label: _features(plain, ("shape",), region.mask, region, "original") for region in regions
    }
    for name, image in images.items():
        voxels = to_array(image)
        for region in regions:
            body = _small(voxels[region.box], spacing)
            values[region.label] |= _features(plain, _TEXTURE, body, region, name)
    return values


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


def _small(voxels: npt.NDArray[Any], spacing: tuple[float, ...]) -> SimpleITK.Image:
    """Make an image of a cut-out; features depend on its spacing but not on its origin."""
    image = SimpleITK.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    return image
