"""Count how often the 95 % interval of a probability holds the true probability, where the truth is known.

Run ``uv run python -m tests.benchmarks.bench_intervals``. Cohorts are drawn with a known probability of the
target for every patient; a classifier of each kind is trained on each, and judged on new patients. "all" are
all new patients, "answered" those whose interval does not hold the decision threshold.
"""

import argparse
from time import perf_counter

import numpy as np
from rich.console import Console
from rich.table import Table

from analysis.learning.learn import KINDS
from tests.analysis.learning.known_truth import COHORTS, Coverage, coverage


def main() -> None:
    """Print coverage and width per kind and cohort."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cohorts", type=int, default=5, help="cohorts of each size and nature")
    options.add_argument("--patients", type=int, nargs="+", default=[100, 160, 200])
    options.add_argument("--natures", nargs="+", default=list(COHORTS))
    options.add_argument("--kinds", nargs="+", default=list(KINDS))
    options.add_argument("--first-seed", type=int, default=0)
    options.add_argument("--refits", type=int, default=100)
    chosen = options.parse_args()
    table = Table("kind", "nature", "n", "held, all", "worst cohort", "held, answered", "answered", "width")
    console = Console()
    began = perf_counter()
    for kind in chosen.kinds:
        for nature in chosen.natures:
            for patients in chosen.patients:
                found = [
                    coverage(COHORTS[nature], kind, patients=patients, seed=seed, refits=chosen.refits)
                    for seed in range(chosen.first_seed, chosen.first_seed + chosen.cohorts)
                ]
                row = (kind, nature, str(patients), *_cells(found))
                console.print(" ".join(row))
                table.add_row(*row)
    console.print(table)
    console.print(f"{perf_counter() - began:.0f} s")


def _cells(found: list[Coverage]) -> tuple[str, ...]:
    # Where no patient of a cohort is answered, the share of answers that hold is unknown.
    mean = {name: _known_mean([getattr(one, name) for one in found]) for name in Coverage.__slots__}
    worst = min(one.held for one in found)
    return (
        f"{mean['held']:.1%}",
        f"{worst:.1%}",
        f"{mean['held_answered']:.1%}",
        f"{mean['answered']:.0%}",
        f"{mean['width']:.2f}",
    )


def _known_mean(values: list[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


if __name__ == "__main__":
    main()
