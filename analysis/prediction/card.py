"""The card of a model: everything but the estimators, as JSON for programs and as Markdown for people."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from analysis.domain.basis import AGE_AND_SEX, sequences_of
from analysis.domain.findings import AnswerFigures, ModelIdentity, ProtocolRange, Target
from analysis.prediction.model import (
    Classifier,
    Estimator,
    Model,
    Parent,
    PeopleRange,
    Performance,
    Probe,
    Range,
    TrainingRange,
    rounded,
)
from analysis.statistics.calibration import Calibration
from analysis.statistics.conformal import ConformalLimits
from analysis.statistics.error_band import ErrorBand

__all__ = ["CARD_FORMAT", "card_of", "estimator_key", "markdown_of", "model_of"]

CARD_FORMAT = 2


def estimator_key(target: Target, sequence: str) -> str:
    """Return the name of an estimator inside model.skops."""
    return f"{target.value} from {sequence}"


def card_of(model: Model) -> dict[str, Any]:
    """Return the card as JSON values; `model_of` is the inverse."""
    identity = model.identity
    # Without the key for a trained model, so that its bytes are those of earlier versions.
    parent = {} if model.parent is None else {"parent": asdict(model.parent)}
    return {
        "format": CARD_FORMAT,
        "name": identity.name,
        "version": identity.version,
        **parent,
        "cohort": identity.cohort,
        "intended_use": identity.intended_use,
        "simulated": identity.simulated,
        "thresholds_mg_cm3": {target.value: bmd for target, bmd in identity.thresholds_mg_cm3.items()},
        "features_digest": model.features_digest,
        "remarks": list(model.remarks),
        "classifiers": [_classifier_card(classifier) for classifier in model.classifiers.values()],
    }


def model_of(card: Mapping[str, Any], estimators: Mapping[str, Estimator], digest: str) -> Model:
    """Build the model that a card describes.

    Parameters
    ----------
    card : mapping
        The result of `card_of` after a round trip through JSON.
    estimators : mapping of str to Pipeline
        Estimators by `estimator_key`.
    digest : str
        SHA-256 (hex) of the bundle.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the card is incomplete or has values of the wrong type.
    """
    if card["format"] != CARD_FORMAT:
        raise ValueError(
            f"format {card['format']}, and this program reads {CARD_FORMAT}: train the model again"
        )
    thresholds = {Target(name): float(bmd) for name, bmd in card["thresholds_mg_cm3"].items()}
    identity = ModelIdentity(
        name=card["name"],
        version=card["version"],
        digest=digest,
        cohort=card["cohort"],
        intended_use=card["intended_use"],
        simulated=bool(card["simulated"]),
        thresholds_mg_cm3=thresholds,
    )
    parts = [_classifier_of(part, estimators) for part in card["classifiers"]]
    classifiers = {(part.target, part.sequence): part for part in parts}
    parent = Parent(**card["parent"]) if "parent" in card else None
    return Model(identity, card["features_digest"], classifiers, tuple(card["remarks"]), parent)


def markdown_of(model: Model) -> str:
    """Return the card as Markdown: cohort, intended use and performance."""
    identity = model.identity
    lines = [f"# {identity.name} {identity.version}", ""]
    if identity.simulated:
        lines += ["**Trained on simulated data. Not for clinical use.**", ""]
    lines += [f"- Cohort: {identity.cohort}", f"- Intended use: {identity.intended_use}"]
    lines += [
        f"- {target.value}: QCT trabecular BMD below {bmd:g} mg/cm³"
        for target, bmd in identity.thresholds_mg_cm3.items()
    ]
    lines += [f"- Bound to the feature configuration {model.features_digest[:16]}…"]
    lines += [*_parent_lines(model), "", "## How well it does", ""]
    lines += (
        _RECALIBRATED
        if model.parent is not None
        else [
            "Nested cross-validation: every patient is judged by a classifier that was selected, tuned and",
            "calibrated without that patient. 95 % intervals in brackets.",
            "",
        ]
    )
    for classifier in model.classifiers.values():
        lines += _classifier_lines(classifier)
    lines += ["## What else to know", "", *(f"- {remark}" for remark in model.remarks), ""]
    return "\n".join(lines)


_RECALIBRATED = [
    "Patients of the cohort of the recalibration, whom the parent had not seen. Each is judged by a",
    "recalibration and a threshold that were fitted without that patient. 95 % intervals in brackets.",
    "",
]


def _parent_lines(model: Model) -> list[str]:
    if model.parent is None:
        return []
    parent = model.parent
    made_of = f"{parent.name} {parent.version}, bundle {parent.digest}"
    return [f"- Recalibrated ({parent.changed}) from {made_of}, with the estimators of that model."]


def _classifier_lines(classifier: Classifier) -> list[str]:
    performance, training = classifier.performance, classifier.training
    low, high = classifier.threshold_spread
    chosen = ", ".join(f"{name} = {value}" for name, value in classifier.parameters.items())
    return [
        f"### {estimator_key(classifier.target, classifier.sequence)}",
        "",
        f"{classifier.kind} ({chosen}) on {len(classifier.features)} features.",
        f"{performance.patients} patients, {performance.present} with the target.",
        "",
        *_table(performance.values, performance.intervals),
        "",
        *_answer_lines(performance.answers),
        "",
        f"Decision threshold: a probability of {classifier.decision_threshold:.2f}.",
        f"Over refits on bootstrap samples of the patients it lies from {low:.2f} to {high:.2f} (95 %).",
        classifier.threshold_rule,
        f"Conformal sets hold the truth in {classifier.conformal.confidence:.0%} of patients.",
        *_protocol_lines(training),
        *_people_lines(classifier),
        "",
        f"Features: {', '.join(classifier.features)}.",
        "",
    ]


def _protocol_lines(training: TrainingRange) -> list[str]:
    lines = []
    for sequence, seen in training.protocols.items():
        knows = "Knows" if len(training.protocols) == 1 else f"{sequence}: knows"
        lines += [
            f"{knows} TR {_range(seen.repetition_time_ms)} ms, TE {_range(seen.echo_time_ms)} ms,",
            f"field strength {_range(seen.field_strength_t)} T; abstains beyond.",
        ]
    return lines


def _people_lines(classifier: Classifier) -> list[str]:
    people = classifier.training.people
    if people is None:
        return []
    sexes = " and ".join({"F": "women", "M": "men"}[sex] for sex in people.sexes)
    read = " and ".join(
        {"age": "age", "female": "sex"}[name] for name in AGE_AND_SEX if name in classifier.features
    )
    return [
        f"**Needs the age and sex of the patient**: knows {sexes} of {people.youngest} to {people.oldest}",
        f"years; abstains beyond, and where either is unknown. The selection took {read or 'neither'}.",
    ]


def _answer_lines(answers: AnswerFigures) -> list[str]:
    """Return the figures of the answers that are given, without those that stay indeterminate."""
    still_open = answers.patients - answers.answered
    return [
        f"Of {answers.patients} patients {answers.answered} got an answer, and {still_open} stayed",
        'indeterminate. For the answers that were given ("answered" and the AUC are of all patients):',
        "",
        *_table(answers.values, answers.intervals),
    ]


def _table(values: Mapping[str, float], intervals: Mapping[str, Range]) -> list[str]:
    rows = ((name, value, *intervals[name]) for name, value in values.items())
    return [
        "| measure | value |",
        "|---|---|",
        *(f"| {name} | {value:.3f} ({low:.3f} to {high:.3f}) |" for name, value, low, high in rows),
    ]


def _range(limits: Range | None) -> str:
    if limits is None:
        return "(unknown)"
    low, high = map(rounded, limits)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _classifier_card(classifier: Classifier) -> dict[str, Any]:
    training = classifier.training
    return {
        "target": classifier.target.value,
        "sequence": classifier.sequence,
        "kind": classifier.kind,
        "parameters": classifier.parameters,
        "features": list(classifier.features),
        "calibration": asdict(classifier.calibration),
        "band": asdict(classifier.band),
        "decision_threshold": classifier.decision_threshold,
        "threshold_rule": classifier.threshold_rule,
        "threshold_spread": classifier.threshold_spread,
        "conformal": asdict(classifier.conformal),
        "training": {
            **_protocol_card(training),
            "centre": training.centre.tolist(),
            "precision": training.precision.tolist(),
            "distance_limit": training.distance_limit,
            # Without the key for images alone, so that the bytes are those of earlier versions.
            **({} if training.people is None else {"people": asdict(training.people)}),
        },
        "performance": asdict(classifier.performance),
        "probe": asdict(classifier.probe),
    }


def _protocol_card(training: TrainingRange) -> dict[str, Any]:
    """Return the protocols by sequence; those of a single one as earlier versions wrote them."""
    every = {sequence: asdict(seen) for sequence, seen in training.protocols.items()}
    if len(every) == 1:
        (only,) = every.values()
        return only
    return {"protocols": every}


def _protocols(basis: str, training: Mapping[str, Any]) -> dict[str, ProtocolRange]:
    sequences = sequences_of(basis)
    stored = training["protocols"] if len(sequences) > 1 else {basis: training}
    names = ("repetition_time_ms", "echo_time_ms", "field_strength_t")
    return {
        sequence: ProtocolRange(*(_limits(stored[sequence][name]) for name in names))
        for sequence in sequences
    }


def _people(stored: Mapping[str, Any] | None) -> PeopleRange | None:
    if stored is None:
        return None
    return PeopleRange(int(stored["youngest"]), int(stored["oldest"]), tuple(map(str, stored["sexes"])))


def _classifier_of(part: Mapping[str, Any], estimators: Mapping[str, Estimator]) -> Classifier:
    target, training, performance = Target(part["target"]), part["training"], part["performance"]
    low, high = part["threshold_spread"]
    return Classifier(
        target=target,
        sequence=part["sequence"],
        kind=part["kind"],
        parameters=dict(part["parameters"]),
        features=tuple(part["features"]),
        estimator=estimators[estimator_key(target, part["sequence"])],
        calibration=Calibration(**part["calibration"]),
        band=_band(part["band"]),
        decision_threshold=float(part["decision_threshold"]),
        threshold_rule=str(part["threshold_rule"]),
        threshold_spread=(float(low), float(high)),
        conformal=ConformalLimits(**part["conformal"]),
        training=TrainingRange(
            protocols=_protocols(part["sequence"], training),
            centre=np.asarray(training["centre"], dtype=np.float64),
            precision=np.asarray(training["precision"], dtype=np.float64),
            distance_limit=float(training["distance_limit"]),
            people=_people(training.get("people")),
        ),
        performance=Performance(
            patients=performance["patients"],
            present=performance["present"],
            values=dict(performance["values"]),
            intervals=_intervals(performance["intervals"]),
            answers=_answers(performance["answers"]),
        ),
        probe=Probe(tuple(part["probe"]["values"]), float(part["probe"]["score"])),
    )


def _answers(stored: Mapping[str, Any]) -> AnswerFigures:
    return AnswerFigures(
        patients=stored["patients"],
        present=stored["present"],
        answered=stored["answered"],
        values=dict(stored["values"]),
        intervals=_intervals(stored["intervals"]),
    )


def _band(stored: Mapping[str, Sequence[float]]) -> ErrorBand:
    (offset, slope), (low, high) = stored["shift"], stored["reach"]
    constant, by_square, by_remoteness = stored["variance"]
    return ErrorBand(
        (float(offset), float(slope)),
        (float(constant), float(by_square), float(by_remoteness)),
        (float(low), float(high)),
    )


def _intervals(stored: Mapping[str, Sequence[float]]) -> dict[str, Range]:
    return {name: (low, high) for name, (low, high) in stored.items()}


def _limits(stored: Sequence[float] | None) -> Range | None:
    if stored is None:
        return None
    low, high = stored
    return float(low), float(high)
