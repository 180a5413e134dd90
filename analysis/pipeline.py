"""The science in reading order: from the series of one study to its findings."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from analysis.domain.acquisition import Contrast, Identification
from analysis.domain.findings import Findings, Refusal, SeriesFindings, SeriesInput, SeriesRefusal
from analysis.domain.segmentation import Segmentation
from analysis.errors import RefusedError
from analysis.features import aggregate, extract
from analysis.identify import choose
from analysis.measure import measure, mid_slice
from analysis.predict import predict
from analysis.segment import Segmenter, embedded
from analysis.settings import AnalysisSettings
from analysis.vbq import bone_quality

if TYPE_CHECKING:
    from analysis.domain.segmentation import Level
    from analysis.model import Model

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
    found: list[SeriesFindings] = []
    for source, identification in choice.chosen:
        try:
            found.append(_measure_series(source, identification, settings, segmenter, report_progress))
        except RefusedError as error:
            refused.append(SeriesRefusal(source.series_uid, _describe(source, identification), error.reasons))
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
    )


def _measure_series(
    source: SeriesInput,
    identification: Identification,
    settings: AnalysisSettings,
    segmenter: Segmenter,
    report_progress: Progress,
) -> SeriesFindings:
    name = identification.contrast.value
    report_progress(f"segmenting the {name} series")
    segmentation = segmenter(source, identification.contrast)
    _refuse_too_few_levels(segmentation, settings.minimum_usable_levels)
    quality = bone_quality(source.volume, segmentation)
    report_progress(f"measuring the {name} series")
    by_level: dict[Level, dict[str, float]] = {}
    # Without its reference (the CSF) a series has no comparable radiomics, but what it shows is still
    # reported; the prediction abstains and says why.
    if settings.features.reference != "csf" or quality.csf_signal is not None:
        by_level = extract(source.volume, segmentation, settings.features)
    return SeriesFindings(
        source=source,
        identification=identification,
        segmentation=segmentation,
        measurements=measure(source.volume, segmentation, quality, by_level),
        bone_quality=quality,
        patient_features=aggregate(by_level) if by_level else {},
        mid_slice=mid_slice(segmentation),
    )


def _refuse_too_few_levels(segmentation: Segmentation, minimum: int) -> None:
    usable = len(segmentation.usable_lumbar)
    if usable < minimum:
        raise RefusedError(
            f"only {usable} usable lumbar vertebral bodies were found, and {minimum} are needed",
            *segmentation.concerns,
        )


def _describe(source: SeriesInput, identification: Identification) -> str:
    return f"{identification.plane} {identification.contrast}, {source.volume.grid.shape[0]} slices"


def _why_nothing(chosen: Sequence[tuple[SeriesInput, Identification]]) -> tuple[str, ...]:
    if not chosen:
        return (f"no sagittal {Contrast.T1} or {Contrast.T2} series of the lumbar spine was found",)
    return ("the series that were found could not be measured",)
