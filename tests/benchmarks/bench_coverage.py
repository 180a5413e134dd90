"""How often the intervals, tests and calibration figures of evaluation and validation hold, on known truth.

Run ``uv run python -m tests.benchmarks.bench_coverage --minutes 60``. Cohorts of features, without images,
are drawn from one nature; the truth of a recipe is its mean over all cohorts. Every cohort is kept in
``--folder``, so that a run that was stopped goes on. Several may run side by side (``--first 0 --step 2`` and
``--first 1 --step 2``), and ``--minutes 0`` prints what there is. ``--tuned`` selects and tunes inside every
split, as `evaluate` does by default; a cohort then takes some twenty times as long.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from analysis.domain.findings import Target
from analysis.errors import RefusedError
from analysis.evaluation.check import figures_of
from analysis.evaluation.result import Cell
from analysis.evaluation.summary import summarised
from analysis.learning.learn import KINDS
from analysis.statistics.calibration_check import calibration_lines
from analysis.statistics.error_band import log_odds
from analysis.statistics.logistic import logistic_of_all
from analysis.statistics.resampling import bootstrap_of_all, corrected_resampled_t
from analysis.statistics.roc import compare_areas
from tests.analysis.evaluation.known_cohorts import SCENARIOS, SETTINGS, TUNED, judged_cohort
from tests.analysis.learning.known_recalibration import held_after_recalibration
from tests.analysis.learning.known_truth import COHORTS

_ALPHA = 0.05
_CONSOLE = Console(width=150)

Floats = npt.NDArray[np.float64]
Judged = dict[str, npt.NDArray[Any]]


def main() -> None:
    """Draw cohorts for some time, and print coverage, type I error and calibration."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=60.0)
    options.add_argument("--folder", type=Path, help="var/coverage, or with --tuned var/coverage-tuned")
    options.add_argument("--tuned", action="store_true", help="select and tune inside every split")
    options.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    options.add_argument("--first", type=int, default=0, help="first seed")
    options.add_argument("--step", type=int, default=1, help="distance of the seeds")
    chosen = options.parse_args()
    folder = chosen.folder or Path("var/coverage-tuned" if chosen.tuned else "var/coverage")
    folder.mkdir(parents=True, exist_ok=True)
    end, seeds = time.monotonic() + 60 * chosen.minutes, range(chosen.first, 10**6, chosen.step)
    for path, work in _works(folder, seeds, chosen.scenarios, tuned=chosen.tuned):
        if time.monotonic() > end:
            break
        work(path)
    for name in chosen.scenarios:
        cohorts = [dict(np.load(path)) for path in sorted(folder.glob(f"{name}-*.npz"))]
        if len(cohorts) > 1:
            _print_evaluation(name, cohorts)
    if not chosen.tuned:  # what follows has no tuning
        _print_validation()
        _print_recalibration(folder)


def _works(
    folder: Path, seeds: Iterable[int], scenarios: Sequence[str], *, tuned: bool
) -> Iterator[tuple[Path, Callable[[Path], None]]]:
    """Yield the files that are missing, and what makes each of them."""
    for seed in seeds:
        files: dict[str, Callable[[Path], None]] = {
            f"{name}-{seed:05}.npz": partial(_judge, name=name, seed=seed, tuned=tuned) for name in scenarios
        }
        if not tuned:
            files[f"recalibration-{seed:05}.json"] = partial(_recalibrate, seed=seed)
        yield from ((folder / name, work) for name, work in files.items() if not (folder / name).exists())


def _judge(path: Path, *, name: str, seed: int, tuned: bool) -> None:
    judged = judged_cohort(SCENARIOS[name], seed, TUNED if tuned else SETTINGS)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **judged)
    part.replace(path)


def _recalibrate(path: Path, *, seed: int) -> None:
    path.write_text(json.dumps(list(_recalibrated(seed))), encoding="utf-8")


def _recalibrated(seed: int) -> Iterator[tuple[str, str, str, float, float]]:
    for nature in COHORTS:
        for kind in ("LR", "KNN"):
            try:
                for one in held_after_recalibration(nature, kind, 1000 + seed):
                    yield nature, kind, one.after, one.held, one.width
            except RefusedError:  # the new patients are too few, or the scores do not rise with the truth
                continue


def _print_evaluation(name: str, cohorts: list[Judged]) -> None:
    keys = [key for key in cohorts[0] if key != "present" and not key.startswith("called ")]
    cells = {key: [_cell(key, cohort) for cohort in cohorts] for key in keys}
    held: dict[str, list[list[bool]]] = defaultdict(list)
    for found in cells.values():
        for measure in found[0].measures:
            told = [cell.measures[measure] for cell in found]
            # What the recipe reaches is its mean over all cohorts.
            truth = float(np.mean([one.mean for one in told]))
            held[measure].append([_holds(one.interval, truth) for one in told])
        for figure, truth in _true_calibration(found, cohorts).items():
            known = [cell.calibration[figure] for cell in found]
            held[figure].append([_holds((one.low, one.high), truth) for one in known])
    table = Table("95 % interval", "mean of cells", "its error", "worst cell", "best cell")
    table.title = f"Intervals of evaluate, {name}: {len(cohorts)} cohorts, {len(cells)} cells"
    for label, rows in held.items():
        shares, by_cohort = np.mean(rows, axis=1), np.mean(rows, axis=0)
        # Cells of one cohort depend on one another, so the cohorts are the sample.
        error = by_cohort.std(ddof=1) / np.sqrt(by_cohort.size)
        table.add_row(
            label, f"{shares.mean():.1%}", f"± {error:.1%}", f"{shares.min():.1%}", f"{shares.max():.1%}"
        )
    _CONSOLE.print(table)
    _print_tests(name, cohorts, cells)
    _print_slopes(name, cohorts, cells)


