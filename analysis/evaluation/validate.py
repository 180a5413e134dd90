"""External validation: how a trained model does on the patients of another cohort.

Every patient gets the probability and the answer that the node would give, by the same functions; nothing is
fitted to the new patients, so every figure is one of patients that the model has not seen.
"""

from collections.abc import Mapping

import numpy as np

from analysis.cohort.measure import MeasuredCohort
from analysis.domain.findings import Target
from analysis.domain.reason import quoted
from analysis.errors import RefusedError
from analysis.evaluation.check import MINIMUM_PER_CLASS, Check
from analysis.evaluation.outcomes import Standing, Validation
from analysis.evaluation.patient_outcomes import by_the_node, outcome_of
from analysis.learning.recalibrate import LocalPatients
from analysis.prediction.model import Model

__all__ = ["local_patients", "validate"]


def validate(
    measured: MeasuredCohort,
    model: Model,
    preferred: Mapping[Target, str],
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
    preferred : mapping of Target to str
        What the node prefers for each target: "T1", "T2" or "T1+T2".
    draws : int
        Number of bootstrap samples of patients.
    seed : int
        Seed of the samples.

    Raises
    ------
    RefusedError
        If the model lacks a classifier without which the node would give no answer.
    """
    targets = [target for target in Target if any(target is one for one, _ in model.classifiers)]
    if lacking := model.never_answered(preferred):
        asked = "which [analysis] of the configuration asks for"
        raise RefusedError(*(quoted(f"the model has no {one}, {asked}") for one in lacking))
    pairs = zip(measured.rows, measured.records, strict=True)
    labelled = [(row, record) for row, record in pairs if row.bmd_mg_cm3 is not None]
    outcomes = {
        (target, name): tuple(outcome_of(row, record, model, (target, name)) for row, record in labelled)
        for target, name in model.classifiers
    }
    check = Check(labelled, model.identity.thresholds_mg_cm3, draws, seed)
    checked = tuple(check.of(target, name, found) for (target, name), found in outcomes.items())
    node = tuple(
        check.of(target, "node", by_the_node(outcomes, target, preferred[target])) for target in targets
    )
    return Validation(
        identity=model.identity,
        patients=len(labelled),
        checked=checked,
        node=node,
        draws=draws,
        minimum_per_class=MINIMUM_PER_CLASS,
        simulated=any(row.simulated for row, _ in labelled),
        age_and_sex=any(one.training.people is not None for one in model.classifiers.values()),
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
