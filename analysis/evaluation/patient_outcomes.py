"""What a model says of one measured patient, by the functions that the node calls."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from analysis.cohort.cohort_table import CohortRow
from analysis.domain.basis import AGE_AND_SEX, AgeAndSex, asked_in_turn, joined, sequences_of
from analysis.domain.findings import Target
from analysis.domain.readings import ModelInput, Protocol
from analysis.domain.reason import Reason
from analysis.evaluation.outcomes import Outcome, Standing
from analysis.prediction.model import Model
from analysis.prediction.predict import estimate, open_reason
from analysis.prediction.range_check import objections_of_model

__all__ = ["Record", "by_the_node", "outcome_of"]

Record = Mapping[str, Any]
"""A detailed record (`analysis.cohort.record.StudyRecord`)."""


def outcome_of(row: CohortRow, record: Record, model: Model, key: tuple[Target, str]) -> Outcome:
    """Return what a classifier says of a patient, as `analysis.prediction.predict` would."""
    codes = dict(zip(record["reasons"], record["codes"], strict=True)) | {
        sentence: code for code, sentence in record["pair_against"]
    }
    basis = key[1]
    unusable = _why_unusable(record, basis)
    if unusable:
        return _without(Standing.UNMEASURED, unusable, codes)
    read = _read(row, record, basis)
    classifier = model.classifiers[key]
    others = [one for (_, learned), one in model.classifiers.items() if learned == basis]
    against = tuple(objections_of_model(read, others))
    needs_person = classifier.training.people is not None
    if needs_person and None in {read.person.age_years, read.person.sex}:
        return _without(Standing.UNMEASURED, against, codes)
    # Not by the reasons: those about age and sex come first and alone.
    if not {*read.features, *AGE_AND_SEX}.issuperset(classifier.features):
        return _without(Standing.UNMEASURED, against, codes)
    probability, interval, away = estimate(read, classifier)
    undecided = open_reason(probability, interval, classifier)
    reasons = against or (() if undecided is None else (undecided,))
    standing = Standing.OUTSIDE if against else Standing.OPEN if reasons else Standing.ANSWERED
    return Outcome(
        standing=standing,
        reasons=tuple(map(str, reasons)),
        codes=tuple(reason.code for reason in reasons),
        probability=probability,
        interval=interval,
        remoteness=away,
        called=probability >= classifier.decision_threshold,
    )


def _why_unusable(record: Record, basis: str) -> tuple[str, ...]:
    """Return why a study has no features of a basis; empty if it has them."""
    names = sequences_of(basis)
    told: list[str] = []
    for name in names:
        series = record["sequences"].get(name)
        if series is None or not series["features"]:
            reasons = record["reasons"] if series is None else series["against"]
            told += reasons or (f"no usable {name} series",)
    if len(names) > 1:
        told += [sentence for _, sentence in record["pair_against"]]
    return tuple(dict.fromkeys(told))


def _read(row: CohortRow, record: Record, basis: str) -> ModelInput:
    series = {name: record["sequences"][name] for name in sequences_of(basis)}
    return ModelInput(
        basis=basis,
        features=joined({name: one["features"] for name, one in series.items()}),
        protocols={
            name: Protocol(one["repetition_time_ms"], one["echo_time_ms"], one["field_strength_t"])
            for name, one in series.items()
        },
        person=AgeAndSex(None if row.age is None else int(row.age), row.sex),
    )


def _without(standing: Standing, reasons: Sequence[str], codes: Mapping[str, str]) -> Outcome:
    told = tuple(_code(reason, codes) for reason in reasons)
    return Outcome(standing, tuple(map(str, reasons)), told)


def _code(reason: str, codes: Mapping[str, str]) -> str:
    """Return the code of a reason; one that is only quoted is its own code."""
    code = reason.code if isinstance(reason, Reason) else codes.get(reason, "quoted")
    return str(reason) if code == "quoted" else code


def by_the_node(
    outcomes: Mapping[tuple[Target, str], tuple[Outcome, ...]], target: Target, preferred: str
) -> tuple[Outcome, ...]:
    """Return the answers by what is preferred, or by what replaces it where that does not allow any."""
    order = asked_in_turn(preferred)
    of_target = [outcomes[target, name] for name in order if (target, name) in outcomes]
    chosen = []
    for found in zip(*of_target, strict=True):
        against_all = replace(
            found[0],
            reasons=tuple(reason for one in found for reason in one.reasons),
            codes=tuple(code for one in found for code in one.codes),
        )
        usable = (one for one in found if one.standing in {Standing.OPEN, Standing.ANSWERED})
        chosen.append(next(usable, against_all))
    return tuple(chosen)
