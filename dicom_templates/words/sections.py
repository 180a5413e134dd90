"""Writes the lines of each section of a report."""

from collections import Counter
from collections.abc import Iterable, Iterator

from analysis.domain.acquisition import AcquisitionFacts
from analysis.domain.findings import (
    Agreement,
    Findings,
    SeriesFindings,
    SeriesRefusal,
    Verdict,
)
from analysis.domain.published import BEST_SEQUENCE
from analysis.domain.segmentation import Level
from dicom_templates.words.answer_figures import areas_in_words
from dicom_templates.words.basis import basis_in_words, is_published
from dicom_templates.words.checks import checks_with_reasons, code_of, qualities
from dicom_templates.words.levels import level_names
from dicom_templates.words.study_report import (
    BoneQualityLine,
    LevelRow,
    TargetAnswer,
    target_key,
)
from dicom_templates.words.texts import Texts

__all__ = [
    "about_lines",
    "acquisition",
    "answer_lines",
    "caveat_lines",
    "figure_lines",
    "height_loss_lines",
    "image_lines",
    "level_lines",
    "measured_lines",
    "opening_lines",
    "quality_lines",
    "remark_lines",
    "set_aside_lines",
]


def opening_lines(answers: tuple[TargetAnswer, ...], texts: Texts, *, simulated: bool) -> tuple[str, ...]:
    """Write what stands before all values: that nothing is predicted, or what holds of a simulated model."""
    if not answers:
        return (texts("no_model"),)
    return (texts("simulated_holds"),) if simulated else ()


def measured_lines(
    bone_quality: tuple[BoneQualityLine, ...], height_losses: tuple[str, ...], texts: Texts
) -> tuple[str, ...]:
    """Write the scores and the losses of height; `level_lines` are the values of each body."""
    scores = tuple(_with_concerns(line.sentence, line.concerns, texts) for line in bone_quality)
    return (*scores, *height_losses)


def answer_lines(answers: tuple[TargetAnswer, ...], texts: Texts) -> tuple[str, ...]:
    """Write the answers."""
    return tuple(_answer_line(answer, texts) for answer in answers)


def figure_lines(answers: tuple[TargetAnswer, ...], texts: Texts) -> tuple[str, ...]:
    """Write how right such answers were."""
    return tuple(texts.labelled(answer.name, answer.figures) for answer in answers if answer.figures)


def _answer_line(answer: TargetAnswer, texts: Texts) -> str:
    told = texts("probability", value=answer.value) if answer.value else texts("no_number")
    head = f"{told}, {answer.verdict_text}" if answer.value else f"{answer.verdict_text}, {told}"
    parts = (head, answer.interval, answer.definition, answer.basis)
    told = texts.in_line(part for part in parts if part)
    return _with_concerns(f"{texts.labelled(answer.name, told)}.", answer.reasons, texts)


def _with_concerns(sentence: str, concerns: tuple[str, ...], texts: Texts) -> str:
    return f"{sentence} [{texts.in_line(concerns)}]" if concerns else sentence


_HEIGHT_LOSS = "height_loss"
"""Code of the concern about a body that is lower than the others."""

_CAVEATS = ("uncertain_levels", "level_excluded", "level_concern", "series_concern")
"""Sentence keys of caveats, the most serious first."""


def remark_lines(findings: Findings, texts: Texts) -> tuple[str, ...]:
    """Write what the reader must know of the study as a whole."""
    return tuple(texts("study_remark", reason=texts.reason(one)) for one in findings.remarks)


def caveat_lines(series: Iterable[SeriesFindings], texts: Texts) -> tuple[str, ...]:
    """Write what was excluded and what is doubtful, the most serious first; a caveat of both series once."""
    contrasts: dict[tuple[str, str, str], list[str]] = {}
    for found in series:
        for caveat in _caveats(found, texts):
            contrasts.setdefault(caveat, []).append(found.identification.contrast.value)
    return tuple(
        texts(key, level=level, contrast=", ".join(contrasts[key, level, reason]), reason=reason)
        for key, level, reason in sorted(contrasts, key=lambda caveat: _CAVEATS.index(caveat[0]))
    )


def _caveats(found: SeriesFindings, texts: Texts) -> Iterator[tuple[str, str, str]]:
    """Yield sentence key, level and reason of each caveat of one series."""
    segmentation = found.segmentation
    if not segmentation.levels_certain:
        yield "uncertain_levels", "", ""
    names = level_names(found, texts)
    for region in segmentation.regions:
        # A loss of height has a line of its own.
        concerns = tuple(one for one in region.concerns if code_of(one) != _HEIGHT_LOSS)
        if region.level.lumbar and (concerns or not region.usable):
            reason = texts.listed(concerns or region.concerns) or texts("no_reason")
            yield "level_concern" if region.usable else "level_excluded", names[region.level], reason
    if segmentation.levels_certain:
        for level in Level:
            if level.lumbar and level not in names:
                yield "level_excluded", level.name, texts("level_not_found")
    for reason in segmentation.concerns:
        yield "series_concern", "", texts.reason(reason)


