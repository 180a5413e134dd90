"""What a reader is told about one study: the same words and numbers for text, picture and page."""

from dataclasses import dataclass
from datetime import date

from analysis.domain.acquisition import AcquisitionFacts, Contrast
from analysis.domain.findings import (
    Findings,
    LevelMeasurements,
    Prediction,
    Refusal,
    SeriesFindings,
    Target,
    Verdict,
)
from analysis.domain.segmentation import Level
from dicom_templates.levels import level_names, level_range
from dicom_templates.mid_sagittal import SagittalPicture, mid_sagittal
from dicom_templates.report_texts import Texts

__all__ = [
    "VBQ_BY_DECADE",
    "Answer",
    "BoneQualityLine",
    "LevelRow",
    "Section",
    "StudyReport",
    "compose",
    "compose_refusal",
    "target_key",
]

PREFERRED = {Target.OSTEOPOROSIS: Contrast.T1, Target.ABNORMAL_DENSITY: Contrast.T2}
"""The sequence that suits each target (Front Endocrinol 2026;17:1823826)."""

VBQ_BY_DECADE: tuple[tuple[int, float, float], ...] = (
    (20, 2.39, 0.74),
    (30, 2.68, 0.57),
    (40, 2.56, 0.63),
    (50, 2.99, 0.72),
    (60, 3.27, 0.57),
)
"""First year of the decade of age, mean and SD of the T1 VBQ: first scans of "Normative data and
reproducibility for vertebral bone quality score in serial lumbar spine magnetic resonance imaging" (107
patients)."""


