"""Vertebral bone quality: how bright the marrow is beside the cerebrospinal fluid.

Fat brightens the marrow of weak bone on T1, so the score rises as density falls. It needs no model and no
training: a site can use it from the first day, and every model has to beat it.

References
----------
Ehresmann et al., Spine J 2020;20:50-59: median signal of L1 to L4 over that of the CSF at L3, on
mid-sagittal T1 without contrast agent.
"""

import numpy as np

from analysis.domain.findings import BoneQuality
from analysis.domain.reason import Reason
from analysis.domain.segmentation import MINIMUM_USABLE_LEVELS, Level, Segmentation
from analysis.domain.volume import Volume
from analysis.midsagittal import mid_body

__all__ = [
    "MINIMUM_CSF_QUALITY",
    "SCORED_LEVELS",
    "bone_quality",
    "csf_reference",
    "level_scores",
]

MINIMUM_CSF_QUALITY = 0.5
"""Below this the CSF is no reference (`CsfSample.quality`)."""

SCORED_LEVELS = (Level.L1, Level.L2, Level.L3, Level.L4)
"""The bodies of the published score."""

_BORDER_MM = 3.0  # cortex, endplate and their partial volume; the published region avoids them
_MINIMUM_PIXELS = 20
_DARKEST_CSF = 1e-3  # of the brightest voxel; below this the fluid has no signal to divide by


def bone_quality(volume: Volume, segmentation: Segmentation) -> BoneQuality:
    """Vertebral bone quality score of one series.

    The median over the levels of the median signal in the middle of each body, over that of the CSF.

    Parameters
    ----------
    volume : Volume
        A sagittal series; on T1 the value is the published score, on T2 the "T2-VBQ".
    segmentation : Segmentation
        Its labelled bodies and CSF, on the same grid.

    Returns
    -------
    BoneQuality
        Without a score, and with concerns, when the CSF is missing or doubtful, the levels are not certain,
        or fewer than `MINIMUM_USABLE_LEVELS` of L1 to L4 can be measured.
    """
    csf_signal, concerns = csf_reference(volume, segmentation)
    quality = segmentation.csf.quality if segmentation.csf else 0.0
    signals = _body_signals(volume, segmentation, SCORED_LEVELS)
    missing = [level.name for level in SCORED_LEVELS if level not in signals]
    if missing:
        concerns += (Reason("not_measured", levels=", ".join(missing)),)
    if not segmentation.levels_certain:
        concerns += (Reason("scored_bodies_uncertain"),)
    enough = len(signals) >= MINIMUM_USABLE_LEVELS
    if not enough:
        concerns += (Reason("few_scored_bodies", minimum=MINIMUM_USABLE_LEVELS),)
    score = None
    if csf_signal is not None and enough and segmentation.levels_certain:
        score = float(np.median(list(signals.values()))) / csf_signal
    return BoneQuality(score, tuple(signals), csf_signal, quality, concerns)


def level_scores(volume: Volume, segmentation: Segmentation, csf_signal: float | None) -> dict[Level, float]:
    """Score of every lumbar body by itself.

    Parameters
    ----------
    volume, segmentation : Volume, Segmentation
        As for `bone_quality`.
    csf_signal : float or None
        The reference (`BoneQuality.csf_signal`); None gives no scores.

    Returns
    -------
    dict of Level to float
        Of the usable bodies among L1 to L5.
    """
    if csf_signal is None:
        return {}
    lumbar = tuple(level for level in Level if level.lumbar)
    return {
        level: signal / csf_signal for level, signal in _body_signals(volume, segmentation, lumbar).items()
    }


def csf_reference(volume: Volume, segmentation: Segmentation) -> tuple[float | None, tuple[Reason, ...]]:
    """Signal of the cerebrospinal fluid at L3, or why there is none.

    Returns
    -------
    signal : float or None
        Median over the sample.
    concerns : tuple of Reason
        What is doubtful about it; never empty when it is None.
    """
    sample = segmentation.csf
    if sample is None or not sample.mask.any():
        return None, (Reason("fluid_not_found"),)
    if not sample.quality >= MINIMUM_CSF_QUALITY:
        return None, (*sample.concerns, Reason("fluid_not_good"))
    signal = float(np.median(volume.voxels[sample.mask]))
    if not signal > _DARKEST_CSF * float(volume.voxels.max()):
        return None, (*sample.concerns, Reason("fluid_without_signal"))
    return signal, sample.concerns


def _body_signals(
    volume: Volume, segmentation: Segmentation, levels: tuple[Level, ...]
) -> dict[Level, float]:
    """Median signal in the middle of each usable body among `levels`."""
    usable = {region.level for region in segmentation.usable_lumbar}
    signals = {}
    for level in levels:
        sample = volume.voxels[mid_body(segmentation, level, border_mm=_BORDER_MM)] if level in usable else ()
        if len(sample) >= _MINIMUM_PIXELS:
            signals[level] = float(np.median(sample))
    return signals
