"""Measure the processor time of `evaluate` from 60 to 10,000 patients, and which kinds of model take it.

Run ``uv run python -m tests.benchmarks.bench_evaluate``. The features are those of 160 synthetic patients,
with noise beyond them. Each kind is tuned once on the learning patients of one split; an evaluation does so
60 times (10 splits, 2 targets, 3 sources). ``--whole`` runs an evaluation to its end instead.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from rich.console import Console
from rich.table import Table

from analysis.cohort.feature_table import FeatureTable
from analysis.evaluation.evaluate import evaluate
from analysis.evaluation.result import EvaluationSettings
from analysis.learning.candidates import ENSEMBLES, KINDS
from analysis.learning.learn import LearningSettings, learn, prepare_training_set
from analysis.threads import single_threaded
from tests.analysis.synthetic_cohort import synthetic_table

FEATURES = 586
_REAL = 160
_NOISE = 0.5
_REPEATED = 40
_TIMES = 60
_CONSOLE = Console(width=150)


def cohort(patients: int) -> FeatureTable:
    """Return a table of so many patients, of whom 40 are measured twice."""
    table = synthetic_table(_REAL, FEATURES)
    rng = np.random.default_rng(1)
    rows = np.arange(patients) % _REAL
    twice = np.linspace(0, patients - 1, min(_REPEATED, patients)).round().astype(int)
    sequences = {}
    for name, one in table.sequences.items():
        values = one.values[rows] + rng.normal(0, _NOISE, (patients, FEATURES)) * one.values.std(axis=0)
        repeated = np.full_like(values, np.nan)
        repeated[twice] = values[twice] + rng.normal(0, _NOISE, (len(twice), FEATURES))
        columns = {
            key: getattr(one, key)[rows]
            for key in ("vbq", "repetition_time_ms", "echo_time_ms", "field_strength_t")
        }
        sequences[name] = replace(one, values=values, repeated=repeated, **columns)
    return replace(
        table,
        patient_ids=tuple(f"P{number:05}" for number in range(patients)),
        bmd_mg_cm3=table.bmd_mg_cm3[rows] + rng.normal(0, 10, patients),
        age=table.age[rows],
        female=table.female[rows],
        sequences=sequences,
    )


def main() -> None:
    """Print a row for each size."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--patients", type=int, nargs="+", default=[60, 160, 400, 1000, 2500, 10000])
    options.add_argument("--kinds", nargs="+", default=list(KINDS))
    options.add_argument("--whole", action="store_true")
    chosen = options.parse_args()
    with single_threaded():
        for patients in chosen.patients:
            (_whole if chosen.whole else _by_kind)(cohort(patients), chosen.kinds)


def _whole(table: FeatureTable, kinds: Sequence[str]) -> None:
    settings = replace(EvaluationSettings(), kinds=tuple(kinds))
    seconds = _seconds(lambda: evaluate(table, settings))
    _CONSOLE.print(
        f"{len(table.patient_ids)} patients, {', '.join(kinds)}: {seconds:.1f} s of processor time"
    )


def _by_kind(table: FeatureTable, kinds: Sequence[str]) -> None:
    settings, t1 = LearningSettings(), table.sequences["T1"]
    present = table.bmd_mg_cm3 < 100.0
    inside = np.random.default_rng(0).random(present.size) < 0.7
    prepared = prepare_training_set(t1.values[inside], present[inside], settings, t1.repeated[inside])
    taken = {
        "selection": _seconds(
            lambda: prepare_training_set(t1.values[inside], present[inside], settings, t1.repeated[inside])
        )
    }
    for kind in kinds:
        if kind not in ENSEMBLES:
            learn(prepared, (kind,), replace(settings, feature_counts=(5,)))  # imports are not counted
        taken[kind] = _seconds(partial(learn, prepared, (kind,), settings))
    row = Table("patients", *taken, "60 times")
    row.add_row(
        str(present.size),
        *(f"{one:.2f} s" for one in taken.values()),
        f"{_TIMES * sum(taken.values()):.0f} s",
    )
    _CONSOLE.print(row)


def _seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


if __name__ == "__main__":
    main()
