"""Composes the report of a study, or of its refusal: all words and numbers that a reader sees."""

from datetime import date, datetime

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import (
    Findings,
    LevelMeasurements,
    Prediction,
    Refusal,
    SeriesFindings,
    Verdict,
)
from analysis.domain.published import SCAN_RESCAN_ICC, T1_VBQ_BY_FIELD
from analysis.domain.segmentation import Level
from dicom_templates.words.answer_figures import figures_sentence
from dicom_templates.words.basis import basis_in_words, is_published
from dicom_templates.words.checks import checks, deciding_concern, score_concerns
from dicom_templates.words.levels import level_names, level_range
from dicom_templates.words.priors import prior_brief, prior_probability_lines, prior_score_lines
from dicom_templates.words.sections import (
    about_lines,
    acquisition,
    answer_lines,
    caveat_lines,
    figure_lines,
    height_loss_lines,
    image_lines,
    level_lines,
    measured_lines,
    opening_lines,
    remark_lines,
    set_aside_lines,
)
from dicom_templates.words.study_report import (
    BoneQualityLine,
    LevelRow,
    Section,
    SeriesCaption,
    StudyReport,
    TargetAnswer,
    target_key,
)
from dicom_templates.words.texts import Texts
from dicom_templates.words.vbq import contradiction, t1_reference, vbq_lines
from dicom_templates.words.whom import Whom

__all__ = ["compose", "compose_refusal", "usual_next_step"]

_SAME_FIELD_T = 0.15
"""Scanners "of 3 T" have fields such as 2.89 T."""


def compose(
    findings: Findings,
    *,
    language: str,
    study_date: date | None = None,
    made: datetime | None = None,
    whom: Whom | None = None,
    age_years: int | None = None,
    next_step: str = "",
) -> StudyReport:
    """Compose the report of findings.

    Parameters
    ----------
    findings : Findings
        What the analysis found.
    language : str
        A key of `dicom_templates.words.languages.LANGUAGES`.
    study_date : date or None
        Date of the study, for the heading.
    made : datetime or None
        When this report was first made, in local time.
    whom : Whom or None
        The patient, for the pages that are printed.
    age_years : int or None
        Of the patient, to mark the decade of age in the VBQ reference.
    next_step : str
        What to do next, in the words of the site; empty for nothing.

    Returns
    -------
    StudyReport
        In this order: what was measured, what it means, how sure it is, what to do next, what it is not.
    """
    texts = Texts(language)
    analysed = _analysed(findings.software, made, texts)
    model = findings.model
    simulated = model is not None and model.simulated
    answers = tuple(_answer(one, findings, texts) for one in findings.predictions)
    bone_quality = tuple(_bone_quality(found, texts) for found in findings.series)
    levels = tuple(row for found in findings.series for row in _level_rows(found, texts))
    opening = opening_lines(answers, texts, simulated=simulated)
    losses = height_loss_lines(findings.series, texts)
    explained = tuple(one for one in (contradiction(findings, age_years, texts),) if one)
    doubts = (*remark_lines(findings, texts), *caveat_lines(findings.series, texts))
    published, used = vbq_lines(findings, age_years, texts), image_lines(findings, texts)
    about = about_lines(findings, analysed, texts)
    bodies, given, figures = (
        level_lines(levels, texts),
        answer_lines(answers, texts),
        figure_lines(answers, texts),
    )
    means = (
        (texts("interval_means"),) if any(one.interval is not None for one in findings.predictions) else ()
    )
    scored = any(one.contrast is Contrast.T1 and one.score is not None for one in bone_quality)
    return StudyReport(
        refused=False,
        texts=texts,
        title=texts("title" if answers else "title_measurements"),
        warning=texts("simulated") if simulated else "",
        holds=texts("simulated_holds") if simulated and answers else "",
        study_date=Texts(language).day(study_date),
        whom=whom,
        age_years=age_years,
        answers=answers,
        bone_quality=bone_quality,
        levels=levels,
        foremost=(*losses, *explained),
        caveats=doubts,
        reference=t1_reference(age_years, texts) if scored else "",
        prior=prior_brief(findings.prior, texts),
        next_step=next_step,
        sections=(
            Section(
                "findings",
                texts("measured"),
                (
                    *opening,
                    *measured_lines(bone_quality, losses, texts),
                    *prior_score_lines(findings.prior, texts),
                    *bodies,
                ),
                frozenset((*opening, *bodies)),
                frozenset(bodies),
            ),
            Section(
                "result",
                texts("meaning"),
                (
                    *given,
                    *prior_probability_lines(findings.prior, texts),
                    *explained,
                    *published,
                ),
                frozenset(given),
                frozenset(published),
            ),
            Section(
                "images",
                texts("sure"),
                (*doubts, *figures, *means, *used),
                frozenset(figures),
                frozenset((*figures, *means, *used)),
            ),
            *([Section("next", texts("next"), (next_step,))] if next_step else []),
            # The first is the disclaimer.
            Section("about", texts("about"), about, frozenset({analysed} - {""}), frozenset(about[1:])),
        ),
        captions=tuple(_caption(found, texts) for found in findings.series),
        model=texts("model", name=model.name, version=model.version) if model else "",
        cohort=texts("cohort", cohort=model.cohort) if model else "",
        intended_use=texts("intended_use", use=model.intended_use) if model else "",
        software=findings.software,
        analysed=analysed,
    )


