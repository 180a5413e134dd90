"""The look at the headers of a study that fell quiet; in a worker process, for headers may be hostile."""

from collections.abc import Sequence
from pathlib import Path

from analysis.errors import RefusedError
from analysis.identify import identify
from node.decode import SeriesHeaders, check_stack, scan
from node.domain.assembly import Examination

__all__ = ["examine"]


def examine(paths: Sequence[Path]) -> Examination:
    """Sort the series of a study into those we analyse, those we would, and those that are not for us.

    Parameters
    ----------
    paths : sequence of Path
        Its MR instances.
    """
    series, unreadable = scan(paths)
    whole = set()
    broken = [f"unreadable file: {file.reason}" for file in unreadable]
    others = []
    for headers in series:
        identification = identify(headers.facts)
        if not identification.usable:
            others.append(f"{headers.description}: {identification.reasons[-1]}")
            continue
        faults = _faults(headers)
        if faults:
            broken += [f"{identification.contrast} series: {fault}" for fault in faults]
        else:
            whole.add(identification.contrast)
    return Examination(frozenset(whole), tuple(dict.fromkeys(broken)), tuple(dict.fromkeys(others)))


def _faults(series: SeriesHeaders) -> tuple[str, ...]:
    """Tell why a series cannot be analysed, as far as its headers show; the analysis looks closer."""
    try:
        check_stack(series)
    except RefusedError as error:
        return error.reasons
    return ()
