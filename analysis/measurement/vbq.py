"""Vertebral bone quality (VBQ): the signal of the marrow divided by that of the cerebrospinal fluid.

Fat brightens the marrow of weak bone on T1, so the score rises as density falls. It needs no trained model,
and it is a baseline that every model has to beat.

The published score is the median signal of L1 to L4 over that of the CSF at L3, on mid-sagittal T1 without
contrast agent.

References
----------
Ehresman J, Pennington Z, Schilling A, et al. Novel MRI-based score for assessment of bone density in
operative spine patients. Spine J 2020;20:556-562.

The mean on T1 depends on field strength: 2.77 at 1.5 T and 2.20 at 3 T (doi 10.1186/s13018-023-04268-5).
For T2 there is no normal range: 0.60 and 0.55 are the means of patients with a fracture and of controls
matched to them in one study (Huang 2025, doi 10.1177/21925682251339995).
"""

import numpy as np

from analysis.domain.findings import BoneQuality
from analysis.domain.reason import Reason
from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Volume
from analysis.measurement.midsagittal import mid_body
from analysis.measurement.shading import BORDER_MM, MINIMUM_PIXELS, shading_of_ratio

__all__ = [
    "MINIMUM_CSF_QUALITY",
    "SCORED_LEVELS",
    "bone_quality",
    "csf_reference",
    "level_scores",
    "too_shaded",
]

MINIMUM_CSF_QUALITY = 0.5
"""Below this quality (`CsfSample.quality`) the CSF is not used as a reference."""

SCORED_LEVELS = (Level.L1, Level.L2, Level.L3, Level.L4)
"""The bodies of the published score."""

_TOLD, _WITHHELD = 0.15, 0.65
"""Logarithm of `shading_of_ratio` from which shading is told, and from which there is no score. With an even
coil, 95 % of simulated T1 have -0.04 to 0.06, of T2 -0.10 to 0.15. On real T2 whose marrow is outlined in
front of the fluid and behind it, the estimate is up to 0.36 too far from 0. From 0.65 the score is wrong by a
quarter all the same."""
_DARKEST_CSF = 1e-3  # of the brightest voxel; below this the fluid has no signal to divide by


def bone_quality(volume: Volume, segmentation: Segmentation, *, minimum_usable_levels: int) -> BoneQuality:
    """Calculate the vertebral bone quality score of one series.

    The score is the median over the levels of the median signal in the middle of each body, divided by the
    median signal of the CSF.

    Parameters
    ----------
    volume : Volume
        A sagittal series; on T1 the value is the published score, on T2 the "T2-VBQ".
    segmentation : Segmentation
        Its labelled bodies and CSF, on the same grid.
    minimum_usable_levels : int
        With fewer measurable bodies among L1 to L4 there is no score; a larger number than 4 means all four
        (`AnalysisSettings.minimum_usable_levels`).

    Returns
    -------
    BoneQuality
        Without a score, and with concerns, if the CSF is missing or doubtful, the levels are uncertain, too
        few bodies can be measured, or the shading of the coil is strong.
    """
    csf_signal, concerns = csf_reference(volume, segmentation)
    quality = segmentation.csf.quality if segmentation.csf else 0.0
    signals = _body_signals(volume, segmentation, SCORED_LEVELS)
    missing = [level.name for level in SCORED_LEVELS if level not in signals]
    if missing:
        concerns += (Reason("not_measured", levels=", ".join(missing)),)
    if not segmentation.levels_certain:
        concerns += (Reason("scored_bodies_uncertain"),)
    minimum = min(minimum_usable_levels, len(SCORED_LEVELS))
    enough = len(signals) >= minimum
    if not enough:
        concerns += (Reason("few_scored_bodies", minimum=minimum),)
    shaded = None if csf_signal is None else shading_of_ratio(volume, segmentation, tuple(signals))
    shading = _about_shading(shaded)
    concerns += shading
    score = None
    if csf_signal is not None and enough and segmentation.levels_certain and not too_shaded(shading):
        score = float(np.median(list(signals.values()))) / csf_signal
    return BoneQuality(score, tuple(signals), csf_signal, quality, concerns)


def too_shaded(concerns: tuple[Reason, ...]) -> bool:
    """Tell whether the concerns about a score say that shading is too strong for any ratio to the fluid."""
    return any(concern.code == "shading_strong" for concern in concerns)


def _about_shading(factor: float | None) -> tuple[Reason, ...]:
    """Return what the reader must know of the shading of the coil."""
    if factor is None or abs(np.log(factor)) < _TOLD:
        return ()
    strong = abs(np.log(factor)) >= _WITHHELD
    return (Reason("shading_strong" if strong else "shading", change=100.0 * (factor - 1.0)),)


def level_scores(volume: Volume, segmentation: Segmentation, csf_signal: float | None) -> dict[Level, float]:
    """Calculate the score of every single lumbar body.

    Parameters
    ----------
    volume, segmentation : Volume, Segmentation
        As for `bone_quality`.
    csf_signal : float or None
        Signal of the CSF (`BoneQuality.csf_signal`); None gives no scores.

    Returns
    -------
    dict of Level to float
        Scores of the usable bodies among L1 to L5.
    """
    if csf_signal is None:
        return {}
    lumbar = tuple(level for level in Level if level.lumbar)
    return {
        level: signal / csf_signal for level, signal in _body_signals(volume, segmentation, lumbar).items()
    }


def csf_reference(volume: Volume, segmentation: Segmentation) -> tuple[float | None, tuple[Reason, ...]]:
    """Return the signal of the cerebrospinal fluid at L3, or why there is none.

    Returns
    -------
    signal : float or None
        Median over the sample; None without a valid sample.
    concerns : tuple of Reason
        Concerns about the sample; never empty if the signal is None.
    """
    sample = segmentation.csf
    if sample is None or not sample.part.mask.any():
        return None, (Reason("fluid_not_found"),)
    if not sample.quality >= MINIMUM_CSF_QUALITY:
        return None, (*sample.concerns, Reason("fluid_not_good"))
    signal = float(np.median(volume.values(sample.part)))
    if not signal > _DARKEST_CSF * float(volume.voxels.max()):
        return None, (*sample.concerns, Reason("fluid_without_signal"))
    return signal, sample.concerns


def _body_signals(
    volume: Volume, segmentation: Segmentation, levels: tuple[Level, ...]
) -> dict[Level, float]:
    """Return the median signal in the middle of each usable body among `levels`."""
    usable = {region.level for region in segmentation.usable_lumbar}
    signals = {}
    for level in levels:
        if level not in usable:
            continue
        sample = volume.values(mid_body(segmentation, level, border_mm=BORDER_MM))
        if len(sample) >= MINIMUM_PIXELS:
            signals[level] = float(np.median(sample))
    return signals
