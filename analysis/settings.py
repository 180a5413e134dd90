"""The settings of the analysis; each default is our choice, explained beside it."""

import json
from dataclasses import asdict, dataclass, field
from hashlib import sha256

from analysis.domain.findings import Target
from analysis.domain.published import BEST_SEQUENCE
from analysis.domain.segmentation import Level

__all__ = [
    "BACKENDS",
    "EMBEDDED",
    "FILTERS",
    "MASKS",
    "ONNX",
    "PROGRAMS",
    "AnalysisSettings",
    "FeatureSettings",
    "SegmentationSettings",
]

EMBEDDED, MASKS, ONNX = "embedded", "masks", "onnx"
PROGRAMS = ("totalspineseg", "spineps", "totalsegmentator")
"""Back ends that are programs installed by the site."""

BACKENDS = (EMBEDDED, MASKS, ONNX, *PROGRAMS)
"""All segmentation back ends."""

FILTERS = ("Original", "LoG")
"""Images whose texture is measured. A wavelet transform is not among them: its filters cannot be limited to a
body, and between slices 3 to 6 mm apart they mean nothing."""

_CALCULATION = 3
"""Part of every digest; raised whenever the same settings give other features, so that no model meets
features that it was not trained with. 1: the filters read all tissue around the bodies; 2: bodies only,
by diffusion; 3: bodies only, continued by their nearest value."""


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """How radiomics are calculated; a model is valid only for the settings that it was trained with.

    Attributes
    ----------
    filters : tuple of str
        Among `FILTERS`. "LoG" is the Laplacian of Gaussian within slice and body.
    log_sigma_mm : tuple of float
        Standard deviations of the Laplacian of Gaussian, in mm.
    bin_count : int
        Grey levels per region. MR signal has arbitrary units, for which the IBSI recommends a fixed number
        of bins rather than a fixed bin width; 32 is in the middle of its suggestions.
    reference : str
        Signals are expressed as a percentage of this. "csf": median of the CSF at L3, as for VBQ, which
        keeps signal levels comparable between scanners; without a valid CSF sample the model abstains.
        "body": median of all usable lumbar bodies, which needs no CSF but removes the signal level.
    in_plane : bool
        Whether texture is calculated within slices only. Sagittal slices are 3 to 6 mm apart, about ten
        pixels, so voxels of adjacent slices are not neighbours in tissue.
    pixel_spacing_mm : float
        Pixel size in plane to which images are resampled; texture depends on it.
    erosion_mm : float
        Margin removed from the border of a body in plane, so that endplates and cortex stay outside.
    """

    filters: tuple[str, ...] = ("Original", "LoG")
    log_sigma_mm: tuple[float, ...] = (2.0, 4.0)
    bin_count: int = 32
    reference: str = "csf"
    in_plane: bool = True
    pixel_spacing_mm: float = 1.0
    erosion_mm: float = 1.5

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown filter, which would otherwise be left out silently."""
        unknown = set(self.filters) - set(FILTERS)
        if unknown:
            raise ValueError(f"no such filter: {', '.join(sorted(unknown))}")

    def digest(self) -> str:
        """SHA-256 (hex) of all settings and the calculation; a model bundle is bound to it."""
        return _digest(asdict(self))


@dataclass(frozen=True, slots=True)
class SegmentationSettings:
    """Which segmenter outlines the bodies, and how its masks are read.

    Paths of mask folders, models and programs do not change results and are not part of the settings;
    `Segmentation.method` names the file that was used.

    Attributes
    ----------
    backend : str
        One of `BACKENDS`.
    labels : tuple of (str, int)
        Meaning of the values in a NIfTI mask: names of `Level`, and "canal" for the spinal canal.
    whole_vertebrae : bool
        Whether masks from elsewhere include the posterior elements, which are then cut off.
    arguments : tuple of str
        Additional arguments for a program.
    """

    backend: str = EMBEDDED
    labels: tuple[tuple[str, int], ...] = tuple((level.name, int(level)) for level in Level)
    whole_vertebrae: bool = False
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """All settings that change the values of a result.

    Attributes
    ----------
    features : FeatureSettings
        Radiomics.
    preferred : dict of Target to str
        What answers each target if it is usable, one of `analysis.domain.basis.BASES`.
    minimum_usable_levels : int
        With fewer usable lumbar bodies a series is refused, and with fewer scored bodies it has no VBQ
        score. A site's configuration can set it from 1 to 5.
    segmentation : SegmentationSettings
        The segmenter.
    """

    features: FeatureSettings = field(default_factory=FeatureSettings)
    preferred: dict[Target, str] = field(
        default_factory=lambda: {target: sequence.value for target, sequence in BEST_SEQUENCE.items()}
    )
    minimum_usable_levels: int = 3
    segmentation: SegmentationSettings = field(default_factory=SegmentationSettings)

    def digest(self) -> str:
        """SHA-256 (hex) of all settings; every report cites it."""
        return _digest(asdict(self))


def _digest(settings: dict[str, object]) -> str:
    told = settings | {"calculation": _CALCULATION}
    return sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
