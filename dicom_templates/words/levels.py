"""How vertebral bodies are named in a report: by level, or by number where the level is not certain."""

from itertools import pairwise

from analysis.domain.findings import SeriesFindings
from analysis.domain.segmentation import Level
from dicom_templates.words.texts import Texts

__all__ = ["level_names", "level_range"]


def level_names(found: SeriesFindings, texts: Texts) -> dict[Level, str]:
    """Name every region of a series.

    Parameters
    ----------
    found : SeriesFindings
        An analysed series.
    texts : Texts
        The language of numbered bodies.

    Returns
    -------
    dict of Level to str
        "L1"; or "body 1" from cranial to caudal where `levels_certain` is False, because a wrong level is
        worse than none.
    """
    segmentation = found.segmentation
    if segmentation.levels_certain:
        return {region.level: region.level.name for region in segmentation.regions}
    return {
        region.level: texts("numbered_body", number=str(number))
        for number, region in enumerate(segmentation.regions, start=1)
    }


def level_range(levels: tuple[Level, ...], names: dict[Level, str]) -> str:
    """Write levels briefly: "L1-L4" when they follow each other, else "L1, L3, L4".

    Parameters
    ----------
    levels : tuple of Level
        From cranial to caudal.
    names : dict of Level to str
        From `level_names`.

    Returns
    -------
    str

    Examples
    --------
    >>> names = {level: level.name for level in Level}
    >>> level_range((Level.L1, Level.L2, Level.L3), names), level_range((Level.L1, Level.L3), names)
    ('L1-L3', 'L1, L3')
    """
    named = [names[level] for level in levels if level in names]
    consecutive = all(lower - upper == 1 for upper, lower in pairwise(levels))
    if len(named) > 2 and consecutive:
        return f"{named[0]}-{named[-1]}"
    return ", ".join(named)
