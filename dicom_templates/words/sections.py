"""Writes the lines of each section of a report."""

from collections import Counter
from collections.abc import Iterable, Iterator

from analysis.domain.acquisition import AcquisitionFacts, Contrast
from analysis.domain.findings import Agreement, Findings, SeriesFindings, SeriesRefusal, Verdict
from analysis.domain.published import BEST_SEQUENCE, T1_VBQ_BY_DECADE
from analysis.domain.reason import Reason
from analysis.domain.segmentation import Grade, Level
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
    "caveat_lines",
    "checks",
    "finding_lines",
    "image_lines",
    "qualities",
    "remark_lines",
    "result_lines",
    "set_aside_lines",
]


_GRADE_KEY = {
    Grade.SOUND: "grade_sound",
    Grade.DOUBTFUL: "grade_doubtful",
    Grade.UNUSABLE: "grade_unusable",
}


_CHECK_KEY = {
    Grade.SOUND: "check_passed",
    Grade.DOUBTFUL: "check_doubtful",
    Grade.UNUSABLE: "check_failed",
}


def result_lines(
    answers: tuple[TargetAnswer, ...],
    bone_quality: tuple[BoneQualityLine, ...],
    texts: Texts,
    *,
    simulated: bool,
) -> tuple[str, ...]:
    """Write what holds with a model of simulated patients, the answers, the scores and the disclaimer."""
    lines = [line for answer in answers for line in _answer_lines(answer, texts)] or [texts("no_model")]
    lines += [_with_concerns(line.sentence, line.concerns) for line in bone_quality]
    holds = (texts("simulated_holds"),) if simulated and answers else ()
    return (*holds, *lines, texts("not_for_short"))


def _answer_lines(answer: TargetAnswer, texts: Texts) -> Iterator[str]:
    """Write the answer, and below it how right such answers were."""
    told = texts("probability", value=answer.value) if answer.value else texts("no_number")
    head = f"{told}, {answer.verdict_text}" if answer.value else f"{answer.verdict_text}, {told}"
    parts = (head, answer.interval, answer.definition, answer.basis)
    yield _with_concerns(f"{answer.name}: {'; '.join(part for part in parts if part)}.", answer.reasons)
    if answer.figures:
        yield f"{answer.name}: {answer.figures}"


def _with_concerns(sentence: str, concerns: tuple[str, ...]) -> str:
    return f"{sentence} [{'; '.join(concerns)}]" if concerns else sentence


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
        yield "uncertain_levels", "", texts.percent(segmentation.level_confidence)
    names = level_names(found, texts)
    for region in segmentation.regions:
        if region.level.lumbar and (region.concerns or not region.usable):
            reason = texts.listed(region.concerns) or texts("no_reason")
            yield "level_concern" if region.usable else "level_excluded", names[region.level], reason
    if segmentation.levels_certain:
        for level in Level:
            if level.lumbar and level not in names:
                yield "level_excluded", level.name, texts("level_not_found")
    for reason in segmentation.concerns:
        yield "series_concern", "", texts.reason(reason)


def finding_lines(
    findings: Findings, levels: tuple[LevelRow, ...], caveats: tuple[str, ...], texts: Texts
) -> tuple[str, ...]:
    """Write the caveats, the measurements of each level, and the published VBQ to compare them with."""
    measured = tuple(
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
    return (*caveats, *measured, *_vbq_reference(findings, texts))


def _vbq_reference(findings: Findings, texts: Texts) -> tuple[str, ...]:
    lines = []
    if findings.of(Contrast.T1) is not None:
        values = ", ".join(
            f"{one.first_year}-{one.first_year + 9}: {texts.number(one.mean, 2)} ± {texts.number(one.sd, 2)}"
            for one in T1_VBQ_BY_DECADE
        )
        lines.append(texts("vbq_reference_t1", values=values))
    if findings.of(Contrast.T2) is not None:
        lines.append(texts("vbq_reference_t2"))
    return (*lines, texts("vbq_caution"))


def image_lines(findings: Findings, texts: Texts) -> tuple[str, ...]:
    """Write which series were used, how good they are, and which were not and why."""
    lines = [line for found in findings.series for line in _series_lines(found, texts)]
    lines += _agreement_lines(findings.agreement, texts)
    return (*lines, *set_aside_lines(findings.set_aside, texts), *_why_these_sequences(findings, texts))


def _why_these_sequences(findings: Findings, texts: Texts) -> Iterator[str]:
    """Cite the published choice of sequences, or name that of the site; nothing without an answer from it."""
    given = [
        one
        for one in findings.predictions
        if one.verdict is not Verdict.INDETERMINATE and one.sequence == one.preferred.value
    ]
    if not given:
        return
    if all(one.preferred is BEST_SEQUENCE[one.target] for one in given):
        yield texts("why_sequence")
        return
    choices = (
        texts("choice", sequence=one.preferred.value, target=texts(target_key(one.target))) for one in given
    )
    yield texts("why_chosen", choices=", ".join(choices))


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
    """Write how well T1 and T2 agree; nothing if they could not be compared, which their concerns tell."""
    if agreement is None or agreement.overlap is None or agreement.residual_mm is None:
        return ()
    key = "agreement_registered" if agreement.registered else "agreement"
    return (
        texts(
            key,
            bodies=str(agreement.bodies),
            overlap=texts.percent(agreement.overlap),
            residual=texts.number(agreement.residual_mm, 1),
        ),
    )


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
    quality = texts(
        "series_quality",
        contrast=contrast,
        method=found.segmentation.method,
        **qualities(found, texts),
    )
    return used, quality


def qualities(found: SeriesFindings, texts: Texts) -> dict[str, str]:
    """Write the quality of outlines, level names and CSF, by the placeholders of the sentences about it."""
    judgement = found.judgement
    return {
        "grade": texts(_GRADE_KEY[judgement.grade]),
        "quality": texts.percent(judgement.quality),
        "confidence": texts.percent(found.segmentation.level_confidence),
        "csf": texts.percent(found.bone_quality.csf_quality),
    }


def checks(found: SeriesFindings, texts: Texts) -> dict[str, str]:
    """Write in words how good outlines, level names and CSF are; percents of them mislead."""
    fluid = [one for one in found.bone_quality.concerns if _code_of(one).startswith("fluid")]
    failed = fluid and found.bone_quality.score is None
    return {
        "outlines": texts(_CHECK_KEY[found.judgement.grade]),
        "names": texts("check_passed" if found.segmentation.levels_certain else "check_doubtful"),
        "fluid": texts("check_failed" if failed else "check_doubtful" if fluid else "check_passed"),
    }


def _code_of(reason: str) -> str:
    """Return the code of a reason; empty for words that another program wrote."""
    return reason.code if isinstance(reason, Reason) else ""


def about_lines(findings: Findings, texts: Texts) -> tuple[str, ...]:
    """Write the disclaimer, the model, the software, and the SHA-256 of model, configuration and inputs."""
    model = findings.model
    lines = [texts("not_for")]
    if model is not None:
        lines += [
            texts("model", name=model.name, version=model.version),
            texts("cohort", cohort=model.cohort),
            texts("intended_use", use=model.intended_use),
        ]
    if any(one.interval is not None for one in findings.predictions):
        lines.append(texts("interval_means"))
    lines.append(texts("software", software=findings.software))
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
