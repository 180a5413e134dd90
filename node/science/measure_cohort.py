"""The offline science on a hospital's own cohort: every study through the node's own pipeline, once."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.settings import AnalysisSettings
from analysis.tasks import Spread, in_turn
from node.analyse.segmenters import fingerprint
from node.analyse.study import SOFTWARE, measure_study
from node.config import BackEndPlace

if TYPE_CHECKING:
    from analysis.cohort.measure import MeasuredCohort

__all__ = ["measure"]


def measure(
    table: Path,
    settings: AnalysisSettings,
    place: BackEndPlace,
    *,
    cache: Path | None = None,
    spread: Spread = in_turn,
    report_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> "MeasuredCohort":
    """Measure the studies that a cohort table names, or go on where an earlier run was stopped.

    Parameters
    ----------
    table : Path
        CSV with `patient_id, study, bmd_mg_cm3`; see `analysis.cohort.cohort_table`.
    settings : AnalysisSettings
        What decides the values.
    place : BackEndPlace
        Where the back end that outlines the bodies lies.
    cache : Path, optional
        Where finished studies are kept; `measured` beside the table by default.
    spread : Spread
        Who does it; see `node.science.spread`.
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

    # Others may work in another directory, and must find the same files.
    table = table.resolve()
    return measure_cohort(
        read_cohort(table, DENSITY_THRESHOLDS_MG_CM3),
        partial(measure_study, settings=settings, place=place),
        settings,
        (cache or table.parent / "measured").resolve(),
        # Other weights or masks outline other voxels, so what they gave must be measured again.
        software=f"{SOFTWARE}, segmenter {fingerprint(settings.segmentation, place)}",
        repeat=partial(features_again, settings=settings.features),
        spread=spread,
        report_progress=report_progress,
    )