def compose_refusal(
    refusal: Refusal,
    software: str,
    *,
    language: str,
    study_date: date | None = None,
    made: datetime | None = None,
    whom: Whom | None = None,
) -> StudyReport:
    """Compose the report that explains why a study has no result.

    Parameters
    ----------
    refusal : Refusal
        Why nothing is reported.
    software : str
        Name and version of this program.
    language : str
        A key of `dicom_templates.words.languages.LANGUAGES`.
    study_date : date or None
        Date of the study, for the heading.
    made : datetime or None
        When this report was first made, in local time.
    whom : Whom or None
        The patient, for the pages that are printed.

    Returns
    -------
    StudyReport
        With `refused`.
    """
    texts = Texts(language)
    series = set_aside_lines(refusal.series, texts)
    why = texts.reasons(refusal.reasons) or (texts("refusal_title"),)
    sections = [Section("result", texts("why_none"), why)]
    if series:
        sections.append(Section("images", texts("images"), series))
    analysed = _analysed(software, made, texts)
    about = (texts("not_for"), *([analysed] if analysed else []))
    sections.append(Section("about", texts("about"), about, frozenset({analysed} - {""})))
    return StudyReport(
        refused=True,
        texts=texts,
        title=texts("refusal_title"),
        warning="",
        holds="",
        study_date=Texts(language).day(study_date),
        whom=whom,
        age_years=None,
        answers=(),
        bone_quality=(),
        levels=(),
        foremost=(),
        caveats=(),
        reference="",
        prior="",
        next_step="",
        sections=tuple(sections),
        captions=(),
        model="",
        cohort="",
        intended_use="",
        software=software,
        analysed=analysed,
    )


def _analysed(software: str, made: datetime | None, texts: Texts) -> str:
    if made is None:
        return ""
    return texts("analysed", date=texts.day(made.date()), time=made.strftime("%H:%M"), software=software)


