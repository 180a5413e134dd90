"""The studies of a cohort are measured with the node's own pipeline, each of them once."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.domain.findings import Target
from analysis.settings import AnalysisSettings
from analysis.tasks import Spread, in_turn
from node.analyse.findings import SOFTWARE, measure_study
from node.analyse.segmenters import fingerprint
from node.config import BackendSettings
from node.science.same_images import refuse_repeated_patients

if TYPE_CHECKING:
    from analysis.cohort.measure import MeasuredCohort

__all__ = ["measure_table"]


def measure_table(
    table: Path,
    settings: AnalysisSettings,
    place: BackendSettings,
    *,
    labelled: bool = True,
    in_detail: bool = False,
    thresholds_mg_cm3: Mapping[Target, float] | None = None,
    minimum_per_class: int = 10,
    cache: Path | None = None,
    spread: Spread = in_turn,
    report_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> "MeasuredCohort":
    """Measure the studies of a cohort table, except those that an earlier run measured.

    Parameters
    ----------
    table : Path
        CSV with `patient_id, study, bmd_mg_cm3`; see `analysis.cohort.cohort_table`.
    settings : AnalysisSettings
        Everything that affects the values.
    place : BackendSettings
        Where the segmentation back end is.
    labelled : bool
        Whether to leave out patients without a BMD, and to refuse a table with too few of a class.
    in_detail : bool
        As for `analysis.cohort.measure.measure_cohort`.
    thresholds_mg_cm3 : mapping of Target to float, optional
        QCT BMD below which each target is present; by default those of `analysis.learning.train`.
    minimum_per_class : int
        Smallest number of patients with, and without, each target.
    cache : Path, optional
        Folder for the measurements of finished studies; by default `measured` in the folder of the table.
    spread : Spread
        Runs the measurements; see `node.science.parallel`.
    report_progress : callable
        Called with the number of studies done and the total.

    Raises
    ------
    RefusedError
        With all faults of the table, each with its line number; or if two rows are of one person.
    """
    from analysis.cohort.measure import measure_cohort, read_cohort
    from analysis.cohort.perturb import features_again
    from analysis.learning.train import DENSITY_THRESHOLDS_MG_CM3
    from analysis.segment.network import embedded_network
    from node.analyse.segmenters.reader_masks import features_of_second

    # Absolute, because worker processes may run in another directory.
    table = table.resolve()
    thresholds = thresholds_mg_cm3 or DENSITY_THRESHOLDS_MG_CM3
    rows = read_cohort(table, thresholds if labelled else {}, minimum_per_class)
    refuse_repeated_patients(rows)
    unlabelled = tuple(row.line for row in rows if labelled and row.bmd_mg_cm3 is None)
    # Other weights or masks give other segmentations, so these studies must be measured again.
    software = f"{SOFTWARE}, segmenter {fingerprint(settings.segmentation, place)}"
    if any(row.masks for row in rows):
        software += f", masks of readers, fluid {embedded_network().digest}"
    measured = measure_cohort(
        [row for row in rows if row.line not in unlabelled],
        partial(measure_study, settings=settings, place=place),
        settings,
        (cache or table.parent / "measured").resolve(),
        software=software,
        repeat=partial(features_again, settings=settings.features),
        read_second=partial(features_of_second, settings=settings),
        in_detail=in_detail,
        spread=spread,
        report_progress=report_progress,
    )
    return replace(measured, unlabelled=unlabelled)
