"""The analysis step by step: from the series of one study to its findings."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analysis.domain.acquisition import Identification
from analysis.domain.basis import AgeAndSex
from analysis.domain.findings import Agreement, Findings, Refusal, SeriesFindings, SeriesInput, SeriesRefusal
from analysis.domain.reason import Reason
from analysis.domain.remoteness import Departure
from analysis.domain.segmentation import Segmentation
from analysis.errors import RefusedError
from analysis.identify import choose, describe_series
from analysis.measurement.bodies import measure_bodies
from analysis.measurement.focal import focal_reasons, left_out
from analysis.measurement.midsagittal import mid_slice
from analysis.measurement.radiomics import aggregate, extract
from analysis.measurement.tissue_order import doubts_about_contrast, tissue_order
from analysis.measurement.vbq import bone_quality
from analysis.memory import give_back
from analysis.pairing.agreement import reconcile_levels
from analysis.pairing.registration import align
from analysis.prediction.predict import distances_from, predict_from, read_study
from analysis.segment import Segmenter, embedded
from analysis.settings import AnalysisSettings
from analysis.threads import algebra_in_one_thread, threads_allowed

if TYPE_CHECKING:
    from analysis.domain.segmentation import Level
    from analysis.prediction.model import Model

__all__ = ["Progress", "analyse", "features_of_mask"]

Progress = Callable[[str], None]
"""Called with the name of the next step, in words."""

_SIDE_BY_SIDE_VOXELS = 20_000_000
"""In both series; two series of 30 slices of 512 by 512 pixels have 16 million."""


@algebra_in_one_thread()
def analyse(
    series: Sequence[SeriesInput],
    *,
    model: "Model | None",
    settings: AnalysisSettings,
    software: str,
    set_aside: tuple[SeriesRefusal, ...] = (),
    segmenter: Segmenter = embedded,
    report_progress: Progress = lambda _step: None,
    remarks: tuple[Reason, ...] = (),
    person: AgeAndSex | None = None,
    departures: Sequence[Departure] = (),
) -> Findings | Refusal:
    """Analyse one study.

    Parameters
    ----------
    series : sequence of SeriesInput
        The decoded series of the study, in any order.
    model : Model or None
        The prediction model; without one the findings hold measurements only.
    settings : AnalysisSettings
        Everything that decides the values.
    software : str
        Name and version of this program, for the report.
    set_aside : tuple of SeriesRefusal
        Series that were refused before (not MR, a missing slice). A refusal lists them all, findings only
        those that tell why a sequence is missing.
    segmenter : Segmenter
        Outlines the bodies; the embedded network by default.
    report_progress : callable
        Called before each step.
    remarks : tuple of Reason
        What the reader must know of the study as a whole.
    person : AgeAndSex, optional
        Age and sex of the patient, for models that were trained with them.
    departures : sequence of Departure, optional
        The bases in which the scanner has left the range of the training of this model.

    Returns
    -------
    Findings or Refusal
        Findings if at least one series could be measured; otherwise the reasons, series by series.
    """
    report_progress("identifying the series")
    choice = choose(series)
    refused = [*set_aside, *choice.set_aside]
    found: list[SeriesFindings] = []
    tried = _outline(choice.chosen, segmenter, report_progress)
    refused += [one for one in tried if isinstance(one, SeriesRefusal)]
    whole = [one for one in tried if isinstance(one, _Outlined)]
    give_back()
    outlined, agreement = _reconcile(whole, report_progress)
    outlined = _without_focal(outlined)
    for one in outlined:
        try:
            found.append(_measure_series(one, settings, report_progress))
        except RefusedError as error:
            refused.append(_refusal(one.source, one.identification, error))
    if not found:
        return Refusal(_why_nothing(choice.chosen), tuple(refused))
    if model is not None:
        report_progress("predicting")
    telling = _why_missing(refused, found)
    measured = tuple(found)
    readings = read_study(measured, settings, person)
    distances = () if model is None else distances_from(readings, model)
    left = tuple(one for one in departures if one.basis in {there.basis for there in distances})
    return Findings(
        series=measured,
        set_aside=telling,
        not_used=tuple(one for one in refused if one not in telling),
        predictions=() if model is None else predict_from(readings, model, settings, left),
        model=None if model is None else model.identity,
        configuration_digest=settings.digest(),
        software=software,
        agreement=agreement,
        remarks=(*remarks, *_different_occasions([one.source for one in found])),
        distances=distances,
        departures=left,
        readings=readings,
    )


def features_of_mask(
    found: SeriesFindings, segmentation: Segmentation, settings: AnalysisSettings
) -> dict[str, float]:
    """Measure a series again with other outlines, and return the aggregated radiomics.

    Parameters
    ----------
    found : SeriesFindings
        The findings of the series.
    segmentation : Segmentation
        Other outlines on the same grid.
    settings : AnalysisSettings
        The settings of `found`.

    Raises
    ------
    RefusedError
        If too few of these bodies are usable.
    """
    (outlined,) = _without_focal([_Outlined(found.source, found.identification, segmentation)])
    return _measure_series(outlined, settings, lambda _step: None).patient_features


@dataclass(frozen=True, slots=True, eq=False)
class _Outlined:
    """A series and its segmentation."""

    source: SeriesInput
    identification: Identification
    segmentation: Segmentation


def _outline(
    chosen: Sequence[tuple[SeriesInput, Identification]], segmenter: Segmenter, report_progress: Progress
) -> list[_Outlined | SeriesRefusal]:
    """Segment each series; T1 and T2 of usual size side by side with the embedded network.

    The network leaves one core idle half of the time. Larger series go one after the other, since each needs
    memory of its own, and so do other back ends, which may share one graphics card, and all series in a
    process that may use one thread only.
    """

    def outline(source: SeriesInput, identification: Identification) -> _Outlined | SeriesRefusal:
        try:
            bodies = _compare_with_header(source, identification, segmenter(source, identification.contrast))
        except RefusedError as error:
            return _refusal(source, identification, error)
        return _Outlined(source, identification, bodies)

    voxels = sum(source.volume.voxels.size for source, _ in chosen)
    alone = len(chosen) < 2 or threads_allowed() < 2
    if segmenter is not embedded or alone or voxels > _SIDE_BY_SIDE_VOXELS:
        tried = []
        for source, identification in chosen:
            report_progress(f"segmenting the {identification.contrast} series")
            tried.append(outline(source, identification))
        return tried
    names = " and ".join(identification.contrast.value for _, identification in chosen)
    report_progress(f"segmenting the {names} series")
    with ThreadPoolExecutor(len(chosen)) as threads:
        return list(threads.map(outline, *zip(*chosen, strict=True)))


def _compare_with_header(
    source: SeriesInput, identification: Identification, segmentation: Segmentation
) -> Segmentation:
    """Refuse a series whose pixels show another contrast than its header tells, and note a doubt about it."""
    order = tissue_order(source.volume, segmentation)
    doubts = doubts_about_contrast(order, identification.contrast)
    return replace(segmentation, concerns=(*segmentation.concerns, *doubts)) if doubts else segmentation


def _reconcile(
    outlined: list[_Outlined], report_progress: Progress
) -> tuple[list[_Outlined], Agreement | None]:
    """Give T1 and T2 the same levels where one of them is sure, and compare their outlines."""
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
    one, other, agreement = reconcile_levels(
        first.segmentation, second.segmentation, aligned, names=contrasts
    )
    return [replace(first, segmentation=one), replace(second, segmentation=other)], agreement


def _without_focal(outlined: list[_Outlined]) -> list[_Outlined]:
    """Leave out the bodies with signal unlike ordinary marrow, also if only the other image shows it.

    A change of the marrow may stand out on T1 and hardly on T2, but it changes the signal of both.
    """
    reasons = [focal_reasons(one.source.volume, one.segmentation) for one in outlined]
    same_names = len(outlined) == 2 and all(one.segmentation.levels_certain for one in outlined)
    found = []
    for number, one in enumerate(outlined):
        against = dict(reasons[number])
        if same_names:
            other = outlined[1 - number].identification.contrast.value
            for level, told in reasons[1 - number].items():
                against.setdefault(
                    level, tuple(Reason("focal_elsewhere", sequence=other, concern=why) for why in told)
                )
        found.append(replace(one, segmentation=left_out(one.segmentation, against)))
    return found


def _different_occasions(sources: Sequence[SeriesInput]) -> tuple[Reason, ...]:
    """Tell that T1 and T2 are not of one examination: of another day, or of another frame of reference."""
    told: list[Reason] = []
    days = [one.acquired for one in sources if one.acquired is not None]
    if days and (apart := (max(days) - min(days)).days):
        told.append(Reason("next_day") if apart == 1 else Reason("days_apart", days=apart))
    if len({one.frame_of_reference for one in sources} - {""}) > 1:
        told.append(Reason("other_frame_of_reference"))
    return tuple(told)


def _measure_series(
    outlined: _Outlined, settings: AnalysisSettings, report_progress: Progress
) -> SeriesFindings:
    source, segmentation = outlined.source, outlined.segmentation
    name = outlined.identification.contrast.value
    _refuse_too_few_levels(segmentation, settings.minimum_usable_levels)
    _refuse_unknown_levels(outlined.identification, segmentation)
    minimum = settings.minimum_usable_levels
    quality = bone_quality(source.volume, segmentation, minimum_usable_levels=minimum)
    report_progress(f"measuring the {name} series")
    by_level: dict[Level, dict[str, float]] = {}
    # Without the CSF as reference a series has no comparable radiomics. Its other measurements are still
    # reported, and the prediction abstains and says why.
    if settings.features.reference != "csf" or quality.csf_signal is not None:
        by_level = extract(source.volume, segmentation, settings.features)
    return SeriesFindings(
        source=source,
        identification=outlined.identification,
        segmentation=segmentation,
        measurements=measure_bodies(source.volume, segmentation, quality, by_level),
        bone_quality=quality,
        patient_features=aggregate(by_level) if by_level else {},
        mid_slice=mid_slice(segmentation),
        minimum_usable_levels=minimum,
    )


def _refuse_too_few_levels(segmentation: Segmentation, minimum: int) -> None:
    usable = len(segmentation.usable_lumbar)
    if usable < minimum:
        # All in one reason, because a refusal is reported by its decisive reason.
        why = segmentation.judge(minimum).reasons or (Reason("nothing_like_a_body"),)
        raise RefusedError(Reason("too_few_bodies", usable=usable, minimum=minimum, why=why))


def _refusal(source: SeriesInput, identification: Identification, error: RefusedError) -> SeriesRefusal:
    description = describe_series(source, identification)
    return SeriesRefusal(source.series_uid, description, error.reasons, identification.contrast)


def _why_missing(
    refused: Sequence[SeriesRefusal], found: Sequence[SeriesFindings]
) -> tuple[SeriesRefusal, ...]:
    """Return the series that tell why a sequence is missing.

    All others change nothing of what is measured or said. If they were listed, each of them that comes late
    would replace the report by one that differs in this line only.
    """
    analysed = {one.identification.contrast for one in found}
    return tuple(one for one in refused if one.contrast is not None and one.contrast not in analysed)


def _refuse_unknown_levels(identification: Identification, segmentation: Segmentation) -> None:
    """Refuse a series if it is uncertain which of its bodies are L1 to L5, whatever its header says.

    Without these names there is no VBQ score, and every prediction abstains. What would be left are volumes
    and outlines of numbered bodies: a radiologist would open a report in which nothing is said, and in the
    archive it would stand as a result. A refusal says the same in one line, and `[report] refusals` decides
    whether the archive gets it.

    The header makes no difference: it tells the region at most, and never which body is which. Where it
    does not tell the region either, the refusal says that too: the series may show another part of the spine.
    If the other sequence of the study is certain, its names have been taken over before (`_reconcile`).
    """
    if segmentation.levels_certain:
        return
    region = (Reason("region_not_told"),) if identification.lumbar is None else ()
    confidence = Reason("levels_confidence", confidence=segmentation.level_confidence)
    why = segmentation.concerns or (confidence,)
    raise RefusedError(*region, Reason("levels_not_told", why=why))


def _why_nothing(chosen: Sequence[tuple[SeriesInput, Identification]]) -> tuple[Reason, ...]:
    if not chosen:
        return (Reason("no_series"),)
    return (Reason("nothing_measured"),)
