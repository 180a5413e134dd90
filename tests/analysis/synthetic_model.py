"""A model of the synthetic cohort, trained quickly."""

from dataclasses import replace
from functools import cache

from analysis.domain.findings import Target
from analysis.learning.learn import LearningSettings
from analysis.learning.train import Trained, TrainingSettings, train, train_and_judge
from analysis.prediction.model import Model
from tests.analysis.synthetic_cohort import synthetic_table

QUICK = TrainingSettings(
    kinds=("LR",), learning=LearningSettings(feature_counts=(5,), folds=3, refits=6), folds=3
)
QUICKER = replace(
    QUICK,
    learning=replace(QUICK.learning, refits=3),
    thresholds_mg_cm3={Target.OSTEOPOROSIS: QUICK.thresholds_mg_cm3[Target.OSTEOPOROSIS]},
)
"""One target with few refits, for what one target shows as well."""


@cache
def quick_model() -> Model:
    """Return the model, trained once for all tests."""
    return train(synthetic_table(), QUICK)


@cache
def trained_again() -> Trained:
    """Return the model, trained a second time by itself, with its predictions of held-out patients."""
    return train_and_judge(synthetic_table(), QUICK)


@cache
def another_model() -> Model:
    """Return a model of other patients."""
    return train(synthetic_table(seed=1), QUICKER)
