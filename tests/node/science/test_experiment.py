"""The choices of an experiment are read from a file, with every fault and its line."""

from pathlib import Path

import pytest

from analysis.domain.findings import Target
from analysis.evaluation.result import EvaluationSettings
from analysis.learning.candidates import ENSEMBLES, build, candidates
from analysis.learning.learn import LearningSettings
from analysis.learning.threshold import RuleName
from analysis.learning.train import TrainingSettings
from node.errors import ConfigurationError
from node.science.experiment import Experiment, load_experiment

WHOLE = """
[experiment]
models = ["LDA", "RF"]
splits = 20
test_share = 0.25
seed = 7
feature_counts = [8, 16]
folds = 4
outer_folds = 6
minimum_icc = 0.9
confidence = 0.9
threshold = "youden"
age_and_sex = true
bmd = true

[experiment.thresholds_mg_cm3]
osteoporosis = 50
abnormal = 100

[experiment.grids.LDA]
shrinkage = ["auto", 0.3]

[experiment.grids.RF]
min_samples_leaf = [5]
"""


def read(tmp_path: Path, text: str, *, bundle: bool = False) -> Experiment:
    path = tmp_path / "experiment.toml"
    path.write_text(text, encoding="utf-8")
    return load_experiment(path, bundle=bundle)


def test_every_key_reaches_the_settings(tmp_path: Path) -> None:
    found = read(tmp_path, WHOLE)
    settings, learning = found.evaluation, found.evaluation.learning
    assert (settings.kinds, settings.splits, settings.test_share) == (("LDA", "RF"), 20, 0.25)
    assert settings.thresholds_mg_cm3 == {Target.OSTEOPOROSIS: 50.0, Target.ABNORMAL_DENSITY: 100.0}
    assert (learning.feature_counts, learning.folds, learning.seed) == ((8, 16), 4, 7)
    assert (learning.minimum_icc, learning.threshold_rule.name) == (0.9, RuleName.YOUDEN)
    assert learning.grids == {"LDA": {"shrinkage": ("auto", 0.3)}, "RF": {"min_samples_leaf": (5,)}}
    assert (found.training.confidence, found.training.folds) == (0.9, 6)
    assert found.training.learning == learning
    assert settings.age_and_sex
    assert settings.bmd
    assert found.training.age_and_sex
    tried = [one.parameters for one in candidates(settings.kinds, (8,), learning.grids)]
    assert tried == [{"shrinkage": "auto"}, {"shrinkage": 0.3}, {"min_samples_leaf": 5}]


def test_an_empty_experiment_is_the_default_of_both_commands(tmp_path: Path) -> None:
    found = read(tmp_path, "[experiment]\n")
    assert found.evaluation.kinds == EvaluationSettings().kinds
    assert found.evaluation.learning.record(found.evaluation.kinds) == LearningSettings().record(
        EvaluationSettings().kinds
    )
    assert found.training.record() == TrainingSettings().record()


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('[experiment]\nmodels = ["KNM"]', 2, "experiment.models may hold each of KNN, SVM"),
        ("[experiment]\nmodels = []", 2, "experiment.models must name a kind of model"),
        ("[experiment]\nsplits = 1", 2, "experiment.splits must be between 2 and 1000"),
        ("[experiment]\nsplit = 20", 2, "experiment.split is unknown; did you mean splits?"),
        ('[experiment]\nthreshold = "best"', 2, "experiment.threshold must be a rule such as"),
        ("[experiment]\nfeature_counts = [5, 5]", 2, "must be a list of different values"),
        ("[experiment]\nfeature_counts = [2.5]", 2, "must hold a whole number, and 2.5 is none"),
        ("[experiment.grids.KNN]\nn_neighbors = [0]", 2, "n_neighbors must hold positive numbers"),
        ("[experiment.grids.KNN]\nneighbours = [3]", 2, "neighbours is unknown"),
        ('[experiment.grids.SVM]\nC = ["auto"]', 2, "must hold a number, and 'auto' is none"),
        ("[experiment.thresholds_mg_cm3]\nosteoporosis = 130", None, "must be lower for osteoporosis"),
        ("[experiments]\n", 1, "there is no section [experiments]; did you mean experiment?"),
        ("[experiment\n", None, "experiment.toml: "),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, text: str, line: int | None, message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        read(tmp_path, text)
    told = str(error.value)
    assert message in told
    assert line is None or f"experiment.toml:{line}: " in told


def test_trees_are_evaluated_and_not_trained(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="RF can be evaluated, and not trained"):
        read(tmp_path, WHOLE, bundle=True)
    for kind in ENSEMBLES:
        one = next(candidates((kind,), (5,)))
        assert build(one, seed=3).random_state == 3
