"""The offline science on a hospital's own cohort: every study through the node's own pipeline, once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.settings import AnalysisSettings
from node.analyse import SOFTWARE, measure_study
from node.config import BackEndPlace
from node.segmenters import fingerprint

if TYPE_CHECKING:
    from analysis.cohort.measure import MeasuredCohort
    from analysis.evaluation.evaluate import Run

__all__ = ["measure", "processes"]


def measure(
    table: Path,
    settings: AnalysisSettings,
    place: BackEndPlace,
    *,
    cache: Path | None = None,
    workers: int = 1,
    report_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> "MeasuredCohort":
    """Measure the studies that a cohort table names, or go on where an earlier run was stopped.

    Parameters
    ----------
    table : Path
        CSV with `patient_id, study, bmd_mg_cm3`; see `analysis.cohort.table`.
    settings : AnalysisSettings
        What decides the values.
    place : BackEndPlace
        Where the back end that outlines the bodies lies.
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
    from analysis.cohort.measure import measure_cohort, read_cohort
    from analysis.cohort.perturb import features_again
    from analysis.learning.train import DENSITY_THRESHOLDS_MG_CM3

    return measure_cohort(
        read_cohort(table, DENSITY_THRESHOLDS_MG_CM3),
        partial(measure_study, settings=settings, place=place),
        settings,
        cache or table.parent / "measured",
        # Other weights or masks outline other voxels, so what they gave must be measured again.
        software=f"{SOFTWARE}, segmenter {fingerprint(settings.segmentation, place)}",
        repeat=partial(features_again, settings=settings.features),
        workers=workers,
        report_progress=report_progress,
    )


@contextmanager
def processes(count: int) -> "Iterator[Run]":
    """Yield what spreads the splits of an evaluation over processes; `map` itself for one."""
    if count == 1:
        yield map
        return
    # A fresh interpreter per process: a fork of one that has threads may hang.
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        yield pool.map
