"""The science in reading order: from the series of one study to its findings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analysis.domain.acquisition import Identification
from analysis.domain.findings import Agreement, Findings, Refusal, SeriesFindings, SeriesInput, SeriesRefusal
from analysis.domain.reason import Reason
from analysis.domain.segmentation import Segmentation
from analysis.errors import RefusedError
from analysis.features import aggregate, extract
from analysis.identify import choose
from analysis.measure import measure, mid_slice
from analysis.pairing.agreement import settle
from analysis.pairing.registration import align
from analysis.prediction.predict import predict
from analysis.segment import Segmenter, embedded
from analysis.settings import AnalysisSettings
from analysis.vbq import bone_quality

if TYPE_CHECKING:
    from analysis.domain.segmentation import Level
    from analysis.prediction.model import Model

__all__ = ["Progress", "analyse"]

Progress = Callable[[str], None]
"""Called with what is done next, in words."""


def analyse(
    series: Sequence[SeriesInput],
    *,
    model: "Model | None",
    settings: AnalysisSettings,
    software: str,
    set_aside: tuple[SeriesRefusal, ...] = (),
    segmenter: Segmenter = embedded,
    report_progress: Progress = lambda _step: None,
) -> Findings | Refusal:
    """Analyse one study.

    Parameters
    ----------
    series : sequence of SeriesInput
        The decoded series of the study, in any order.
    model : Model or None
        Who predicts; without one the findings hold measurements only.
    settings : AnalysisSettings
        What decides the values.
    software : str
        Name and version of this program, for the report.
    set_aside : tuple of SeriesRefusal
        Series that were refused before (not MR, a missing slice); they are listed in the result.
    segmenter : Segmenter
        Who outlines the bodies; the embedded network unless the site chose another.
    report_progress : callable
        Told the next step.

    Returns
    -------
    Findings or Refusal
        Findings when at least one series could be measured; else why not, series by series.
    """
    report_progress("identifying the series")
    choice = choose(series)
    refused = [*set_aside, *choice.set_aside]
    outlined: list[_Outlined] = []
    found: list[SeriesFindings] = []
    for source, identification in choice.chosen:
        try:
            report_progress(f"segmenting the {identification.contrast} series")
            bodies = segmenter(source, identification.contrast)
            outlined.append(_Outlined(source, identification, bodies))
        except RefusedError as error:
            refused.append(_refusal(source, identification, error))
    outlined, agreement = _share_labels(outlined, report_progress)
    for one in outlined:
        try:
            found.append(_measure_series(one, settings, report_progress))
        except RefusedError as error:
            refused.append(_refusal(one.source, one.identification, error))
    if not found:
        return Refusal(_why_nothing(choice.chosen), tuple(refused))
    report_progress("predicting")
    return Findings(
        series=tuple(found),
        set_aside=tuple(refused),
        predictions=() if model is None else predict(tuple(found), model, settings),
        model=None if model is None else model.identity,
        configuration_digest=settings.digest(),
        software=software,
        agreement=agreement,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Outlined:
    """A series and its bodies."""

    source: SeriesInput
    identification: Identification
    segmentation: Segmentation


def _share_labels(
    outlined: list[_Outlined], report_progress: Progress
) -> tuple[list[_Outlined], Agreement | None]:
    """Let T1 and T2 learn from each other which body is which, and how well their outlines agree."""
    if len(outlined) != 2:
        return outlined, None
    report_progress("comparing T1 with T2")
    first, second = outlined
    frames = {first.source.frame_of_reference, second.source.frame_of_reference} - {""}
    aligned = align(
        first.source.volume,
        first.segmentation,
        second.source.volume,
        second.segmentation,
        one_frame=len(frames) < 2,
    )
    contrasts = (first.identification.contrast.value, second.identification.contrast.value)
    one, other, agreement = settle(first.segmentation, second.segmentation, aligned, names=contrasts)
    return [replace(first, segmentation=one), replace(second, segmentation=other)], agreement


def _measure_series(
    outlined: _Outlined, settings: AnalysisSettings, report_progress: Progress
) -> SeriesFindings:
    source, segmentation = outlined.source, outlined.segmentation
    name = outlined.identification.contrast.value
    _refuse_too_few_levels(segmentation, settings.minimum_usable_levels)
    _refuse_unknown_region(outlined.identification, segmentation)
    quality = bone_quality(source.volume, segmentation)
    report_progress(f"measuring the {name} series")
    by_level: dict[Level, dict[str, float]] = {}
    # Without its reference (the CSF) a series has no comparable radiomics, but what it shows is still
    # reported; the prediction abstains and says why.
    if settings.features.reference != "csf" or quality.csf_signal is not None:
        by_level = extract(source.volume, segmentation, settings.features)
    return SeriesFindings(
        source=source,
        identification=outlined.identification,
        segmentation=segmentation,
        measurements=measure(source.volume, segmentation, quality, by_level),
        bone_quality=quality,
        patient_features=aggregate(by_level) if by_level else {},
        mid_slice=mid_slice(segmentation),
    )


def _refuse_too_few_levels(segmentation: Segmentation, minimum: int) -> None:
    usable = len(segmentation.usable_lumbar)
    if usable < minimum:
        # One sentence, because a refusal is told by its decisive reason.
        why = segmentation.judgement.reasons or (Reason("nothing_like_a_body"),)
        raise RefusedError(Reason("too_few_bodies", usable=usable, minimum=minimum, why=why))


def _refusal(source: SeriesInput, identification: Identification, error: RefusedError) -> SeriesRefusal:
    return SeriesRefusal(source.series_uid, _describe(source, identification), error.reasons)


def _refuse_unknown_region(identification: Identification, segmentation: Segmentation) -> None:
    """Where the header does not tell the part of the spine, the picture must: by its sacrum.

    A cervical or thoracic spine whose header is silent has bodies too, and would be measured as if lumbar.
    """
    if identification.lumbar is None and not segmentation.levels_certain:
        raise RefusedError(Reason("region_not_told"), *segmentation.concerns)


def _describe(source: SeriesInput, identification: Identification) -> Reason:
    slices = source.volume.grid.shape[0]
    return Reason("series", plane=identification.plane, kind=identification.contrast, slices=slices)


def _why_nothing(chosen: Sequence[tuple[SeriesInput, Identification]]) -> tuple[Reason, ...]:
    if not chosen:
        return (Reason("no_series"),)
    return (Reason("nothing_measured"),)