def _cell(key: str, cohort: Judged) -> Cell:
    source, kind = key.split("/")
    present, called = cohort["present"].astype(np.bool_), cohort[f"called {key}"].astype(np.bool_)
    return summarised((Target.OSTEOPOROSIS, source, kind), present, cohort[key].astype(np.float64), called)


def _holds(interval: tuple[float, float], truth: float) -> bool:
    return interval[0] <= truth <= interval[1]


def _true_calibration(cells: list[Cell], cohorts: list[Judged]) -> dict[str, float]:
    """Return the calibration of the predictions of all cohorts together."""
    pools = [cell.pooled() for cell in cells]
    chances = np.concatenate([pool.probabilities for pool in pools])
    weights = np.concatenate([pool.weights for pool in pools])
    truth = np.concatenate([one["present"][pool.rows] for one, pool in zip(cohorts, pools, strict=True)])
    intercept, slope = calibration_lines(log_odds(chances), truth.astype(np.bool_), weights[None, :])[0]
    ratio = float(weights @ truth / (weights @ chances))
    return {
        "calibration slope": float(slope),
        "calibration intercept": float(intercept),
        "observed / expected": ratio,
    }


def _print_tests(name: str, cohorts: list[Judged], cells: dict[str, list[Cell]]) -> None:
    table = Table("p < 0.05", *KINDS, title=f"Type I error: T1 against T2, which are alike, {name}")
    rows: dict[str, list[str]] = {"corrected t-test, all splits": [], "DeLong, first split": []}
    for kind in KINDS:
        found = [
            _p_values(one, other, cohort["present"].astype(np.bool_))
            for one, other, cohort in zip(cells[f"T1/{kind}"], cells[f"T2/{kind}"], cohorts, strict=True)
        ]
        for row, share in zip(rows.values(), np.mean(np.array(found) < _ALPHA, axis=0), strict=True):
            row.append(f"{share:.1%}")
    for label, row in rows.items():
        table.add_row(label, *row)
    _CONSOLE.print(table)


def _p_values(one: Cell, other: Cell, present: npt.NDArray[np.bool_]) -> tuple[float, float]:
    judged = np.isfinite(one.probabilities[0])
    test = int(judged.sum())
    repeated = corrected_resampled_t(one.areas - other.areas, judged.size - test, test)
    locked = compare_areas(present[judged], one.probabilities[0, judged], other.probabilities[0, judged])
    return repeated.p, locked.p


def _print_slopes(name: str, cohorts: list[Judged], cells: dict[str, list[Cell]]) -> None:
    """Print the slope that is told beside the true one, and what an average of the splits would tell."""
    table = Table("model", "true slope", "told (pooled)", "of averaged predictions", title=f"Slopes, {name}")
    for key in (*(f"T1/{kind}" for kind in KINDS), "age + sex/LR"):
        told = [cell.calibration["calibration slope"].value for cell in cells[key]]
        averaged = [_slope_of_average(cell, one) for cell, one in zip(cells[key], cohorts, strict=True)]
        truth = _true_calibration(cells[key], cohorts)["calibration slope"]
        table.add_row(key, f"{truth:.2f}", f"{np.nanmedian(told):.2f}", f"{np.nanmedian(averaged):.2f}")
    _CONSOLE.print(table)


def _slope_of_average(cell: Cell, cohort: Judged) -> float:
    seen = np.isfinite(cell.probabilities).any(axis=0)
    mean = np.nanmean(cell.probabilities[:, seen], axis=0)
    truth = cohort["present"][seen].astype(np.bool_)
    return float(calibration_lines(log_odds(mean), truth, np.ones((1, truth.size)))[0, 1])


def _print_validation(cohorts: int = 200, draws: int = 200) -> None:
    """Print coverage of the intervals of a validation: a fixed model, new patients."""
    table = Table("95 % interval", "100 patients", "300 patients", title="Intervals of validate")
    rng = np.random.default_rng(0)
    told, present = _population(rng, 10**6)
    every = figures_of(told, present, np.ones((2, told.size)))
    columns = []
    for patients in (100, 300):
        held: dict[str, list[bool]] = defaultdict(list)
        for _ in range(cohorts):
            own, truth = _population(rng, patients)
            weights = np.concatenate([np.ones((1, patients)), bootstrap_of_all(patients, draws, rng)])
            for name, one in figures_of(own, truth, weights).items():
                held[name].append(one.low <= every[name].value <= one.high)
        columns.append(held)
    for name in every:
        table.add_row(name, *(f"{np.mean(held[name]):.1%}" for held in columns))
    _CONSOLE.print(table)


def _population(rng: np.random.Generator, patients: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return what a model tells that is too extreme and too high, and the truth."""
    odds = rng.normal(-0.7, 1.2, patients)
    told = logistic_of_all(0.5 + 1.4 * odds + rng.normal(0, 0.5, patients))
    return told, rng.random(patients) < logistic_of_all(odds)


def _print_recalibration(folder: Path) -> None:
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for path in sorted(folder.glob("recalibration-*.json")):
        for nature, kind, after, held, width in json.loads(path.read_text(encoding="utf-8")):
            found[after, nature, kind].append((held, width))
    table = Table("after", "nature", "kind", "models", "held, mean", "worst model", "mean width")
    table.title = "The interval of a probability, before and after recalibration"
    for key, values in sorted(found.items()):
        held, width = np.array(values).T
        row = f"{held.mean():.1%}", f"{held.min():.1%}", f"{width.mean():.2f}"
        table.add_row(*key, str(held.size), *row)
    _CONSOLE.print(table)


if __name__ == "__main__":
    main()
