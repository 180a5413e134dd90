"""Predict the targets from the measurements of a study, or give the reasons for abstaining."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Prediction, ProtocolRange, SeriesFindings, Target, Verdict
from analysis.domain.reason import Reason
from analysis.measurement.vbq import MINIMUM_CSF_QUALITY, too_shaded
from analysis.prediction.decision import why_open
from analysis.prediction.model import Classifier, Model, Range, raw_scores, rounded
from analysis.settings import AnalysisSettings

__all__ = ["ModelInput", "estimate", "objections_of_model", "objections_to_series", "open_reason", "predict"]

_RANGE_MARGIN = 0.1
"""Fraction by which TR, TE and field strength may lie outside the training range: scanners adjust and round
them, and a change of a tenth does not change the weighting."""

_DISTURBED = frozenset(
    {
        "body_brighter",
        "body_darker",
        "contrast_unclear",
        "focal_bright",
        "focal_dark",
        "focal_elsewhere",
        "height_loss",
        "signal_void",
    }
)
"""Codes of concerns that change the signal of the marrow for reasons other than its density."""


@dataclass(frozen=True, slots=True)
class ModelInput:
    """What a classifier reads of one series.

    Attributes
    ----------
    sequence : str
        "T1" or "T2".
    features : mapping of str to float
        Radiomics aggregated over the usable bodies, by name.
    repetition_time_ms, echo_time_ms, field_strength_t : float or None
        Acquisition parameters; None if the header has no value.
    """

    sequence: str
    features: Mapping[str, float]
    repetition_time_ms: float | None
    echo_time_ms: float | None
    field_strength_t: float | None


def predict(
    series: tuple[SeriesFindings, ...], model: Model, settings: AnalysisSettings
) -> tuple[Prediction, ...]:
    """Predict every target of the model.

    Each target is predicted from its preferred sequence. If that is missing, or its measurements do not allow
    a prediction, the other sequence is used and the prediction says so. An indeterminate answer from the
    preferred sequence is final: the other sequence is not tried.

    Whether a series lies in the range of the training data is one judgement for all targets
    (`objections_of_model`).

    Parameters
    ----------
    series : tuple of SeriesFindings
        At most one of each contrast.
    model : Model
        The model.
    settings : AnalysisSettings
        The preferred sequences and the minimum number of levels.

    Returns
    -------
    tuple of Prediction
        One per target, in the order of `Target`.
    """
    judged = {
        found.identification.contrast.value: (found, tuple(_objections(found, model, settings)))
        for found in series
    }
    targets = {target for target, _ in model.classifiers}
    answers = (_answer(target, judged, model, settings) for target in Target if target in targets)
    return tuple(_documented(answer, model) for answer in answers)


def _documented(answer: Prediction, model: Model) -> Prediction:
    """Add what the card tells of the classifiers of the target, whatever the answer is."""
    classifiers = {
        sequence: one for (target, sequence), one in model.classifiers.items() if target is answer.target
    }
    used = classifiers.get(answer.sequence)
    seen = used.training if used is not None else None
    return replace(
        answer,
        by_sequence={sequence: one.performance.answers for sequence, one in classifiers.items()},
        trained_on=None
        if seen is None
        else ProtocolRange(seen.repetition_time_ms, seen.echo_time_ms, seen.field_strength_t),
    )


_Judged: TypeAlias = tuple[SeriesFindings, tuple[Reason, ...]]
"""A series, and every reason against any prediction from it."""


def _answer(
    target: Target, judged: dict[str, _Judged], model: Model, settings: AnalysisSettings
) -> Prediction:
    preferred = settings.preferred[target]
    other = Contrast.T2 if preferred is Contrast.T1 else Contrast.T1
    objections: list[Reason] = []
    for sequence in (preferred.value, other.value):
        classifier = model.classifiers.get((target, sequence))
        found, against = judged.get(sequence, (None, (Reason("sequence_missing", sequence=sequence),)))
        if classifier is None:
            against = (*against, Reason("sequence_not_learned", sequence=sequence))
        if classifier is not None and found is not None and not against:
            fallback = (*objections, Reason("used_instead", sequence=sequence)) if objections else ()
            remarks = (*fallback, *_left_out(found, sequence))
            return _judge(_read(found), classifier, remarks, preferred)
        objections += against
    classifier = model.classifiers.get((target, preferred.value)) or model.classifiers[target, other.value]
    return _abstain(classifier, tuple(objections), preferred, sequence=preferred.value)


def estimate(read: ModelInput, classifier: Classifier) -> tuple[float, Range, float]:
    """Return the probability of a target, its 95 % interval, and how remote the patient is.

    Parameters
    ----------
    read : ModelInput
        A series with all features of the classifier.
    classifier : Classifier
        The classifier; its range is not asked here (`objections_of_model`).

    Returns
    -------
    probability : float
        Calibrated, 0 to 1.
    interval : tuple of two float
        Its 95 % interval.
    remoteness : float
        As `TrainingRange.remoteness`.
    """
    values = _values(read, classifier)
    probability = classifier.calibration.probability(float(raw_scores(classifier.estimator, values)[0]))
    away = float(classifier.training.remoteness(classifier.estimator["scale"].transform(values))[0])
    return probability, classifier.band.interval(probability, away), away


def _judge(
    read: ModelInput, classifier: Classifier, remarks: tuple[Reason, ...], preferred: Contrast
) -> Prediction:
    threshold = classifier.decision_threshold
    probability, interval, _ = estimate(read, classifier)
    undecided = open_reason(probability, interval, classifier)
    if undecided is not None:
        abstained = _abstain(classifier, (*remarks, undecided), preferred, sequence=classifier.sequence)
        return replace(abstained, features=classifier.features)
    return Prediction(
        target=classifier.target,
        sequence=classifier.sequence,
        preferred=preferred,
        verdict=Verdict.ABOVE if probability >= threshold else Verdict.BELOW,
        probability=probability,
        interval=interval,
        decision_threshold=threshold,
        reasons=remarks,
        features=classifier.features,
        answers=classifier.performance.answers,
    )


def open_reason(probability: float, interval: Range, classifier: Classifier) -> Reason | None:
    """Return the reason why a probability does not decide the answer, or None if it does."""
    threshold, conformal = classifier.decision_threshold, classifier.conformal
    code = why_open(probability, interval, threshold, conformal)
    if code is None:
        return None
    if code == "threshold_in_interval":
        low, high = interval
        return Reason("threshold_in_interval", low=low, high=high, estimate=probability, threshold=threshold)
    return Reason(code, confidence=conformal.confidence, estimate=probability, threshold=threshold)


def _abstain(
    classifier: Classifier, reasons: tuple[Reason, ...], preferred: Contrast, *, sequence: str
) -> Prediction:
    return Prediction(
        target=classifier.target,
        sequence=sequence,
        preferred=preferred,
        verdict=Verdict.INDETERMINATE,
        probability=None,
        interval=None,
        decision_threshold=classifier.decision_threshold,
        reasons=reasons,
        answers=classifier.performance.answers,
    )


def _objections(found: SeriesFindings, model: Model, settings: AnalysisSettings) -> Iterator[Reason]:
    """Yield every reason against predicting any target from this series."""
    sequence = found.identification.contrast.value
    yield from objections_to_series(found, sequence, settings)
    classifiers = [one for (_, learned), one in model.classifiers.items() if learned == sequence]
    yield from objections_of_model(_read(found), classifiers, with_features=_has_reference(found, settings))


def _read(found: SeriesFindings) -> ModelInput:
    facts = found.source.facts
    return ModelInput(
        sequence=found.identification.contrast.value,
        features=found.patient_features,
        repetition_time_ms=facts.repetition_time_ms,
        echo_time_ms=facts.echo_time_ms,
        field_strength_t=facts.field_strength_t,
    )


def objections_to_series(
    found: SeriesFindings, sequence: str, settings: AnalysisSettings
) -> Iterator[Reason]:
    """Yield the reasons against using a series for training or prediction, for any model.

    Parameters
    ----------
    found : SeriesFindings
        The findings of the series.
    sequence : str
        "T1" or "T2", for the sentences.
    settings : AnalysisSettings
        The minimum number of levels and the reference of the signals.

    Yields
    ------
    Reason
        One for each objection.
    """
    if not found.identification.usable:
        yield Reason("series_not_plain", sequence=sequence)
    yield from _about_spine(found, sequence, settings)
    if not _has_reference(found, settings):
        yield Reason("reference_invalid", sequence=sequence)
    if settings.features.reference == "csf" and too_shaded(found.bone_quality.concerns):
        yield Reason("reference_shaded", sequence=sequence)


def _has_reference(found: SeriesFindings, settings: AnalysisSettings) -> bool:
    quality = found.bone_quality
    return settings.features.reference != "csf" or (
        quality.csf_signal is not None and quality.csf_quality >= MINIMUM_CSF_QUALITY
    )


def _about_spine(found: SeriesFindings, sequence: str, settings: AnalysisSettings) -> Iterator[Reason]:
    usable = found.segmentation.usable_lumbar
    if len(usable) < settings.minimum_usable_levels:
        minimum = settings.minimum_usable_levels
        yield Reason("few_usable_bodies", sequence=sequence, usable=len(usable), minimum=minimum)
    if not found.segmentation.levels_certain:
        yield Reason("levels_uncertain", sequence=sequence)
    for number, region in enumerate(found.segmentation.regions, start=1):
        if region not in usable:
            continue
        # A wrong name is worse than none.
        certain = found.segmentation.levels_certain
        level = region.level.name if certain else Reason("body_number", number=number)
        for concern in _disturbances(region.concerns):
            yield Reason("body_disturbed", sequence=sequence, level=level, concern=concern)
    for concern in _disturbances(found.segmentation.concerns):
        yield Reason("series_disturbed", sequence=sequence, concern=concern)


def _disturbances(concerns: tuple[Reason, ...]) -> Iterator[Reason]:
    return (concern for concern in concerns if concern.code in _DISTURBED)


def _left_out(found: SeriesFindings, sequence: str) -> Iterator[Reason]:
    """Yield disturbances of bodies that were left out, because the reader of an answer must know them."""
    for region in found.segmentation.regions:
        if region.level.lumbar and not region.usable:
            for concern in _disturbances(region.concerns):
                yield Reason("body_left_out", sequence=sequence, level=region.level.name, concern=concern)


def objections_of_model(
    read: ModelInput, classifiers: Sequence[Classifier], *, with_features: bool = True
) -> Iterator[Reason]:
    """Yield how a series departs from what the classifiers of its sequence were trained on.

    This is one judgement for all targets: a series that is unlike the training images for one target does not
    become like them for another. Every classifier of the sequence must have seen such a series, also one that
    is not asked because its target prefers the other sequence, so the judgement does not depend on what else
    the study holds.

    - TR, TE and field strength must lie in the training range of each classifier, that is in what all of them
      have seen. The classifiers of a bundle are usually trained on the same patients, and then the ranges are
      the same; where they differ, each range that excludes the series is named.
    - Distances cannot be joined into one, because each classifier has features of its own, and what one set
      of features does not show another may. The series must lie within the 99th percentile of each; the
      distance that exceeds its limit by the largest factor is named. The price is that of patients like those
      of the training up to 1 % per classifier instead of 1 % are set aside (with two targets at most 2 %).

    Parameters
    ----------
    read : ModelInput
        The series.
    classifiers : sequence of Classifier
        All classifiers of its sequence.
    with_features : bool
        False if the features have no valid reference, so that their distance would say nothing.
    """
    yield from dict.fromkeys(reason for one in classifiers for reason in _about_protocol(read, one))
    if not with_features:
        return
    missing = [(sum(name not in read.features for name in one.features), one) for one in classifiers]
    count, most = max(missing, key=lambda pair: pair[0], default=(0, None))
    if most is not None and count:
        sequence, wanted = most.sequence, len(most.features)
        yield Reason("features_missing", sequence=sequence, missing=count, count=wanted)
        return
    yield from _about_distance(read, classifiers)


def _about_distance(read: ModelInput, classifiers: Sequence[Classifier]) -> Iterator[Reason]:
    """Yield by how much the features lie too far from the training patients, for the farthest classifier."""
    far = []
    for one in classifiers:
        standardised = one.estimator["scale"].transform(_values(read, one))
        distance, limit = float(one.training.distances(standardised)[0]), one.training.distance_limit
        if not distance <= limit:
            reason = Reason("features_far", sequence=one.sequence, distance=distance, limit=limit)
            far.append((distance / limit, reason))
    if far:
        yield max(far, key=lambda pair: pair[0])[1]


def _about_protocol(read: ModelInput, classifier: Classifier) -> Iterator[Reason]:
    training = classifier.training
    for code, value, limits, unit in (
        ("repetition_time", read.repetition_time_ms, training.repetition_time_ms, "ms"),
        ("echo_time", read.echo_time_ms, training.echo_time_ms, "ms"),
        ("field_strength", read.field_strength_t, training.field_strength_t, "T"),
    ):
        if limits is None or _within(value, limits):
            continue  # within the range, or no header of the cohort had a value to compare with
        of = {"sequence": classifier.sequence, "quantity": Reason(code), "seen": _range(limits), "unit": unit}
        if value is None:
            yield Reason("protocol_unknown", **of)
        else:
            yield Reason("protocol_outside", value=rounded(value), **of)


def _within(value: float | None, limits: Range) -> bool:
    low, high = limits
    return value is not None and low * (1 - _RANGE_MARGIN) <= value <= high * (1 + _RANGE_MARGIN)


def _range(limits: Range) -> Reason:
    low, high = map(rounded, limits)
    return Reason("exactly", value=low) if low == high else Reason("from_to", low=low, high=high)


def _values(read: ModelInput, classifier: Classifier) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([[read.features[name] for name in classifier.features]], dtype=np.float64)
