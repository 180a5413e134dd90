"""Tell what was decided of each series of a study, in a worker process because headers may be hostile."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydicom import dcmread

from analysis.domain.reason import told_once, weighting
from analysis.errors import RefusedError
from analysis.identify import identify
from node.decode import SeriesHeaders, check_stack, scan
from node.domain.completeness import SeriesDecision

__all__ = ["tell_series"]


def tell_series(images: Sequence[Path], segmentations: Sequence[Path]) -> tuple[SeriesDecision, ...]:
    """Judge each series by its headers, and tell whether results are made of it.

    Parameters
    ----------
    images : sequence of Path
        The MR instances of the study.
    segmentations : sequence of Path
        The segmentations among its results, which name the series that they are about.

    Returns
    -------
    tuple of SeriesDecision
        First those that the results are made of, then the others, then the files that cannot be read.
    """
    used = {uid for path in segmentations for uid in _series_of(path)}
    series, unreadable = scan(images)
    told = [_decision(one, used, has_results=bool(segmentations)) for one in series]
    told.sort(key=lambda one: not one.is_used)
    broken = told_once(file.reason for file in unreadable)
    return (*told, *(SeriesDecision("", "unreadable", is_used=False, words=str(words)) for words in broken))


def _series_of(segmentation: Path) -> Iterator[str]:
    tags = ["ReferencedSeriesSequence"]
    header = dcmread(segmentation, stop_before_pixels=True, specific_tags=list(tags))
    for item in header.get("ReferencedSeriesSequence", ()):
        yield str(item.SeriesInstanceUID)


def _decision(series: SeriesHeaders, used: set[str], *, has_results: bool) -> SeriesDecision:
    is_used = series.series_uid in used
    return SeriesDecision(
        series.series_uid,
        str(series.description),
        is_used,
        _words(series, is_used=is_used, has_results=has_results),
    )


def _words(series: SeriesHeaders, *, is_used: bool, has_results: bool) -> str:
    identification = identify(series.facts)
    if not identification.usable:
        return f"not analysed: {identification.reasons[-1]}"
    what = f"sagittal lumbar {weighting(identification.contrast)}"
    try:
        spacing_mm = check_stack(series).spacing_mm
    except RefusedError as error:
        return f"{what}, and not analysed: {'; '.join(error.reasons)}"
    whole = f"{what}, slices evenly {spacing_mm:.1f} mm apart"
    if is_used:
        return f"{whole}; the results are made of it"
    if has_results:
        return f"{whole}; not in the results: see the reason above and in the steps below"
    return f"{whole}; it can be analysed"