@dataclass(frozen=True, slots=True)
class Section:
    """Some sentences under a heading.

    Attributes
    ----------
    key : str
        "result", "findings", "images" or "about".
    heading : str
        In the language of the report.
    lines : tuple of str
        One sentence each.
    """

    key: str
    heading: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said about one target.

    Attributes
    ----------
    target : Target
        The question.
    name, definition, verdict_text, basis : str
        In the language of the report.
    verdict : Verdict
        The answer.
    value : str
        The probability in percent; empty when none is given.
    interval : str
        Its 95 % interval; empty when none is given.
    probability : float or None
        For the scale.
    limits : tuple of two float, or None
        For the scale.
    threshold : float
        For the scale.
    reasons : tuple of str
        Why no number is given, or what must be known with it.
    """

    target: Target
    name: str
    definition: str
    verdict: Verdict
    verdict_text: str
    basis: str
    value: str
    interval: str
    probability: float | None
    limits: tuple[float, float] | None
    threshold: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BoneQualityLine:
    """The VBQ of one series.

    Attributes
    ----------
    contrast : Contrast
        T1 or T2.
    score : float or None
        For the scale.
    sentence : str
        The value and what it is made of, or that there is none.
    concerns : tuple of str
        Why it is missing or doubtful.
    """

    contrast: Contrast
    score: float | None
    sentence: str
    concerns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LevelRow:
    """One vertebral body in one series, ready to be set in a table.

    Attributes
    ----------
    name, contrast, volume, signal, vbq : str
        Its cells.
    usable : bool
        Whether it went into the result.
    concerns : tuple of str
        Why not, or with which caveat.
    """

    name: str
    contrast: str
    volume: str
    signal: str
    vbq: str
    usable: bool
    concerns: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class StudyReport:
    """Everything that a reader is told.

    Attributes
    ----------
    texts : Texts
        The language.
    title : str
        Of every view.
    warning : str
        Must stand first; empty when there is none.
    study_date : str
        As the reader writes dates; empty if unknown.
    age_years : int or None
        To find the decade of the reference.
    answers : tuple of Answer
        One per target.
    bone_quality : tuple of BoneQualityLine
        One per series.
    levels : tuple of LevelRow
        From cranial to caudal, series by series.
    caveats : tuple of str
        What was excluded or is doubtful, in words.
    sections : tuple of Section
        The whole report as sentences.
    pictures : tuple of SagittalPicture
        One per series.
    model, cohort, intended_use : str
        Of the model; empty without one.
    software : str
        Name and version of this program.
    """

    texts: Texts
    title: str
    warning: str
    study_date: str
    age_years: int | None
    answers: tuple[Answer, ...]
    bone_quality: tuple[BoneQualityLine, ...]
    levels: tuple[LevelRow, ...]
    caveats: tuple[str, ...]
    sections: tuple[Section, ...]
    pictures: tuple[SagittalPicture, ...]
    model: str
    cohort: str
    intended_use: str
    software: str


def compose(
    findings: Findings, *, language: str, study_date: date | None = None, age_years: int | None = None
) -> StudyReport:
    """Put findings into words.

    Parameters
    ----------
    findings : Findings
        What the analysis found.
    language : str
        "en" or "de".
    study_date : date or None
        Of the study, for the heading.
    age_years : int or None
        Of the patient, to point at the decade of the VBQ reference.

    Returns
    -------
    StudyReport
    """
    texts = Texts(language)
    model = findings.model
    simulated = model is not None and model.simulated
    answers = tuple(_answer(one, findings, texts) for one in findings.predictions)
    bone_quality = tuple(_bone_quality(found, texts) for found in findings.series)
    levels = tuple(row for found in findings.series for row in _level_rows(found, texts))
    caveats = tuple(line for found in findings.series for line in _caveats(found, texts))
    return StudyReport(
        texts=texts,
        title=texts("title"),
        warning=texts("simulated") if simulated else "",
        study_date=_date(study_date, language),
        age_years=age_years,
        answers=answers,
        bone_quality=bone_quality,
        levels=levels,
        caveats=caveats,
        sections=(
            Section("result", texts("result"), _result_lines(answers, bone_quality, texts)),
            Section("findings", texts("levels"), _finding_lines(findings, levels, caveats, texts)),
            Section("images", texts("images"), _image_lines(findings, texts)),
            Section("about", texts("about"), _about_lines(findings, texts)),
        ),
        pictures=tuple(_picture(found, texts) for found in findings.series),
        model=texts("model", name=model.name, version=model.version) if model else "",
        cohort=texts("cohort", cohort=model.cohort) if model else "",
        intended_use=texts("intended_use", use=model.intended_use) if model else "",
        software=texts("software", software=findings.software),
    )


def compose_refusal(
    refusal: Refusal, software: str, *, language: str, study_date: date | None = None
) -> StudyReport:
    """Put a refusal into words, so that silence is explained in the archive.

    Parameters
    ----------
    refusal : Refusal
        Why nothing is reported.
    software : str
        Name and version of this program.
    language : str
        "en" or "de".
    study_date : date or None
        Of the study.

    Returns
    -------
    StudyReport
        Without answers and pictures.
    """
    texts = Texts(language)
    series = tuple(
        texts("series_set_aside", description=one.description, reason="; ".join(one.reasons))
        for one in refusal.series
    )
    sections = [Section("result", texts("why_none"), refusal.reasons or (texts("refusal_title"),))]
    if series:
        sections.append(Section("images", texts("images"), series))
    made_by = texts("software", software=software)
    sections.append(Section("about", texts("about"), (texts("not_for"), made_by)))
    return StudyReport(
        texts=texts,
        title=texts("refusal_title"),
        warning="",
        study_date=_date(study_date, language),
        age_years=None,
        answers=(),
        bone_quality=(),
        levels=(),
        caveats=(),
        sections=tuple(sections),
        pictures=(),
        model="",
        cohort="",
        intended_use="",
        software=made_by,
    )


def target_key(target: Target) -> str:
    """Return the key of a target's name in the table of sentences."""
    return {Target.OSTEOPOROSIS: "osteoporosis", Target.ABNORMAL_DENSITY: "abnormal_density"}[target]


def acquisition(facts: AcquisitionFacts, texts: Texts) -> str:
    """Write the facts that decided the weighting: "TR 550 ms, TE 10 ms, 1.5 T"."""
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


