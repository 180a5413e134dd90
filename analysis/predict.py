"""From measurements to a calibrated answer, or to the reasons why there is none."""

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Prediction, SeriesFindings, Target, Verdict
from analysis.model import Classifier, Model, Range, raw_scores
from analysis.settings import AnalysisSettings
from analysis.vbq import MINIMUM_CSF_QUALITY

__all__ = ["objections_to_series", "predict"]

_RANGE_MARGIN = 0.1
"""TR, TE and field strength may lie this share outside what training saw: scanners adjust and round them, and
within a tenth the weighting stays the same."""

_EVEN = 0.5

_DISTURBED = re.compile(r"fracture|metal|implant|haemangioma|metasta|lesion", re.IGNORECASE)
"""Concerns that change the signal of the marrow for reasons other than its density."""


def predict(
    series: tuple[SeriesFindings, ...], model: Model, settings: AnalysisSettings
) -> tuple[Prediction, ...]:
    """Answer every target that the model knows.

    Each target is read from the sequence that suits it. Where that one is missing, or its measurements do
    not bear an answer, the other is used and the prediction says so. An answer that stays open is not asked
    a second time.

    Parameters
    ----------
    series : tuple of SeriesFindings
        At most one of each contrast.
    model : Model
        Who answers.
    settings : AnalysisSettings
        Which sequence is preferred, and how many levels are needed.

    Returns
    -------
    tuple of Prediction
        One per target, in the order of `Target`.
    """
    by_sequence = {found.identification.contrast.value: found for found in series}
    targets = {target for target, _ in model.classifiers}
    return tuple(_answer(target, by_sequence, model, settings) for target in Target if target in targets)


def _answer(
    target: Target, by_sequence: dict[str, SeriesFindings], model: Model, settings: AnalysisSettings
) -> Prediction:
    preferred = settings.preferred[target]
    other = Contrast.T2 if preferred is Contrast.T1 else Contrast.T1
    objections: list[str] = []
    for sequence in (preferred.value, other.value):
        classifier, found = model.classifiers.get((target, sequence)), by_sequence.get(sequence)
        against = tuple(_objections(found, classifier, sequence, settings))
        if classifier is not None and found is not None and not against:
            fallback = (*objections, f"{sequence} was used instead") if objections else ()
            return _judge(found, classifier, (*fallback, *_left_out(found, sequence)))
        objections += against
    classifier = model.classifiers.get((target, preferred.value)) or model.classifiers[target, other.value]
    return _abstain(classifier, tuple(objections), sequence=preferred.value)


def _judge(found: SeriesFindings, classifier: Classifier, remarks: tuple[str, ...]) -> Prediction:
    score = float(raw_scores(classifier.estimator, _values(found, classifier))[0])
    probability = classifier.calibration.probability(score)
    open_reason = _why_open(probability, classifier)
    if open_reason is not None:
        abstained = _abstain(classifier, (*remarks, open_reason), sequence=classifier.sequence)
        return replace(abstained, features=classifier.features)
    likely = probability >= classifier.decision_threshold
    return Prediction(
        target=classifier.target,
        sequence=classifier.sequence,
        verdict=Verdict.LIKELY if likely else Verdict.UNLIKELY,
        probability=probability,
        interval=classifier.calibration.interval(score),
        decision_threshold=classifier.decision_threshold,
        reasons=(*remarks, *_explained(probability, classifier, likely=likely)),
        features=classifier.features,
    )


def _why_open(probability: float, classifier: Classifier) -> str | None:
    """Say why a probability decides nothing, or None if it does."""
    may_be_present, may_be_absent = classifier.conformal.answers(probability)
    confidence, threshold = classifier.conformal.confidence, classifier.decision_threshold
    if may_be_present and may_be_absent:
        what = f"both answers remain possible at {confidence:.0%} confidence"
    elif may_be_present == may_be_absent:
        what = f"neither answer fits the training patients at {confidence:.0%} confidence"
    elif may_be_present != (probability >= threshold):
        what = f"the decision threshold and the answer at {confidence:.0%} confidence disagree"
    else:
        return None
    return f"{what} (estimate {probability:.0%}, decision threshold {threshold:.0%})"


def _explained(probability: float, classifier: Classifier, *, likely: bool) -> Iterator[str]:
    """Explain an answer that seems to contradict its probability, as it may for a rare or a common target."""
    if likely == (probability >= _EVEN):
        return
    share, without = f"{1 - classifier.conformal.confidence:.0%}", "without" if likely else "with"
    side = "as high" if likely else "as low"
    yield (
        f"at most about {share} of training patients {without} {classifier.target} "
        f"have an estimate {side} as this"
    )


