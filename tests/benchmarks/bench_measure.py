"""Measure the processor time that measuring a study of a cohort takes: with outlines, without, and again.

Run ``uv run python -m tests.benchmarks.bench_measure``. The studies are simulated, T1 and T2 each, or those
below ``--folder``. "Measuring" is what follows the outlines: unlike marrow, bodies, VBQ and radiomics of both
series. "Again" is the pass with changed masks, which 40 patients of a cohort get. Each computes with one
thread. Times are of the processor, so other work on the machine hardly changes them.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from analysis.cohort.perturb import features_again
from analysis.domain.findings import Refusal
from analysis.pipeline import features_of_mask
from analysis.settings import AnalysisSettings
from analysis.threads import single_threaded
from node.analyse.findings import measure_study
from node.config import BackendSettings
from node.dicom.libraries import configure_libraries
from node.science.sample import write_sample

GOAL_S = 3.0
_Result = TypeVar("_Result")


def main() -> None:
    """Print a row for each study, and the median."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, help="folder with one folder for each study")
    options.add_argument("--studies", type=int, default=3)
    chosen = options.parse_args()
    configure_libraries()
    with single_threaded(), tempfile.TemporaryDirectory() as aside:
        folder = (
            chosen.folder or write_sample(Path(aside), chosen.studies + 1, seed=2026).table.parent / "studies"
        )
        studies = sorted(path for path in folder.iterdir() if path.is_dir())[: chosen.studies + 1]
        _of_study(studies[0])  # loads libraries and weights
        rows = [_of_study(study) for study in studies[1:]]
    table = Table(
        "study", "whole", "measuring (goal 3.0 s)", "again, changed masks", title="processor time, s"
    )
    for study, row in zip(studies[1:], rows, strict=True):
        table.add_row(study.name, *(f"{one:.2f}" for one in row))
    table.add_row("median", *(f"{median(column):.2f}" for column in zip(*rows, strict=True)))
    Console().print(table)


def _of_study(study: Path) -> tuple[float, float, float]:
    """Return the seconds of the whole study, of measuring its series, and of measuring them again."""
    settings = AnalysisSettings()
    whole, found = _timed(lambda: measure_study(study, {}, settings=settings, place=BackendSettings()))
    if isinstance(found, Refusal):
        raise SystemExit(f"{study.name} is refused: {found}")
    own = [_timed(partial(features_of_mask, one, one.segmentation, settings)) for one in found.series]
    again = [_timed(partial(features_again, one, settings.features)) for one in found.series]
    return whole, sum(seconds for seconds, _ in own), sum(seconds for seconds, _ in again)


def _timed(work: Callable[[], _Result]) -> tuple[float, _Result]:
    before = process_time()
    result = work()
    return process_time() - before, result


if __name__ == "__main__":
    main()
