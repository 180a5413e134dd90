"""Reconcile the segmentations of T1 and T2 of a study: compare their outlines, and agree on the levels."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from analysis.domain.findings import Agreement
from analysis.domain.reason import Reason
from analysis.domain.segmentation import CRANIAL_TO_CAUDAL, CsfSample, Level, Region, Segmentation
from analysis.pairing.correspondence import FEWEST_PAIRS, CommonBodies
from analysis.segment.quality import USABLE_FROM

__all__ = ["reconcile_levels"]

_GOOD_OVERLAP = 0.75
"""Dice that two good outlines exceed, even between slices of 4 and 6 mm (tests/analysis/pairing)."""

_ELSEWHERE = 0.8
"""Quality factor of a CSF sample that was not taken behind L3."""

_UNCERTAIN = 0.3
"""Largest confidence in levels about which two series contradict each other."""


def reconcile_levels(
    first: Segmentation,
    second: Segmentation,
    common: CommonBodies | None,
    *,
    names: tuple[str, str] = ("T1", "T2"),
) -> tuple[Segmentation, Segmentation, Agreement]:
    """Give both series the same levels, or record that they contradict each other.

    * Same levels: the less confident series takes the confidence of the other, if the other is certain.
    * Different levels, one series certain: the other takes its levels.
    * Different levels, both or neither certain: the levels of both become uncertain.

    Parameters
    ----------
    first, second : Segmentation
        Segmentations of the same patient.
    common : CommonBodies or None
        The bodies that both show; None if the series could not be aligned.
    names : tuple of str
        Names of the series in concerns.

    Returns
    -------
    first, second : Segmentation
        With the reconciled levels. Each common body has its overlap, and a poor one lowers its quality.
    agreement : Agreement
        The result of the comparison.
    """
    pairs = common.pairs if common else ()
    told = Agreement(
        bodies=len(pairs),
        registered=common is not None and common.alignment.registered,
        residual_mm=common.residual_mm if common else None,
        overlap=float(np.mean([pair.overlap for pair in pairs])) if pairs else None,
        same_names=common is not None and common.same_names,
    )
    if len(pairs) < FEWEST_PAIRS:
        apart = Reason("not_brought_together", first=names[0], second=names[1])
        return _concerned(first, apart), _concerned(second, apart), told
    first = _compared(first, {pair.first: pair.overlap for pair in pairs}, names[1])
    second = _compared(second, {pair.second: pair.overlap for pair in pairs}, names[0])
    if told.same_names:
        return _confirmed(first, second, names[1]), _confirmed(second, first, names[0]), told
    if first.levels_certain is second.levels_certain:
        contradicted = Reason("levels_contradicted", first=names[0], second=names[1])
        return _doubted(first, contradicted), _doubted(second, contradicted), told
    if first.levels_certain:
        return first, _renamed(second, {pair.second: pair.first for pair in pairs}, first, names[0]), told
    return _renamed(first, {pair.first: pair.second for pair in pairs}, second, names[1]), second, told


def _concerned(segmentation: Segmentation, reason: Reason) -> Segmentation:
    return replace(segmentation, concerns=(*segmentation.concerns, reason))


def _compared(segmentation: Segmentation, overlaps: Mapping[Level, float], other: str) -> Segmentation:
    """Set the overlap of each region with the same body of the other series."""
    regions = tuple(
        _judged(region, overlaps[region.level], other) if region.level in overlaps else region
        for region in segmentation.regions
    )
    return replace(segmentation, regions=regions)


def _judged(region: Region, overlap: float, other: str) -> Region:
    if overlap >= _GOOD_OVERLAP:
        return replace(region, overlap=overlap)
    quality = region.quality * overlap / _GOOD_OVERLAP
    differently = Reason("outlined_differently", other=other, percent=100 * overlap)
    return replace(
        region,
        overlap=overlap,
        quality=quality,
        usable=region.usable and quality >= USABLE_FROM,
        concerns=(*region.concerns, differently),
    )


def _confirmed(segmentation: Segmentation, other: Segmentation, name: str) -> Segmentation:
    if not other.levels_certain or other.level_confidence <= segmentation.level_confidence:
        return segmentation
    if segmentation.levels_certain:
        return replace(segmentation, level_confidence=other.level_confidence)
    return _taught(segmentation, other, Reason("names_confirmed", other=name))


def _taught(segmentation: Segmentation, other: Segmentation, told: Reason) -> Segmentation:
    """Give an uncertain series the confidence of the other; its own concerns are kept inside the new one."""
    if segmentation.concerns:
        told = Reason("by_itself", told=told, doubts=segmentation.concerns)
    return replace(
        segmentation,
        level_confidence=other.level_confidence,
        levels_certain=True,
        concerns=(told,),
    )


def _doubted(segmentation: Segmentation, reason: Reason) -> Segmentation:
    confidence = min(segmentation.level_confidence, _UNCERTAIN)
    return replace(_concerned(segmentation, reason), level_confidence=confidence, levels_certain=False)


def _renamed(
    segmentation: Segmentation, known: Mapping[Level, Level], sure: Segmentation, name: str
) -> Segmentation:
    renaming = _rename([region.level for region in segmentation.regions], known)
    table = np.zeros(max(Level) + 1, np.uint8)
    for old, new in renaming.items():
        table[old] = new
    regions = tuple(
        replace(region, level=renaming[region.level])
        for region in segmentation.regions
        if region.level in renaming
    )
    renamed = replace(
        segmentation,
        labels=table[segmentation.labels],
        regions=tuple(sorted(regions, key=lambda region: CRANIAL_TO_CAUDAL.index(region.level))),
        csf=_moved_csf(segmentation.csf, renaming.get(Level.L3)),
    )
    return _taught(renamed, sure, Reason("names_taken", other=name))


def _moved_csf(csf: CsfSample | None, behind: Level | None) -> CsfSample | None:
    """Keep a CSF sample that was taken behind another level than L3, at a lower quality."""
    if csf is None or behind is None or behind is Level.L3:
        return csf
    elsewhere = Reason("fluid_elsewhere", level=behind.name)
    return CsfSample(csf.mask, _ELSEWHERE * csf.quality, (*csf.concerns, elsewhere))


def _rename(levels: list[Level], known: Mapping[Level, Level]) -> dict[Level, Level]:
    """Map old levels to new ones, from head to foot.

    Bodies without a counterpart are counted on from the nearest known one. A body for which no level is left
    (above T11, or between two consecutive levels) is dropped.
    """
    at = [CRANIAL_TO_CAUDAL.index(known[level]) if level in known else None for level in levels]
    anchors = [number for number, rank in enumerate(at) if rank is not None]
    taken = {rank for rank in at if rank is not None}
    renaming = {}
    for number, level in enumerate(levels):
        rank = at[number]
        if rank is None:
            anchor = min(anchors, key=lambda one: abs(one - number))
            rank = (at[anchor] or 0) + number - anchor
            if rank in taken or not 0 <= rank < len(CRANIAL_TO_CAUDAL):
                continue
            taken.add(rank)
        renaming[level] = CRANIAL_TO_CAUDAL[rank]
    return renaming