def _abstain(classifier: Classifier, reasons: tuple[str, ...], *, sequence: str) -> Prediction:
    return Prediction(
        target=classifier.target,
        sequence=sequence,
        verdict=Verdict.INDETERMINATE,
        probability=None,
        interval=None,
        decision_threshold=classifier.decision_threshold,
        reasons=reasons,
    )


def _objections(
    found: SeriesFindings | None, classifier: Classifier | None, sequence: str, settings: AnalysisSettings
) -> Iterator[str]:
    """Everything that speaks against an answer from this series."""
    if found is None:
        yield f"{sequence} was missing"
    if classifier is None:
        yield f"the model was not trained on {sequence}"
    if found is None or classifier is None:
        return
    yield from objections_to_series(found, sequence, settings)
    yield from _about_protocol(found, classifier)
    if _has_reference(found, settings):
        yield from _about_values(found, classifier)


def objections_to_series(found: SeriesFindings, sequence: str, settings: AnalysisSettings) -> Iterator[str]:
    """Tell what speaks against learning from a series, or answering from it, whatever the model.

    Parameters
    ----------
    found : SeriesFindings
        What was measured.
    sequence : str
        "T1" or "T2", for the sentences.
    settings : AnalysisSettings
        How many levels are needed, and what signals refer to.

    Yields
    ------
    str
        One sentence each.
    """
    if not found.identification.usable:
        yield f"the {sequence} series is not a plain sagittal one of the lumbar spine"
    yield from _about_spine(found, sequence, settings)
    if not _has_reference(found, settings):
        yield f"{sequence}: the cerebrospinal fluid, which signals refer to, was not valid"


def _has_reference(found: SeriesFindings, settings: AnalysisSettings) -> bool:
    quality = found.bone_quality
    return settings.features.reference != "csf" or (
        quality.csf_signal is not None and quality.csf_quality >= MINIMUM_CSF_QUALITY
    )


def _about_spine(found: SeriesFindings, sequence: str, settings: AnalysisSettings) -> Iterator[str]:
    usable = found.segmentation.usable_lumbar
    if len(usable) < settings.minimum_usable_levels:
        yield (
            f"{sequence}: {len(usable)} usable lumbar vertebral bodies, and "
            f"{settings.minimum_usable_levels} are needed"
        )
    if not found.segmentation.levels_certain:
        yield f"{sequence}: the vertebral levels are uncertain"
    for region in usable:
        for concern in filter(_DISTURBED.search, region.concerns):
            yield f"{sequence}, {region.level.name}: {concern}"
    for concern in filter(_DISTURBED.search, found.segmentation.concerns):
        yield f"{sequence}: {concern}"


def _left_out(found: SeriesFindings, sequence: str) -> Iterator[str]:
    """Bodies that no feature was taken from, but whose state the reader of an answer must know."""
    for region in found.segmentation.regions:
        if region.level.lumbar and not region.usable:
            for concern in filter(_DISTURBED.search, region.concerns):
                yield f"{sequence}, {region.level.name}, which was left out: {concern}"


def _about_protocol(found: SeriesFindings, classifier: Classifier) -> Iterator[str]:
    facts, training = found.source.facts, classifier.training
    for name, value, limits, unit in (
        ("TR", facts.repetition_time_ms, training.repetition_time_ms, "ms"),
        ("TE", facts.echo_time_ms, training.echo_time_ms, "ms"),
        ("field strength", facts.field_strength_t, training.field_strength_t, "T"),
    ):
        against = _outside(value, limits)
        if against:
            yield f"{classifier.sequence}: {name} {against} {unit}"


def _outside(value: float | None, limits: Range | None) -> str | None:
    if limits is None:
        return None  # no header of the cohort told, so there is nothing to compare with
    low, high = limits
    seen = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    if value is None:
        return f"is unknown, and the model was trained on {seen}"
    if low * (1 - _RANGE_MARGIN) <= value <= high * (1 + _RANGE_MARGIN):
        return None
    return f"{value:g} lies outside the training range of {seen}"


def _about_values(found: SeriesFindings, classifier: Classifier) -> Iterator[str]:
    missing = sum(name not in found.patient_features for name in classifier.features)
    if missing:
        count = len(classifier.features)
        yield f"{classifier.sequence}: {missing} of the {count} features could not be taken"
        return
    standardised = classifier.estimator["scale"].transform(_values(found, classifier))
    distance = float(classifier.training.distances(standardised)[0])
    if not distance <= classifier.training.distance_limit:
        yield (
            f"{classifier.sequence}: features lie farther from the training patients ({distance:.1f}) "
            f"than 99 % of those ({classifier.training.distance_limit:.1f})"
        )


def _values(
    found: SeriesFindings, classifier: Classifier
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([[found.patient_features[name] for name in classifier.features]], dtype=np.float64)
