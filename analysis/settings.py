"""The knobs of the science, every one with the choice we made and why it is ours."""

import json
from dataclasses import asdict, dataclass, field
from hashlib import sha256

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Target
from analysis.domain.published import BEST_SEQUENCE
from analysis.domain.segmentation import MINIMUM_USABLE_LEVELS, Level

__all__ = [
    "BACKENDS",
    "EMBEDDED",
    "MASKS",
    "ONNX",
    "PROGRAMS",
    "AnalysisSettings",
    "FeatureSettings",
    "SegmentationSettings",
]

EMBEDDED, MASKS, ONNX = "embedded", "masks", "onnx"
PROGRAMS = ("totalspineseg", "spineps", "totalsegmentator")
"""Back ends that are programs of a site's own machine."""

BACKENDS = (EMBEDDED, MASKS, ONNX, *PROGRAMS)
"""Who can outline the bodies."""


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """How radiomics are taken; a model is valid only for the settings it was trained with.

    Attributes
    ----------
    filters : tuple of str
        Among "Original", "LoG", "Wavelet".
    log_sigma_mm : tuple of float
        Widths of the Laplacian of Gaussian, in mm.
    bin_count : int
        Grey levels per region. MR signal has no unit, and for such images the IBSI recommends a fixed
        number of levels over a fixed width; 32 lies in the middle of what it lists.
    reference : str
        What signals are divided by (times 100): "csf", its median at L3, as VBQ does, so that the level of
        the signal stays comparable between scanners; without a valid CSF the model abstains. Or "body", the
        median of all usable lumbar bodies, which needs no CSF but takes the level of the signal away.
    in_plane : bool
        Texture within slices only: sagittal slices are 3 to 6 mm apart, ten times the pixel, so voxels next
        to each other across slices are not neighbours in tissue.
    pixel_spacing_mm : float
        In-plane pixel that images are resampled to first; texture depends on it.
    erosion_mm : float
        Taken off the border of a body in plane, so that endplate and cortex stay outside.
    """

    filters: tuple[str, ...] = ("Original", "LoG")
    log_sigma_mm: tuple[float, ...] = (2.0, 4.0)
    bin_count: int = 32
    reference: str = "csf"
    in_plane: bool = True
    pixel_spacing_mm: float = 1.0
    erosion_mm: float = 1.5

    def digest(self) -> str:
        """SHA-256 (hex) of all settings; what a model bundle is bound to."""
        return _digest(asdict(self))


@dataclass(frozen=True, slots=True)
class SegmentationSettings:
    """Who outlines the bodies, and what its masks mean.

    Where a mask folder, a model or a program lies decides nothing and is no part of this; which file was
    used is told by `Segmentation.method`.

    Attributes
    ----------
    backend : str
        One of `BACKENDS`.
    labels : tuple of (str, int)
        What the numbers in a NIfTI mask mean: names of `Level`, and "canal" for the spinal canal.
    whole_vertebrae : bool
        Whether masks made elsewhere hold posterior elements, which are then cut off.
    arguments : tuple of str
        Further arguments for a program.
    """

    backend: str = EMBEDDED
    labels: tuple[tuple[str, int], ...] = tuple((level.name, int(level)) for level in Level)
    whole_vertebrae: bool = False
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """What decides the values of a result, apart from its input and the model.

    Attributes
    ----------
    features : FeatureSettings
        Radiomics.
    preferred : dict of Target to Contrast
        The sequence that each target is told from where it can be.
    minimum_usable_levels : int
        Fewer usable bodies than this is a refusal.
    segmentation : SegmentationSettings
        Who outlines the bodies.
    """

    features: FeatureSettings = field(default_factory=FeatureSettings)
    preferred: dict[Target, Contrast] = field(default_factory=lambda: dict(BEST_SEQUENCE))
    minimum_usable_levels: int = MINIMUM_USABLE_LEVELS
    segmentation: SegmentationSettings = field(default_factory=SegmentationSettings)

    def digest(self) -> str:
        """SHA-256 (hex) of all settings; cited in every report."""
        return _digest(asdict(self))


def _digest(settings: dict[str, object]) -> str:
    return sha256(json.dumps(settings, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
