"""Cohorts drawn from one nature, so that the truth of a recipe is its mean over many of them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import config_context

from analysis.cohort.feature_table import FeatureTable
from analysis.domain.findings import Target
from analysis.evaluation.evaluate import evaluate
from analysis.evaluation.result import EvaluationSettings
from analysis.learning.learn import LearningSettings
from tests.analysis.synthetic_cohort import synthetic_table

__all__ = ["SCENARIOS", "SETTINGS", "TUNED", "Scenario", "judged_cohort", "known_cohort"]

_FACTORS = 6
_FEATURES = 20
_MIXING = np.random.default_rng(1823826).normal(size=(_FACTORS, _FEATURES))
"""How the features show the factors; the same for T1 and T2, so that neither sequence is the better one."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the cohorts of a simulation are like.

    Attributes
    ----------
    patients : int
        Number of patients.
    effect : float
        How strongly the first factor depends on the bone density, in standard deviations.
    """

    patients: int
    effect: float


SCENARIOS = {
    "160 patients": Scenario(160, 0.9),
    "100 patients": Scenario(100, 0.9),
    "160, no effect": Scenario(160, 0.0),
}


def known_cohort(scenario: Scenario, seed: int) -> FeatureTable:
    """Draw a cohort whose two sequences depend on the bone density alike, each with noise of its own."""
    rng = np.random.default_rng([seed, scenario.patients])
    table = synthetic_table(scenario.patients, 2, effect=scenario.effect, seed=int(rng.integers(2**31)))
    weakness = -(table.bmd_mg_cm3 - 98) / 32  # mean and SD of the densities that synthetic_table draws
    sequences = {}
    for name, sequence in table.sequences.items():
        hidden = rng.normal(size=(scenario.patients, _FACTORS))
        hidden[:, 0] += scenario.effect * weakness
        values = hidden @ _MIXING + rng.normal(size=(scenario.patients, _FEATURES))
        sequences[name] = replace(
            sequence,
            names=tuple(f"original_firstorder_{number}_mean" for number in range(_FEATURES)),
            values=values,
            repeated=np.full_like(values, np.nan),
        )
    return replace(table, sequences=sequences)


SETTINGS = EvaluationSettings(
    thresholds_mg_cm3={Target.OSTEOPOROSIS: 80.0},
    minimum_per_class=8,
    learning=LearningSettings(
        feature_counts=(10,),
        folds=3,
        grids={
            "KNN": {"n_neighbors": (15,)},
            "SVM": {"C": (1.0,)},
            "LDA": {"shrinkage": (0.5,)},
            "LR": {"C": (0.1,)},
            "SGD": {"alpha": (1e-2,)},
            "GNB": {"var_smoothing": (1e-1,)},
        },
    ),
)
"""The experiment, with one target and without tuning, so that a cohort takes two seconds."""

TUNED = replace(SETTINGS, learning=LearningSettings())
"""The same as `evaluate` runs it by default: selection and tuning inside every split, with all grids."""


def judged_cohort(
    scenario: Scenario, seed: int, settings: EvaluationSettings = SETTINGS
) -> dict[str, npt.NDArray[Any]]:
    """Return who has the target, and the predictions of every cell by "source/kind"."""
    with config_context(assume_finite=True, skip_parameter_validation=True):
        found = evaluate(
            known_cohort(scenario, seed), replace(settings, learning=replace(settings.learning, seed=seed))
        )
    (present,) = found.present.values()
    told: dict[str, npt.NDArray[Any]] = {"present": present}
    for cell in found.cells:
        told[f"{cell.source}/{cell.kind}"] = cell.probabilities.astype(np.float32)
        told[f"called {cell.source}/{cell.kind}"] = cell.called
    return told
