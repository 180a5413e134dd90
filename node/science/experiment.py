"""[experiment] of a TOML file: the choices of `evaluate` and `train`, in one place that can be kept."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

from analysis.domain.findings import Target
from analysis.evaluation.result import EvaluationSettings
from analysis.learning.candidates import ENSEMBLES, KINDS, Grids, Value, grid_of
from analysis.learning.learn import LearningSettings
from analysis.learning.threshold import rule_of
from analysis.learning.train import TrainingSettings
from node.config.checks import between
from node.config.document import TomlDocument, read_text
from node.config.table import Table

__all__ = ["Experiment", "load_experiment"]


def _rule(written: str) -> str | None:
    try:
        rule_of(written)
    except ValueError:
        return "must be a rule such as sensitivity:0.8, youden or fixed:0.3"
    return None


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The keys with one value; `folds` are the inner ones, `outer_folds` those that judge a trained model."""

    splits: Annotated[int, between(2, 1000)] = 10
    test_share: Annotated[float, between(0.05, 0.5)] = 0.3
    seed: Annotated[int, between(0, 2**31 - 1)] = 0
    folds: Annotated[int, between(2, 20)] = 5
    outer_folds: Annotated[int, between(2, 20)] = 5
    minimum_icc: Annotated[float, between(0.0, 1.0)] = 0.75
    confidence: Annotated[float, between(0.5, 0.99)] = 0.8
    threshold: Annotated[str, _rule] = "sensitivity:0.8"
    age_and_sex: bool = False
    bmd: bool = False


@dataclass(frozen=True, slots=True)
class _Densities:
    """[experiment.thresholds_mg_cm3]: QCT BMD below which each target is present."""

    osteoporosis: Annotated[float, between(20, 200)] = 80.0
    abnormal: Annotated[float, between(20, 250)] = 120.0


@dataclass(frozen=True, slots=True)
class Experiment:
    """The choices of an experiment, as settings of both commands.

    Attributes
    ----------
    evaluation : EvaluationSettings
        For `evaluate`.
    training : TrainingSettings
        For `train`, with the default name and version.
    """

    evaluation: EvaluationSettings
    training: TrainingSettings


def load_experiment(path: Path, *, bundle: bool = False) -> Experiment:
    """Read the experiment of a file.

    Parameters
    ----------
    path : Path
        The file. Keys that it lacks have the values of the paper, or ours where it tells none.
    bundle : bool
        Whether a model is to be trained, which cannot be one of `ENSEMBLES`.

    Raises
    ------
    ConfigurationError
        With all faults of the file, each with its line.
    """
    document = TomlDocument(read_text(path), str(path), path.parent)
    made = document.table("experiment").read(lambda table: _experiment(table, bundle=bundle))
    document.note_unknown_tables()
    document.faults.raise_any()
    return made


def _experiment(table: Table, *, bundle: bool) -> Experiment:
    kinds = table.words("models", KINDS, (*KINDS, *ENSEMBLES))
    if not kinds:
        table.fault("models", "must name a kind of model")
    if bundle and (trees := [kind for kind in kinds if kind in ENSEMBLES]):
        table.fault(
            "models", f"{' and '.join(trees)} can be evaluated, and not trained: a bundle holds no trees"
        )
    numbers = table.settings(_Numbers)
    densities = table.table("thresholds_mg_cm3").read(lambda inner: inner.settings(_Densities))
    counts = LearningSettings().feature_counts
    learning = LearningSettings(
        feature_counts=table.choices("feature_counts", counts, between(1, 1000)),
        folds=numbers.folds,
        minimum_icc=numbers.minimum_icc,
        threshold_rule=rule_of(numbers.threshold),
        grids=table.table("grids").read(lambda inner: _grids(inner, kinds)),
        seed=numbers.seed,
    )
    thresholds = {
        Target.OSTEOPOROSIS: densities.osteoporosis,
        Target.ABNORMAL_DENSITY: densities.abnormal,
    }
    if densities.osteoporosis >= densities.abnormal:
        table.fault("thresholds_mg_cm3", "must be lower for osteoporosis than for abnormal")
    evaluation = EvaluationSettings(
        kinds=kinds,
        thresholds_mg_cm3=thresholds,
        splits=numbers.splits,
        test_share=numbers.test_share,
        learning=learning,
        age_and_sex=numbers.age_and_sex,
        bmd=numbers.bmd,
    )
    training = replace(
        TrainingSettings(),
        kinds=kinds,
        thresholds_mg_cm3=thresholds,
        confidence=numbers.confidence,
        folds=numbers.outer_folds,
        learning=learning,
        age_and_sex=numbers.age_and_sex,
    )
    return Experiment(evaluation, training)


def _grids(table: Table, kinds: tuple[str, ...]) -> Grids:
    """Read [experiment.grids.KIND]: lists of values by hyper-parameter."""
    return {kind: table.table(kind).read(partial(_grid, kind=kind)) for kind in kinds}


def _grid(table: Table, kind: str) -> dict[str, tuple[Value, ...]]:
    return {name: table.choices(name, values, _positive) for name, values in grid_of(kind).items()}


def _positive(value: float) -> str | None:
    return None if value > 0 else "must hold positive numbers"
