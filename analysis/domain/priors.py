"""Compares an examination with an earlier one of the same patient."""

from collections.abc import Iterable, Iterator
from datetime import date

from analysis.domain.acquisition import AcquisitionFacts
from analysis.domain.examination import Comparison, Examination, ProbabilityChange, Scan, Score, ScoreChange
from analysis.domain.findings import Findings, SeriesFindings, Verdict
from analysis.domain.reason import Reason
from analysis.domain.segmentation import Grade

__all__ = ["compare", "examination_of", "latest_before"]

_SAME_FIELD_T = 0.15
"""Scanners "of 3 T" have fields such as 2.89 T."""
_SAME_TIME = 0.05
"""Relative difference of TR or TE that the adjustment of one protocol to a patient makes: our choice, as
nothing is published of it (docs/decisions/0024)."""


def examination_of(findings: Findings, study_uid: str, *, person: str, day: date | None) -> Examination:
    """Return what is kept of findings to compare later ones with.

    Parameters
    ----------
    findings : Findings
        What was found.
    study_uid : str
        Study Instance UID.
    person : str
        See `Examination.person`.
    day : date or None
        Date of the study.

    Returns
    -------
    Examination
    """
    given = [
        (one, one.probability)
        for one in findings.predictions
        if one.verdict is not Verdict.INDETERMINATE and one.probability is not None
    ]
    return Examination(
        study_uid=study_uid,
        person=person,
        day=day,
        settings=findings.configuration_digest,
        scores=tuple(_scores(findings.series)),
        model="" if findings.model is None else findings.model.digest,
        probabilities=tuple((one.target, probability) for one, probability in given),
        bases=tuple((one.target, one.sequence) for one, _ in given),
    )


def _scores(series: Iterable[SeriesFindings]) -> Iterator[Score]:
    for found in series:
        quality = found.bone_quality
        if quality.score is not None:
            yield Score(
                contrast=found.identification.contrast,
                value=quality.score,
                sound=not quality.concerns and found.judgement.grade is Grade.SOUND,
                levels=tuple(level.name for level in quality.levels),
                measured_by=found.segmentation.method,
                scan=_scan(found.source.facts),
            )


def _scan(facts: AcquisitionFacts) -> Scan:
    return Scan(
        manufacturer=facts.vendor,
        model=facts.model,
        field_strength_t=facts.field_strength_t,
        repetition_time_ms=facts.repetition_time_ms,
        echo_time_ms=facts.echo_time_ms,
        sequence=(facts.acquisition_type, *facts.scanning_sequence),
    )


def latest_before(examinations: Iterable[Examination], now: Examination) -> Examination | None:
    """Return the latest examination of the same person on an earlier day with a score to compare.

    The person is the same if `Examination.person` is known and equal. What was examined on
    the same day is no prior examination.
    """
    day = now.day
    if not now.person or day is None:
        return None
    earlier = [
        (one.day, one.study_uid, one)
        for one in examinations
        if one.person == now.person and one.day is not None and one.day < day
        if any(now.of(score.contrast) for score in one.scores)
    ]
    return max(earlier, key=lambda one: one[:2])[2] if earlier else None


def compare(then: Examination, now: Examination) -> Comparison:
    """Compare two examinations of one patient.

    Probabilities are compared only if the same model gave both from the same sequences: a bundle holds a
    classifier for each basis, and two of them differ for reasons other than the patient.
    """
    pairs = [(old, new) for new in now.scores if (old := then.of(new.contrast)) is not None]
    same_settings = then.settings == now.settings
    scores = tuple(
        ScoreChange(
            new.contrast, old.value, new.value, tuple(_obstacles(old, new, same_settings=same_settings))
        )
        for old, new in pairs
    )
    bases = [dict(one.bases) for one in (then, now)]
    earlier = {
        target: value
        for target, value in then.probabilities
        if then.model == now.model and bases[0].get(target) == bases[1].get(target)
    }
    return Comparison(
        then,
        scores,
        tuple(
            ProbabilityChange(target, earlier[target], value)
            for target, value in now.probabilities
            if target in earlier
        ),
    )


def _obstacles(then: Score, now: Score, *, same_settings: bool) -> Iterator[Reason]:
    """Yield why two scores of one weighting are not comparable."""
    if not then.sound:
        yield Reason("prior_doubtful")
    if not now.sound:
        yield Reason("present_doubtful")
    if then.measured_by != now.measured_by or not same_settings:
        yield Reason("prior_measured_otherwise")
    elif then.levels != now.levels:
        yield Reason("prior_other_levels")
    yield from _between_scans(then.scan, now.scan)


def _between_scans(then: Scan, now: Scan) -> Iterator[Reason]:
    """Yield in what two scans differ, or that it is not known."""
    scanners = [(_plain(one.manufacturer), _plain(one.model)) for one in (then, now)]
    fields = then.field_strength_t, now.field_strength_t
    if not all(all(one) for one in scanners) or not all(fields):
        yield Reason("prior_scanner_unknown")
    elif scanners[0] != scanners[1]:
        yield Reason("prior_other_scanner")
    if fields[0] and fields[1] and abs(fields[0] - fields[1]) > _SAME_FIELD_T:
        yield Reason("prior_other_field", then_t=fields[0], now_t=fields[1])
    if then.sequence != now.sequence:
        yield Reason("prior_other_sequence")
    for name, old, new in (
        ("TR", then.repetition_time_ms, now.repetition_time_ms),
        ("TE", then.echo_time_ms, now.echo_time_ms),
    ):
        if not old or not new:
            yield Reason("prior_timing_unknown", name=name)
        elif abs(old - new) > _SAME_TIME * max(old, new):
            yield Reason("prior_other_timing", name=name, then_ms=old, now_ms=new)


def _plain(words: str) -> str:
    return " ".join(words.casefold().split())
