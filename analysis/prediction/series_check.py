"""Whether the series of a study can be learned from or predicted from, whatever the model."""

from collections.abc import Iterator

from analysis.domain.findings import SeriesFindings
from analysis.domain.reason import Reason
from analysis.measurement.vbq import MINIMUM_CSF_QUALITY, too_shaded
from analysis.settings import AnalysisSettings

__all__ = ["has_reference", "left_out_bodies", "objections_to_pair", "objections_to_series"]

_DISTURBED = frozenset(
    {
        "body_brighter",
        "body_darker",
        "contrast_unclear",
        "focal_bright",
        "focal_dark",
        "focal_elsewhere",
        "height_loss",
        "signal_void",
    }
)
"""Codes of concerns that change the signal of the marrow for reasons other than its density."""


def objections_to_series(
    found: SeriesFindings, sequence: str, settings: AnalysisSettings
) -> Iterator[Reason]:
    """Yield the reasons against using a series for training or prediction, for any model.

    Parameters
    ----------
    found : SeriesFindings
        The findings of the series.
    sequence : str
        "T1" or "T2", for the sentences.
    settings : AnalysisSettings
        The minimum number of levels and the reference of the signals.

    Yields
    ------
    Reason
        One for each objection.
    """
    if not found.identification.usable:
        yield Reason("series_not_plain", sequence=sequence)
    yield from _about_spine(found, sequence, settings)
    if not has_reference(found, settings):
        yield Reason("reference_invalid", sequence=sequence)
    if settings.features.reference == "csf" and too_shaded(found.bone_quality.concerns):
        yield Reason("reference_shaded", sequence=sequence)


def has_reference(found: SeriesFindings, settings: AnalysisSettings) -> bool:
    """Tell whether the signals of a series have a valid reference, without which features say nothing."""
    quality = found.bone_quality
    return settings.features.reference != "csf" or (
        quality.csf_signal is not None and quality.csf_quality >= MINIMUM_CSF_QUALITY
    )


def _about_spine(found: SeriesFindings, sequence: str, settings: AnalysisSettings) -> Iterator[Reason]:
    usable = found.segmentation.usable_lumbar
    if len(usable) < settings.minimum_usable_levels:
        minimum = settings.minimum_usable_levels
        yield Reason("few_usable_bodies", sequence=sequence, usable=len(usable), minimum=minimum)
    if not found.segmentation.levels_certain:
        yield Reason("levels_uncertain", sequence=sequence)
    for number, region in enumerate(found.segmentation.regions, start=1):
        if region not in usable:
            continue
        # A wrong name is worse than none.
        certain = found.segmentation.levels_certain
        level = region.level.name if certain else Reason("body_number", number=number)
        for concern in _disturbances(region.concerns):
            yield Reason("body_disturbed", sequence=sequence, level=level, concern=concern)
    for concern in _disturbances(found.segmentation.concerns):
        yield Reason("series_disturbed", sequence=sequence, concern=concern)


def _disturbances(concerns: tuple[Reason, ...]) -> Iterator[Reason]:
    return (concern for concern in concerns if concern.code in _DISTURBED)


def left_out_bodies(found: SeriesFindings, sequence: str) -> Iterator[Reason]:
    """Yield disturbances of bodies that were left out, because the reader of an answer must know them."""
    for region in found.segmentation.regions:
        if region.level.lumbar and not region.usable:
            for concern in _disturbances(region.concerns):
                yield Reason("body_left_out", sequence=sequence, level=region.level.name, concern=concern)


def objections_to_pair(first: SeriesFindings, second: SeriesFindings) -> Iterator[Reason]:
    """Yield the reasons against reading T1 and T2 of a study together, for any model.

    Features are means over the usable bodies. Those of two sequences describe one patient alike only if they
    are of the same bodies, and that is known only if the images could be brought together.

    Parameters
    ----------
    first, second : SeriesFindings
        The findings of T1 and of T2.

    Yields
    ------
    Reason
        One for each objection.
    """
    yield from (one for one in first.segmentation.concerns if one.code == "not_brought_together")
    used = [tuple(region.level.name for region in one.segmentation.usable_lumbar) for one in (first, second)]
    if used[0] != used[1]:
        names = [one.identification.contrast.value for one in (first, second)]
        of_first, of_second = (", ".join(levels) or "-" for levels in used)
        yield Reason("other_bodies", first=names[0], second=names[1], of_first=of_first, of_second=of_second)
