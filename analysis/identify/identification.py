"""T1, T2 or anything else, and why; it never guesses."""

from analysis.domain.acquisition import AcquisitionFacts, Contrast, Identification, Plane
from analysis.identify.clues import clues
from analysis.identify.contrast import weighting
from analysis.identify.region import place, plane

__all__ = ["identify"]


def identify(facts: AcquisitionFacts) -> Identification:
    """Tell what a series is from its header.

    Parameters
    ----------
    facts : AcquisitionFacts
        As much as the header tells; silence is allowed everywhere.

    Returns
    -------
    Identification
        With `Contrast.UNSURE` rather than a guess. The reason that decides comes last: for a series that is
        not usable that is why not.

    Examples
    --------
    >>> found = identify(
    ...     AcquisitionFacts(repetition_time_ms=520, echo_time_ms=11, series_description="LWS t1 sag")
    ... )
    >>> found.contrast, found.plane, found.lumbar
    (<Contrast.T1: 'T1'>, <Plane.SAGITTAL: 'sagittal'>, True)
    >>> found.reasons[-1]
    'TR 520 ms and TE 11 ms make it T1-weighted'
    """
    given = clues(facts)
    contrast, score, why_contrast = weighting(given)
    lying, why_plane = plane(given)
    lumbar, why_lumbar = place(given, lying)
    # What speaks for the series comes first, what speaks against it last.
    decided = sorted(
        (
            (lying is not Plane.SAGITTAL, (why_plane,)),
            (lumbar is False, (why_lumbar,)),
            (contrast not in {Contrast.T1, Contrast.T2}, why_contrast),
        ),
        key=lambda part: part[0],
    )
    reasons = tuple(reason for _, part in decided for reason in part)
    return Identification(contrast, lying, lumbar, score, reasons)
