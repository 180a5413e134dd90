"""Identify a series by its header: contrast, plane and region, each with the reason."""

from analysis.domain.acquisition import AcquisitionFacts, Contrast, Identification, Plane
from analysis.identify.clues import clues
from analysis.identify.contrast import weighting
from analysis.identify.region import plane, shows_lumbar_spine

__all__ = ["identify"]


def identify(facts: AcquisitionFacts) -> Identification:
    """Tell what a series is from its header.

    Parameters
    ----------
    facts : AcquisitionFacts
        What the header holds; any fact may be missing.

    Returns
    -------
    Identification
        With `Contrast.UNSURE` rather than a guess. The decisive reason comes last; for an unusable series
        it says why the series is unusable.

    Examples
    --------
    >>> found = identify(
    ...     AcquisitionFacts(repetition_time_ms=520, echo_time_ms=11, series_description="LWS t1 sag")
    ... )
    >>> found.contrast, found.plane, found.lumbar
    (<Contrast.T1: 'T1'>, <Plane.SAGITTAL: 'sagittal'>, True)
    >>> found.reasons[-1]
    'TR 520 ms and TE 11 ms make it T1w'
    """
    given = clues(facts)
    contrast, score, why_contrast = weighting(given)
    orientation, why_plane = plane(given)
    lumbar, why_lumbar = shows_lumbar_spine(given, orientation)
    # Reasons for the use of the series come first, reasons against it last.
    decided = sorted(
        (
            (orientation is not Plane.SAGITTAL, (why_plane,)),
            (lumbar is False, (why_lumbar,)),
            (contrast not in {Contrast.T1, Contrast.T2}, why_contrast),
        ),
        key=lambda part: part[0],
    )
    reasons = tuple(reason for _, part in decided for reason in part)
    return Identification(contrast, orientation, lumbar, score, reasons)
