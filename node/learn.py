"""The offline science on a hospital's own cohort: every study through the node's own pipeline, once."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.settings import AnalysisSettings
from node.analyse import SOFTWARE, measure_study

if TYPE_CHECKING:
    from analysis.cohort import MeasuredCohort

__all__ = ["measure"]


def measure(
    table: Path,
    settings: AnalysisSettings,
    *,
    cache: Path | None = None,
    workers: int = 1,
    report_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> "MeasuredCohort":
    """Measure the studies that a cohort table names, or go on where an earlier run was stopped.

    Parameters
    ----------
    table : Path
        CSV with `patient_id, study, bmd_mg_cm3`; see `analysis.cohort_table`.
    settings : AnalysisSettings
        What decides the values.
    cache : Path, optional
        Where finished studies are kept; `measured` beside the table by default.
    workers : int
        Processes.
    report_progress : callable
        Told how many of how many studies are done.

    Raises
    ------
    RefusedError
        With every fault of the table, by line number.
    """
    from analysis.cohort import measure_cohort, read_cohort
    from analysis.perturb import features_again
    from analysis.train import DENSITY_THRESHOLDS_MG_CM3

    return measure_cohort(
        read_cohort(table, DENSITY_THRESHOLDS_MG_CM3),
        partial(measure_study, settings=settings),
        settings,
        cache or table.parent / "measured",
        software=SOFTWARE,
        repeat=partial(features_again, settings=settings.features),
        workers=workers,
        report_progress=report_progress,
    )
