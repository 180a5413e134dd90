"""A model of the synthetic cohort, trained quickly."""

from functools import cache

from analysis.learning.learn import LearningSettings
from analysis.learning.train import TrainingSettings, train
from analysis.prediction.model import Model
from tests.analysis.synthetic_cohort import synthetic_table

QUICK = TrainingSettings(
    kinds=("LR",), learning=LearningSettings(feature_counts=(5,), folds=3, refits=6), folds=3
)


@cache
def quick_model() -> Model:
    """Return the model, trained once for all tests."""
    return train(synthetic_table(), QUICK)
