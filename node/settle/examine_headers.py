"""Examine the headers of a study, in a worker process because they may be hostile."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from analysis.domain.acquisition import Contrast
from analysis.domain.reason import Reason, told_once
from analysis.errors import RefusedError
from analysis.identify import identify
from node.decode import SeriesHeaders, check_stack, scan
from node.domain.completeness import Candidate, Examination

__all__ = ["examine_headers"]


def examine_headers(paths: Sequence[Path]) -> Examination:
    """Sort the series of a study into candidates for analysis, with their faults, and all others.

    Parameters
    ----------
    paths : sequence of Path
        The MR instances of the study.
    """
    series, unreadable = scan(paths)
    # A source counts the objects of a series, however many frames or stacks they hold.
    objects: dict[str, set[Path]] = defaultdict(set)
    for headers in series:
        objects[headers.series_uid].update(headers.paths)
    candidates = []
    others = []
    for headers in series:
        identification = identify(headers.facts)
        if identification.usable:
            candidates.append(_candidate(headers, identification.contrast, len(objects[headers.series_uid])))
        else:
            reason = identification.reasons[-1]
            others.append(Reason("of_series", series=headers.description, reason=reason))
    return Examination(
        tuple(candidates),
        tuple(Reason("unreadable_file", reason=file.reason) for file in unreadable),
        told_once(others),
    )


def _candidate(series: SeriesHeaders, contrast: Contrast, count: int) -> Candidate:
    """Check the geometry of a series by its headers; the analysis also checks the pixels."""
    try:
        stack = check_stack(series)
    except RefusedError as error:
        return Candidate(series.series_uid, contrast, count, faults=error.reasons)
    even = f"{len(series.paths)} slices, evenly {stack.spacing_mm:.1f} mm apart"
    return Candidate(series.series_uid, contrast, count, signs=(even,))
