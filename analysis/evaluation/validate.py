"""External validation: how a trained model does on the patients of another cohort.

Every patient gets the probability and the answer that the node would give, by the same functions; nothing is
fitted to the new patients, so every figure is one of patients that the model has not seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.cohort.feature_table import SEQUENCES
from analysis.cohort.measure import MeasuredCohort
from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Target
from analysis.domain.reason import Reason
from analysis.evaluation.check import MINIMUM_PER_CLASS, Check
from analysis.evaluation.outcomes import Outcome, Standing, Validation
from analysis.learning.recalibrate import LocalPatients
from analysis.prediction.model import Model
from analysis.prediction.predict import ModelInput, estimate, objections_of_model, open_reason

__all__ = ["local_patients", "validate"]

_Record = Mapping[str, Any]


def validate(
    measured: MeasuredCohort,
    model: Model,
    preferred: Mapping[Target, Contrast],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Validation:
    """Check every classifier of a model, and what the node would answer, on another cohort.

    Parameters
    ----------
    measured : MeasuredCohort
        Measured with `in_detail`; rows without a BMD are left out.
    model : Model
        The model, with its own thresholds of the BMD.
    preferred : mapping of Target to Contrast
        The sequence that the node prefers for each target.
    draws : int
        Number of bootstrap samples of patients.
    seed : int
        Seed of the samples.
    """
    pairs = zip(measured.rows, measured.records, strict=True)
    labelled = [(row, record) for row, record in pairs if row.bmd_mg_cm3 is not None]
    outcomes = {
        (target, name): tuple(_outcome(record, model, target, name) for _, record in labelled)
        for target, name in model.classifiers
    }
    check = Check(labelled, model.identity.thresholds_mg_cm3, draws, seed)
    checked = tuple(check.of(target, name, found) for (target, name), found in outcomes.items())
    targets = [target for target in Target if any(target is one for one, _ in outcomes)]
    node = tuple(
        check.of(target, "node", _by_the_node(outcomes, target, preferred[target])) for target in targets
    )
    return Validation(
        identity=model.identity,
        patients=len(labelled),
        checked=checked,
        node=node,
        draws=draws,
        minimum_per_class=MINIMUM_PER_CLASS,
        simulated=any(row.simulated for row, _ in labelled),
    )


def local_patients(validation: Validation) -> dict[tuple[Target, str], LocalPatients]:
    """Return the patients by whom each classifier can be recalibrated: those within its training range."""
    found = {}
    for one in validation.checked:
        inside = [outcome.standing in {Standing.OPEN, Standing.ANSWERED} for outcome in one.outcomes]
        told = [outcome for outcome, usable in zip(one.outcomes, inside, strict=True) if usable]
        found[one.target, one.sequence] = LocalPatients(
            probabilities=np.array([outcome.probability for outcome in told], dtype=np.float64),
            remoteness=np.array([outcome.remoteness for outcome in told], dtype=np.float64),
            present=one.present[np.array(inside, dtype=np.bool_)],
        )
    return found


def _outcome(record: _Record, model: Model, target: Target, name: str) -> Outcome:
    """Return what a classifier says of a patient, as `analysis.prediction.predict` would."""
    codes = dict(zip(record["reasons"], record["codes"], strict=True))
    series = record["sequences"].get(name)
    if series is None or not series["features"]:
        reasons = record["reasons"] if series is None else series["against"]
        return _without(Standing.UNMEASURED, reasons or (f"no usable {name} series",), codes)
    read = ModelInput(
        sequence=name,
        features=series["features"],
        repetition_time_ms=series["repetition_time_ms"],
        echo_time_ms=series["echo_time_ms"],
        field_strength_t=series["field_strength_t"],
    )
    classifier = model.classifiers[target, name]
    others = [one for (_, learned), one in model.classifiers.items() if learned == name]
    against = tuple(objections_of_model(read, others))
    if any(reason.code == "features_missing" for reason in against):
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


def _without(standing: Standing, reasons: Sequence[str], codes: Mapping[str, str]) -> Outcome:
    told = tuple(_code(reason, codes) for reason in reasons)
    return Outcome(standing, tuple(map(str, reasons)), told)


def _code(reason: str, codes: Mapping[str, str]) -> str:
    """Return the code of a reason; one that is only quoted is its own code."""
    code = reason.code if isinstance(reason, Reason) else codes.get(reason, "quoted")
    return str(reason) if code == "quoted" else code


def _by_the_node(
    outcomes: Mapping[tuple[Target, str], tuple[Outcome, ...]], target: Target, preferred: Contrast
) -> tuple[Outcome, ...]:
    """Return the answers by the preferred sequence, or by the other where that does not allow any."""
    order = sorted(SEQUENCES, key=lambda name: name != preferred.value)
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