def _answer(prediction: Prediction, findings: Findings, texts: Texts) -> Answer:
    threshold = findings.model.thresholds_mg_cm3.get(prediction.target) if findings.model else None
    told = prediction.probability is not None and prediction.verdict is not Verdict.INDETERMINATE
    limits = prediction.interval if told else None
    return Answer(
        target=prediction.target,
        name=texts(target_key(prediction.target)),
        definition=texts("definition", threshold=texts.number(threshold, 0)) if threshold else "",
        verdict=prediction.verdict,
        verdict_text=texts(prediction.verdict.value),
        basis=_basis(prediction, texts),
        value=texts.percent(prediction.probability) if told and prediction.probability is not None else "",
        interval=texts("interval", low=texts.percent(limits[0]), high=texts.percent(limits[1]))
        if limits
        else "",
        probability=prediction.probability if told else None,
        limits=limits,
        threshold=prediction.decision_threshold,
        reasons=prediction.reasons,
    )


def _basis(prediction: Prediction, texts: Texts) -> str:
    if not prediction.sequence:
        return ""
    preferred = PREFERRED[prediction.target].value
    if prediction.sequence == preferred:
        return texts("basis_preferred", sequence=prediction.sequence)
    if preferred in prediction.sequence:
        return texts("basis", sequence=prediction.sequence)
    return texts("basis_other", sequence=prediction.sequence, preferred=preferred)


def _bone_quality(found: SeriesFindings, texts: Texts) -> BoneQualityLine:
    contrast = found.identification.contrast
    quality = found.bone_quality
    if quality.score is None:
        sentence = texts("vbq_missing", contrast=contrast.value)
    else:
        names = level_names(found, texts("numbered_body", number="{number}"))
        sentence = texts(
            "vbq_value",
            contrast=contrast.value,
            value=texts.number(quality.score, 2),
            levels=level_range(quality.levels, names),
        )
    return BoneQualityLine(contrast, quality.score, sentence, quality.concerns)


def _picture(found: SeriesFindings, texts: Texts) -> SagittalPicture:
    return mid_sagittal(
        found,
        caption=acquisition(found.source.facts, texts),
        quality=texts("picture_quality", **_qualities(found, texts)),
        body=texts("numbered_body", number="{number}"),
    )


def _qualities(found: SeriesFindings, texts: Texts) -> dict[str, str]:
    """Write how far outlines, level names and CSF of a series can be trusted."""
    lumbar = [region.quality for region in found.segmentation.regions if region.level.lumbar]
    return {
        "quality": texts.percent(sum(lumbar) / len(lumbar)) if lumbar else "-",
        "confidence": texts.percent(found.segmentation.level_confidence),
        "csf": texts.percent(found.bone_quality.csf_quality),
    }


def _level_rows(found: SeriesFindings, texts: Texts) -> tuple[LevelRow, ...]:
    names = level_names(found, texts("numbered_body", number="{number}"))
    return tuple(_level_row(found, one, names, texts) for one in found.measurements)


def _level_row(
    found: SeriesFindings, measured: LevelMeasurements, names: dict[Level, str], texts: Texts
) -> LevelRow:
    region = found.segmentation.region(measured.level)
    return LevelRow(
        name=names.get(measured.level, measured.level.name),
        contrast=found.identification.contrast.value,
        volume=texts.number(measured.volume_ml, 1),
        signal=texts.number(measured.median_signal, 0),
        vbq="-" if measured.vbq is None else texts.number(measured.vbq, 2),
        usable=region is not None and region.usable,
        concerns=region.concerns if region is not None else (),
    )


