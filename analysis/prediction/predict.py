"""Predict the targets from the measurements of a study, or give the reasons for abstaining."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from analysis.domain.basis import SEQUENCES, AgeAndSex, asked_in_turn, joined, sequences_of
from analysis.domain.findings import Prediction, SeriesFindings, Target, Verdict
from analysis.domain.readings import ModelInput, Protocol, Reading
from analysis.domain.reason import Reason
from analysis.domain.remoteness import Departure, TrainingDistance, departures_by_basis
from analysis.prediction.decision import why_open
from analysis.prediction.model import Classifier, Model, Range, raw_scores
from analysis.prediction.range_check import distance_of, objections_of_model, training_distance, values_of
from analysis.prediction.series_check import (
    has_reference,
    left_out_bodies,
    objections_to_pair,
    objections_to_series,
)
from analysis.settings import AnalysisSettings

__all__ = ["distances_from", "estimate", "open_reason", "predict", "predict_from", "read_study"]


def predict(
    series: tuple[SeriesFindings, ...],
    model: Model,
    settings: AnalysisSettings,
    person: AgeAndSex | None = None,
) -> tuple[Prediction, ...]:
    """Predict every target of the model.

    Each target is predicted from what the settings prefer for it. If that is one sequence, and it is missing,
    or its measurements do not allow a prediction, the other sequence is used and the prediction says so. An
    indeterminate answer from the preferred sequence is final: the other sequence is not tried. T1 and T2
    together are replaced by nothing: without either of them there is no answer.

    Whether a patient lies in the range of the training data is one judgement for all targets
    (`objections_of_model`).

    Parameters
    ----------
    series : tuple of SeriesFindings
        At most one of each contrast.
    model : Model
        The model.
    settings : AnalysisSettings
        What is preferred for each target, and the minimum number of levels.
    person : AgeAndSex, optional
        Age and sex, for models that were trained with them; both unknown by default.

    Returns
    -------
    tuple of Prediction
        One per target, in the order of `Target`.
    """
    return predict_from(read_study(series, settings, person), model, settings)


def read_study(
    series: tuple[SeriesFindings, ...], settings: AnalysisSettings, person: AgeAndSex | None = None
) -> dict[str, Reading]:
    """Return what any model can read of a study, by basis; the parameters are those of `predict`."""
    by_name = {found.identification.contrast.value: found for found in series}
    known = person or AgeAndSex()
    bases = [*SEQUENCES, *(one for one in settings.preferred.values() if one not in SEQUENCES)]
    return {basis: _reading(basis, by_name, settings, known) for basis in bases}


def predict_from(
    readings: Mapping[str, Reading],
    model: Model,
    settings: AnalysisSettings,
    departures: Sequence[Departure] = (),
) -> tuple[Prediction, ...]:
    """Predict every target of a model from what `read_study` returned; see `predict`.

    Nothing is answered from the bases in which the scanner has left the range of the training (`departures`).
    """
    left = departures_by_basis(departures)
    judged = {basis: _judged(basis, reading, model, left.get(basis)) for basis, reading in readings.items()}
    targets = {target for target, _ in model.classifiers}
    answers = (_answer(target, judged, model, settings) for target in Target if target in targets)
    return tuple(_documented(answer, judged, model) for answer in answers)


def distances_from(readings: Mapping[str, Reading], model: Model) -> tuple[TrainingDistance, ...]:
    """Return how far each basis of a study lies from the training, as far as that says anything.

    It is taken of every basis that the model has learned, whatever the answers are based on, so that the
    range of a scanner is judged by all its studies.

    Parameters
    ----------
    readings : mapping of str to Reading
        From `read_study`.
    model : Model
        The model.
    """
    found = []
    for basis, reading in readings.items():
        classifiers = [one for (_, learned), one in model.classifiers.items() if learned == basis]
        if reading.read is not None and reading.referred:
            found.append(training_distance(reading.read, classifiers))
    return tuple(one for one in found if one is not None)


def _documented(answer: Prediction, judged: Mapping[str, Reading], model: Model) -> Prediction:
    """Add what the card tells of the classifiers of the target, and the distance, whatever the answer is."""
    classifiers = _of_target(answer.target, model)
    used = classifiers.get(answer.sequence)
    reading = judged[answer.sequence]
    distance = None
    if used is not None and reading.read is not None and reading.referred:
        distance = distance_of(reading.read, used)
    return replace(
        answer,
        distance=distance,
        distance_limit=None if used is None else used.training.distance_limit,
        by_sequence={basis: one.performance.answers for basis, one in classifiers.items()},
        trained_on={} if used is None else used.training.protocols,
        age_and_sex=used is not None and used.training.people is not None,
    )


def _of_target(target: Target, model: Model) -> dict[str, Classifier]:
    return {basis: one for (learned, basis), one in model.classifiers.items() if learned is target}


def _reading(
    basis: str, series: Mapping[str, SeriesFindings], settings: AnalysisSettings, person: AgeAndSex
) -> Reading:
    names = sequences_of(basis)
    found = {name: series[name] for name in names if name in series}
    against = [Reason("sequence_missing", sequence=name) for name in names if name not in series]
    for name, one in found.items():
        against += objections_to_series(one, name, settings)
    if len(found) < len(names):
        return Reading(None, tuple(against))
    if len(names) > 1:
        against += objections_to_pair(*found.values())
    referred = all(has_reference(one, settings) for one in found.values())
    remarks = (reason for name, one in found.items() for reason in left_out_bodies(one, name))
    return Reading(_read(basis, found, person), tuple(against), tuple(remarks), referred)


def _judged(basis: str, reading: Reading, model: Model, departure: Departure | None) -> Reading:
    """Add what a model has against a reading."""
    against = reading.against
    if reading.read is not None:
        classifiers = [one for (_, learned), one in model.classifiers.items() if learned == basis]
        own = objections_of_model(reading.read, classifiers, with_features=reading.referred)
        left = () if departure is None else (departure.reason,)
        against = tuple(dict.fromkeys((*against, *own, *left)))
    return replace(reading, against=against)


def _read(basis: str, found: Mapping[str, SeriesFindings], person: AgeAndSex) -> ModelInput:
    facts = {name: one.source.facts for name, one in found.items()}
    return ModelInput(
        basis=basis,
        features=joined({name: one.patient_features for name, one in found.items()}),
        protocols={
            name: Protocol(one.repetition_time_ms, one.echo_time_ms, one.field_strength_t)
            for name, one in facts.items()
        },
        person=person,
    )


def _answer(
    target: Target, judged: Mapping[str, Reading], model: Model, settings: AnalysisSettings
) -> Prediction:
    preferred = settings.preferred[target]
    classifiers = _of_target(target, model)
    objections: list[Reason] = []
    for basis in asked_in_turn(preferred):
        classifier, one = classifiers.get(basis), judged[basis]
        against = one.against
        if classifier is None:
            against = (*against, Reason("sequence_not_learned", sequence=basis))
        if classifier is not None and one.read is not None and not against:
            fallback = (*objections, Reason("used_instead", sequence=basis)) if objections else ()
            return _judge(one.read, classifier, (*fallback, *one.remarks), preferred)
        objections += against
    known = next(iter(classifiers.values()))
    return _abstain(
        classifiers.get(preferred, known), tuple(dict.fromkeys(objections)), preferred, sequence=preferred
    )


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
    values = values_of(read, classifier)
    probability = classifier.calibration.probability(float(raw_scores(classifier.estimator, values)[0]))
    away = float(classifier.training.remoteness(classifier.estimator["scale"].transform(values))[0])
    return probability, classifier.band.interval(probability, away), away


def _judge(
    read: ModelInput, classifier: Classifier, remarks: tuple[Reason, ...], preferred: str
) -> Prediction:
    threshold = classifier.decision_threshold
    probability, interval, _ = estimate(read, classifier)
    undecided = open_reason(probability, interval, classifier)
    if undecided is not None:
        abstained = _abstain(classifier, (*remarks, undecided), preferred, sequence=classifier.sequence)
        return replace(abstained, features=classifier.features, estimate=probability)
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
        estimate=probability,
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
    classifier: Classifier, reasons: tuple[Reason, ...], preferred: str, *, sequence: str
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
        answers=classifier.performance.answers if classifier.sequence == sequence else None,
    )
