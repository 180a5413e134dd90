"""A model of the synthetic cohort, trained quickly."""

from functools import cache

from analysis.learn import LearningSettings
from analysis.model import Model
from analysis.train import TrainingSettings, train
from tests.analysis.synthetic_cohort import synthetic_table

QUICK = TrainingSettings(kinds=("LR",), learning=LearningSettings(feature_counts=(5,), folds=3), folds=3)


@cache
def quick_model() -> Model:
    """Return the model; made once, since it is frozen."""
    return train(synthetic_table(), QUICK)