def height_loss_lines(series: Iterable[SeriesFindings], texts: Texts) -> tuple[str, ...]:
    """Write each loss of height that was seen, with its grade by Genant and with its limits."""
    return tuple(
        texts(
            "height_loss_line",
            level=level_names(found, texts)[region.level],
            contrast=found.identification.contrast.value,
            percent=texts.number(float(str(concern.values["percent"])), 0),
            grade=str(concern.values["grade"]),
        )
        for found in series
        for region in found.segmentation.regions
        for concern in region.concerns
        if region.level.lumbar and code_of(concern) == _HEIGHT_LOSS
    )


def level_lines(levels: tuple[LevelRow, ...], texts: Texts) -> tuple[str, ...]:
    """Write the measurements of each level."""
    return tuple(
        texts(
            "level_measured",
            level=row.name,
            contrast=row.contrast,
            volume=row.volume,
            signal=row.signal,
            vbq=row.vbq,
        )
        for row in levels
    )


def image_lines(findings: Findings, texts: Texts) -> tuple[str, ...]:
    """Write how good the outlines are, which series were used, and which were not and why."""
    lines = [line for found in findings.series for line in _series_lines(found, texts)]
    lines += _agreement_lines(findings.agreement, texts)
    return (*lines, *set_aside_lines(findings.set_aside, texts), *_why_these_sequences(findings, texts))


def _why_these_sequences(findings: Findings, texts: Texts) -> Iterator[str]:
    """Say of each answer from its preferred sequence why it is that; nothing where none is given."""
    for one in findings.predictions:
        if one.verdict is Verdict.INDETERMINATE or one.sequence != one.preferred:
            continue
        areas, published = areas_in_words(one, texts), is_published(one)
        yield texts(
            "as_published" if published else "as_chosen",
            target=texts(target_key(one.target)),
            sequence=basis_in_words(one, texts),
            own=texts("own_areas", areas=areas) if areas else "",
            **({} if published else {"other": BEST_SEQUENCE[one.target].value}),
        )


def set_aside_lines(series: Iterable[SeriesRefusal], texts: Texts) -> tuple[str, ...]:
    """Write which series were not analysed, and why; equal lines once, with their number."""
    counts = Counter((texts.reason(one.description), texts.listed(one.reasons)) for one in series)
    return tuple(
        texts(
            "series_set_aside",
            description=description if count == 1 else f"{count} × {description}",
            reason=reason,
        )
        for (description, reason), count in counts.items()
    )


def _agreement_lines(agreement: Agreement | None, texts: Texts) -> tuple[str, ...]:
    """Write that T1 and T2 were compared; nothing if they could not be, which their concerns tell."""
    if agreement is None or agreement.overlap is None or agreement.residual_mm is None:
        return ()
    compared = texts("compared", bodies=str(agreement.bodies))
    return (texts("registered"), compared) if agreement.registered else (compared,)


def _series_lines(found: SeriesFindings, texts: Texts) -> tuple[str, str]:
    contrast = found.identification.contrast.value
    reasons = found.identification.reasons
    used = texts(
        "series_used",
        contrast=contrast,
        plane=texts("sagittal"),
        slices=str(found.source.volume.grid.shape[0]),
        facts=acquisition(found.source.facts, texts),
        reason=texts.reason(reasons[-1]) if reasons else "-",
    )
    told = checks_with_reasons(found, texts)
    return texts("series_checks", contrast=contrast, method=found.segmentation.method, **told), used


def quality_lines(findings: Findings, texts: Texts) -> tuple[str, ...]:
    """Write the numbers behind the checks, for the measurement report."""
    lines = [
        texts(
            "series_quality",
            contrast=found.identification.contrast.value,
            method=found.segmentation.method,
            **qualities(found, texts),
        )
        for found in findings.series
    ]
    agreement = findings.agreement
    if agreement is not None and agreement.overlap is not None and agreement.residual_mm is not None:
        lines.append(
            texts(
                "agreement",
                bodies=str(agreement.bodies),
                overlap=texts.percent(agreement.overlap),
                residual=texts.number(agreement.residual_mm, 1),
            )
        )
    return tuple(lines)


def about_lines(findings: Findings, analysed: str, texts: Texts) -> tuple[str, ...]:
    """Write the disclaimer, the model, when it was analysed, and last the digests of model and inputs."""
    model = findings.model
    lines = [texts("not_for")]
    if model is not None:
        lines += [
            texts("intended_use", use=model.intended_use),
            texts("model", name=model.name, version=model.version),
            texts("cohort", cohort=model.cohort),
        ]
        if any(one.age_and_sex for one in findings.predictions):
            lines.append(texts("reads_age_and_sex"))
    if analysed:
        lines.append(analysed)
    if model is not None:
        lines.append(texts("digest_model", digest=model.digest))
    lines.append(texts("digest_configuration", digest=findings.configuration_digest))
    lines += [
        texts("digest_input", contrast=found.identification.contrast.value, digest=found.source.digest)
        for found in findings.series
    ]
    return tuple(lines)


def acquisition(facts: AcquisitionFacts, texts: Texts) -> str:
    """Write the header values that decided the weighting: "TR 550 ms, TE 10 ms, 1.5 T"."""
    told = [
        f"{name} {texts.number(value, digits)}{unit}"
        for name, value, digits, unit in (
            ("TR", facts.repetition_time_ms, 0, " ms"),
            ("TE", facts.echo_time_ms, 0, " ms"),
            ("TI", facts.inversion_time_ms, 0, " ms"),
            ("", facts.field_strength_t, 1, " T"),
        )
        if value
    ]
    return ", ".join(one.strip() for one in told)