def _answer(prediction: Prediction, findings: Findings, texts: Texts) -> TargetAnswer:
    threshold = findings.model.thresholds_mg_cm3.get(prediction.target) if findings.model else None
    told = prediction.probability is not None and prediction.verdict is not Verdict.INDETERMINATE
    limits = prediction.interval if told else None
    verdict = prediction.verdict.name.lower()
    decision_threshold = texts.percent(prediction.decision_threshold)
    return TargetAnswer(
        target=prediction.target,
        name=texts(target_key(prediction.target)),
        definition=texts("definition", threshold=texts.number(threshold, 0)) if threshold else "",
        definition_brief=texts("definition_brief", threshold=texts.number(threshold, 0)) if threshold else "",
        verdict=prediction.verdict,
        verdict_text=texts(verdict, threshold=decision_threshold),
        badge=texts(f"{verdict}_badge", threshold=decision_threshold),
        basis=_basis(prediction, texts),
        value=texts.percent(prediction.probability) if told and prediction.probability is not None else "",
        interval=texts("interval", low=texts.percent(limits[0]), high=texts.percent(limits[1]))
        if limits
        else "",
        probability=prediction.probability if told else None,
        limits=limits,
        threshold=prediction.decision_threshold,
        figures=figures_sentence(prediction, texts),
        figures_brief=figures_sentence(prediction, texts, brief=True),
        reasons=texts.reasons(prediction.reasons),
    )


def _basis(prediction: Prediction, texts: Texts) -> str:
    """Write what an answer is based on; without an answer there is nothing, and it may have been missing."""
    if not prediction.sequence or prediction.verdict is Verdict.INDETERMINATE:
        return ""
    sequence, preferred = basis_in_words(prediction, texts), prediction.preferred
    if prediction.sequence != preferred:
        return texts("basis_other", sequence=sequence, preferred=preferred)
    # With age and sex the line is long enough, and nobody takes it for that of the paper.
    plain = is_published(prediction) or prediction.age_and_sex
    return texts("basis" if plain else "basis_chosen", sequence=sequence)


def _bone_quality(found: SeriesFindings, texts: Texts) -> BoneQualityLine:
    contrast = found.identification.contrast
    quality = found.bone_quality
    levels = ""
    if quality.score is None:
        sentence = texts("vbq_missing", contrast=contrast.value)
    else:
        levels = level_range(quality.levels, level_names(found, texts))
        value = texts.number(quality.score, 2)
        sentence = texts("vbq_value", contrast=contrast.value, value=value, levels=levels)
        sentence = texts.in_line((sentence, _vbq_context(found, texts)))
    return BoneQualityLine(
        contrast=contrast,
        score=quality.score,
        sentence=sentence,
        concerns=texts.reasons(score_concerns(found)),
        deciding=texts.listed(deciding_concern(found)),
        levels=levels,
    )


def _vbq_context(found: SeriesFindings, texts: Texts) -> str:
    """Write the published mean at the field strength of a series, and how well a score repeats."""
    if found.identification.contrast is not Contrast.T1:
        return texts("vbq_no_mean")
    field = found.source.facts.field_strength_t
    if field is None:
        mean = texts("vbq_field_unknown")
    else:
        near = next((one for one in T1_VBQ_BY_FIELD if abs(one - field) <= _SAME_FIELD_T), None)
        told = texts.number(field, 1)
        mean = (
            texts("vbq_no_mean_at", field=told)
            if near is None
            else texts(
                "vbq_mean_at",
                field=told,
                mean=_mean_and_sd(T1_VBQ_BY_FIELD[near], texts),
            )
        )
    repeatability = texts("vbq_repeatability", icc=texts.number(SCAN_RESCAN_ICC, 3))
    return texts.in_line((mean, repeatability))


def _mean_and_sd(published: tuple[float, float], texts: Texts) -> str:
    return " ± ".join(texts.number(one, 2) for one in published)


def _caption(found: SeriesFindings, texts: Texts) -> SeriesCaption:
    return SeriesCaption(
        contrast=found.identification.contrast,
        acquisition=acquisition(found.source.facts, texts),
        quality=texts("picture_quality", **checks(found, texts)),
    )


def _level_rows(found: SeriesFindings, texts: Texts) -> tuple[LevelRow, ...]:
    names = level_names(found, texts)
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
        concerns=texts.reasons(region.concerns) if region is not None else (),
    )


def usual_next_step(language: str) -> str:
    """Return what to do next where a site has no text of its own: who should have DXA by ISCD 2023."""
    return Texts(language)("next_step")
