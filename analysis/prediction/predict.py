"""Predict the targets from the measurements of a study, or give the reasons for abstaining."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from analysis.domain.basis import BASES, SEQUENCES, AgeAndSex, asked_in_turn, joined, sequences_of
from analysis.domain.findings import Prediction, SeriesFindings, Target, Verdict
from analysis.domain.reason import Reason
from analysis.domain.remoteness import Departure, Reading, departures_by_basis
from analysis.prediction.decision import why_open
from analysis.prediction.model import Classifier, Model, Range, raw_scores
from analysis.prediction.range_check import (
    ModelInput,
    Protocol,
    objections_of_model,
    reading_of,
    values_of,
)
from analysis.prediction.series_check import (
    has_reference,
    left_out_bodies,
    objections_to_pair,
    objections_to_series,
)
from analysis.settings import AnalysisSettings

__all__ = ["estimate", "open_reason", "predict", "readings"]


def predict(
    series: tuple[SeriesFindings, ...],
    model: Model,
    settings: AnalysisSettings,
    person: AgeAndSex | None = None,
    departures: Sequence[Departure] = (),
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
    departures : sequence of Departure, optional
        The bases in which the scanner has left the range of the training; nothing is answered from them.

    Returns
    -------
    tuple of Prediction
        One per target, in the order of `Target`.
    """
    by_name = {found.identification.contrast.value: found for found in series}
    known = person or AgeAndSex()
    bases = {*SEQUENCES, *settings.preferred.values()}
    left = departures_by_basis(departures)
    judged = {basis: _judged(basis, by_name, model, settings, known, left.get(basis)) for basis in bases}
    targets = {target for target, _ in model.classifiers}
    answers = (_answer(target, judged, model, settings) for target in Target if target in targets)
    return tuple(_documented(answer, model) for answer in answers)


def _documented(answer: Prediction, model: Model) -> Prediction:
    """Add what the card tells of the classifiers of the target, whatever the answer is."""
    classifiers = _of_target(answer.target, model)
    used = classifiers.get(answer.sequence)
    return replace(
        answer,
        by_sequence={basis: one.performance.answers for basis, one in classifiers.items()},
        trained_on={} if used is None else used.training.protocols,
        age_and_sex=used is not None and used.training.people is not None,
    )


def _of_target(target: Target, model: Model) -> dict[str, Classifier]:
    return {basis: one for (learned, basis), one in model.classifiers.items() if learned is target}


@dataclass(frozen=True, slots=True)
class _Judged:
    """What classifiers of one basis can read of a study.

    Attributes
    ----------
    read : ModelInput or None
        None if a sequence is missing.
    against : tuple of Reason
        Every reason against any prediction from it.
    remarks : tuple of Reason
        What the reader of an answer must know.
    """

    read: ModelInput | None
    against: tuple[Reason, ...]
    remarks: tuple[Reason, ...]


def _judged(
    basis: str,
    series: Mapping[str, SeriesFindings],
    model: Model,
    settings: AnalysisSettings,
    person: AgeAndSex,
    departure: Departure | None,
) -> _Judged:
    names = sequences_of(basis)
    found = {name: series[name] for name in names if name in series}
    against = [Reason("sequence_missing", sequence=name) for name in names if name not in series]
    for name, one in found.items():
        against += objections_to_series(one, name, settings)
    if len(found) < len(names):
        return _Judged(None, tuple(against), ())
    if len(names) > 1:
        against += objections_to_pair(*found.values())
    read = _read(basis, found, person)
    classifiers = [one for (_, learned), one in model.classifiers.items() if learned == basis]
    referred = all(has_reference(one, settings) for one in found.values())
    against += objections_of_model(read, classifiers, with_features=referred)
    if departure is not None:
        against.append(departure.reason)
    remarks = (reason for name, one in found.items() for reason in left_out_bodies(one, name))
    return _Judged(read, tuple(dict.fromkeys(against)), tuple(remarks))


def readings(
    series: tuple[SeriesFindings, ...],
    model: Model,
    settings: AnalysisSettings,
    person: AgeAndSex | None = None,
) -> tuple[Reading, ...]:
    """Return how far each basis of a study lies from the training, as far as that says anything.

    It is read of every basis that the model has learned and the study has, whatever the answers are based on, so that
    the range of a scanner is judged by all its studies.

    Parameters
    ----------
    series, model, settings, person
        As for `predict`.
    """
    by_name = {found.identification.contrast.value: found for found in series}
    read = []
    for basis in BASES:
        classifiers = [one for (_, learned), one in model.classifiers.items() if learned == basis]
        found = {name: by_name[name] for name in sequences_of(basis) if name in by_name}
        whole = len(found) == len(sequences_of(basis))
        if whole and all(has_reference(one, settings) for one in found.values()):
            read.append(reading_of(_read(basis, found, person or AgeAndSex()), classifiers))
    return tuple(one for one in read if one is not None)


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
    target: Target, judged: Mapping[str, _Judged], model: Model, settings: AnalysisSettings
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
