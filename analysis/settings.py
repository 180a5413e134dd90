"""The knobs of the science, every one with the choice we made and why it is ours."""

import json
from dataclasses import asdict, dataclass, field
from hashlib import sha256

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Target

__all__ = ["AnalysisSettings", "FeatureSettings"]


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """How radiomics are taken; a model is valid only for the settings it was trained with.

    Attributes
    ----------
    filters : tuple of str
        Among "Original", "LoG", "Wavelet".
    log_sigma_mm : tuple of float
        Widths of the Laplacian of Gaussian, in mm.
    bin_width : float
        Width of a grey level after normalisation. The reference below is set to 100, so 5 gives about
        20 to 40 levels in a vertebral body, within the 16 to 128 that pyradiomics recommends.
    reference : str
        What signals are divided by before binning: "csf" (its median at L3) or "body" (the median of all
        usable lumbar bodies). MR signal has no unit, so without a reference bins mean nothing; "body" needs no CSF.
    in_plane : bool
        Texture within slices only: sagittal slices are 3 to 6 mm apart, ten times the pixel, so that neighbours
        across slices are not neighbours in tissue.
    pixel_spacing_mm : float
        In-plane pixel that images are resampled to first; texture depends on it.
    erosion_mm : float
        Taken off the border of a body in plane, so that endplate and cortex stay outside.
    """

    filters: tuple[str, ...] = ("Original", "LoG")
    log_sigma_mm: tuple[float, ...] = (2.0, 4.0)
    bin_width: float = 5.0
    reference: str = "body"
    in_plane: bool = True
    pixel_spacing_mm: float = 1.0
    erosion_mm: float = 1.5

    def digest(self) -> str:
        """SHA-256 (hex) of all settings; what a model bundle is bound to."""
        return _digest(asdict(self))


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """What decides the values of a result, apart from its input and the model.

    Attributes
    ----------
    features : FeatureSettings
        Radiomics.
    preferred : dict of Target to Contrast
        The sequence that suits each target (Front Endocrinol 2026;17:1823826).
    minimum_usable_levels : int
        Fewer usable bodies than this is a refusal.
    """

    features: FeatureSettings = field(default_factory=FeatureSettings)
    preferred: dict[Target, Contrast] = field(
        default_factory=lambda: {Target.OSTEOPOROSIS: Contrast.T1, Target.ABNORMAL_DENSITY: Contrast.T2}
    )
    minimum_usable_levels: int = 3

    def digest(self) -> str:
        """SHA-256 (hex) of all settings; cited in every report."""
        return _digest(asdict(self))


def _digest(settings: dict[str, object]) -> str:
    return sha256(json.dumps(settings, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