def _caveats(found: SeriesFindings, texts: Texts) -> tuple[str, ...]:
    """Say what was excluded and what is doubtful in one series, the gravest first."""
    contrast = found.identification.contrast.value
    segmentation = found.segmentation
    lines: list[str] = []
    if not segmentation.levels_certain:
        confidence = texts.percent(segmentation.level_confidence)
        lines.append(texts("uncertain_levels", contrast=contrast, confidence=confidence))
    names = level_names(found, texts("numbered_body", number="{number}"))
    lumbar = [region for region in segmentation.regions if region.level.lumbar]
    for region in sorted(lumbar, key=lambda region: region.usable):
        if region.usable and not region.concerns:
            continue
        key = "level_concern" if region.usable else "level_excluded"
        reason = "; ".join(region.concerns) or texts("no_reason")
        lines.append(texts(key, level=names[region.level], contrast=contrast, reason=reason))
    if segmentation.levels_certain:
        lines.extend(
            texts("level_excluded", level=level.name, contrast=contrast, reason=texts("level_not_found"))
            for level in Level
            if level.lumbar and level not in names
        )
    lines.extend(
        texts("series_concern", contrast=contrast, reason=reason) for reason in segmentation.concerns
    )
    return tuple(lines)


def _result_lines(
    answers: tuple[Answer, ...], bone_quality: tuple[BoneQualityLine, ...], texts: Texts
) -> tuple[str, ...]:
    lines = [_answer_sentence(answer, texts) for answer in answers] or [texts("no_model")]
    lines += [_with_concerns(line.sentence, line.concerns) for line in bone_quality]
    return (*lines, texts("not_for_short"))


def _answer_sentence(answer: Answer, texts: Texts) -> str:
    head = f"{answer.name}: {answer.verdict_text.upper()}"
    if answer.value:
        told = [texts("probability", value=answer.value), answer.interval]
        told.append(texts("threshold", value=texts.percent(answer.threshold)))
    else:
        told = [texts("no_number")]
    told += [answer.definition, answer.basis]
    sentence = f"{head}; {', '.join(part for part in told if part)}."
    return _with_concerns(sentence, answer.reasons)


def _with_concerns(sentence: str, concerns: tuple[str, ...]) -> str:
    return f"{sentence} [{'; '.join(concerns)}]" if concerns else sentence


def _finding_lines(
    findings: Findings, levels: tuple[LevelRow, ...], caveats: tuple[str, ...], texts: Texts
) -> tuple[str, ...]:
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
            f"{start}-{start + 9}: {texts.number(mean, 2)} ± {texts.number(spread, 2)}"
            for start, mean, spread in VBQ_BY_DECADE
        )
        lines.append(texts("vbq_reference_t1", values=values))
    if findings.of(Contrast.T2) is not None:
        lines.append(texts("vbq_reference_t2"))
    return (*lines, texts("vbq_caution"))


def _image_lines(findings: Findings, texts: Texts) -> tuple[str, ...]:
    lines = [line for found in findings.series for line in _series_lines(found, texts)]
    lines += [
        texts("series_set_aside", description=one.description, reason="; ".join(one.reasons))
        for one in findings.set_aside
    ]
    return (*lines, texts("why_sequence"))


def _series_lines(found: SeriesFindings, texts: Texts) -> tuple[str, str]:
    contrast = found.identification.contrast.value
    reasons = found.identification.reasons
    used = texts(
        "series_used",
        contrast=contrast,
        plane=texts("sagittal"),
        slices=str(found.source.volume.grid.shape[0]),
        facts=acquisition(found.source.facts, texts),
        reason=reasons[-1] if reasons else "-",
    )
    quality = texts(
        "series_quality",
        contrast=contrast,
        method=found.segmentation.method,
        **_qualities(found, texts),
    )
    return used, quality


def _about_lines(findings: Findings, texts: Texts) -> tuple[str, ...]:
    model = findings.model
    lines = [texts("not_for")]
    if model is not None:
        lines += [
            texts("model", name=model.name, version=model.version),
            texts("cohort", cohort=model.cohort),
            texts("intended_use", use=model.intended_use),
        ]
    lines.append(texts("software", software=findings.software))
    if model is not None:
        lines.append(texts("digest_model", digest=model.digest))
    lines.append(texts("digest_configuration", digest=findings.configuration_digest))
    lines += [
        texts("digest_input", contrast=found.identification.contrast.value, digest=found.source.digest)
        for found in findings.series
    ]
    return tuple(lines)


def _date(day: date | None, language: str) -> str:
    if day is None:
        return ""
    return day.strftime("%d.%m.%Y") if language == "de" else day.isoformat()
