"""Choose the one T1 and the one T2 series of a study that are analysed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from analysis.domain.acquisition import Contrast, Identification, Plane
from analysis.domain.findings import SeriesInput, SeriesRefusal
from analysis.domain.reason import Reason
from analysis.identify.clues import known
from analysis.identify.identification import identify
from analysis.identify.region import coverage_mm, field_of_view_mm

__all__ = ["Choice", "choose", "describe_series"]

_Candidate: TypeAlias = tuple[SeriesInput, Identification]

_ENOUGH_COVERAGE_MM = 60.0
"""Slices over this width show the whole bodies; a wider stack shows no more of them."""

_ENOUGH_FIELD_MM = 220.0
"""A field of view of this length shows L1 to S1."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Which series to analyse.

    Attributes
    ----------
    chosen : tuple of (SeriesInput, Identification)
        T1 before T2, at most one each; may be empty.
    set_aside : tuple of SeriesRefusal
        All other series, with reasons, in the order given.
    """

    chosen: tuple[_Candidate, ...]
    set_aside: tuple[SeriesRefusal, ...]


def choose(series: Sequence[SeriesInput]) -> Choice:
    """Pick the best sagittal T1 and T2 of a study.

    Parameters
    ----------
    series : sequence of SeriesInput
        All series that could be decoded; the choice does not depend on their order.

    Returns
    -------
    Choice
        With a reason for every series that is not chosen.
    """
    identified = [(one, identify(one.facts)) for one in series]
    best: dict[Contrast, _Candidate] = {}
    for contrast in (Contrast.T1, Contrast.T2):
        candidates = [found for found in identified if found[1].usable and found[1].contrast is contrast]
        if candidates:
            best[contrast] = min(candidates, key=_rank)
    chosen = tuple(best.values())
    left = [found for found in identified if all(found[0] is not one for one, _ in chosen)]
    return Choice(chosen, tuple(_refusal(found, best) for found in left))


_CRITERIA: tuple[tuple[Callable[[_Candidate], float], str], ...] = (
    (lambda found: found[1].lumbar is not True, "merit_lumbar"),
    (lambda found: found[0].facts.image_type[:1] == ("DERIVED",), "merit_original"),
    (lambda found: known(found[0].facts.inversion_time_ms) > 0, "merit_no_inversion"),
    (lambda found: -found[1].score, "merit_certain"),
    (
        lambda found: -round(min(coverage_mm(found[0].facts), _ENOUGH_COVERAGE_MM)),
        "merit_coverage",
    ),
    (
        lambda found: -round(min(field_of_view_mm(found[0].facts), _ENOUGH_FIELD_MM)),
        "merit_view",
    ),
    (lambda found: round(_pixel_mm(found[0]), 2), "merit_pixels"),
    (lambda found: round(found[0].volume.grid.spacing_mm[0], 1), "merit_slices"),
)
"""Keys by which candidates are ranked, most important first; lower is better.

The code names the merit of the series that wins by that key.
"""


def _rank(found: _Candidate) -> tuple[list[float], str]:
    # The UID breaks ties, so that the same study always gives the same choice.
    return [measure(found) for measure, _ in _CRITERIA], found[0].series_uid


def _pixel_mm(one: SeriesInput) -> float:
    return max(one.volume.grid.spacing_mm[1:])


def _refusal(found: _Candidate, best: dict[Contrast, _Candidate]) -> SeriesRefusal:
    one, identification = found
    reasons, contrast = identification.reasons, None
    if identification.usable:
        contrast = identification.contrast
        reasons = (*reasons, _why_another(found, best[contrast]))
    return SeriesRefusal(one.series_uid, describe_series(one, identification), reasons, contrast)


def _why_another(found: _Candidate, winner: _Candidate) -> Reason:
    contrast = found[1].contrast
    for measure, merit in _CRITERIA:
        if measure(winner) < measure(found):
            return Reason("another_analysed", contrast=contrast, merit=Reason(merit))
    return Reason("another_alike", contrast=contrast)


def describe_series(source: SeriesInput, identification: Identification) -> Reason:
    """Describe a series for a report ("sagittal T1w, 15 slices"), without patient data."""
    unsure = identification.contrast is Contrast.UNSURE
    contrast = Reason("unknown_kind") if unsure else identification.contrast
    slices = source.volume.grid.shape[0]
    if identification.plane is Plane.UNKNOWN:
        return Reason("series_of_unknown_plane", contrast=contrast, slices=slices)
    return Reason("series", plane=identification.plane, contrast=contrast, slices=slices)
