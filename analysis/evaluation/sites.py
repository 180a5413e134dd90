"""One site left out: what is learned from all other hospitals is judged on the patients of one."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from analysis.cohort.feature_table import SEQUENCES
from analysis.cohort.measure import MeasuredCohort
from analysis.domain.findings import Target
from analysis.evaluation.evaluate import Source, sources_of
from analysis.evaluation.outcomes import Figure
from analysis.evaluation.result import SOURCES, EvaluationSettings
from analysis.learning.learn import LearningSettings, learn, prepare_training_set
from analysis.statistics.proportion import share
from analysis.statistics.roc import area, area_interval
from analysis.tasks import Spread, in_turn

__all__ = ["FIGURES", "LeftOut", "Sites", "leave_one_site_out"]

FIGURES = ("AUC", "sensitivity", "specificity")
"""What is told of each site."""

Truth = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A site that was left out, for one target and source.

    Attributes
    ----------
    target : Target
        The target.
    source, site : str
        Sequence or sequences, and the site by the cohort table.
    patients, present : int
        Patients of the site, and those with the target.
    kind : str
        Kind of model, chosen by AUC inside the other sites; empty if these have too few patients to learn
        from.
    figures : mapping of str to Figure
        AUC, sensitivity and specificity on the patients of the site, each with a 95 % interval (DeLong,
        Wilson). Those that too few patients tell are missing.
    """

    target: Target
    source: str
    site: str
    patients: int
    present: int
    kind: str
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Sites:
    """All sites, each left out once.

    Attributes
    ----------
    rows : tuple of LeftOut
        By target, source and site; empty if fewer than two sites are known.
    unknown : int
        Patients without a site, who are neither learned from nor judged on.
    vendors : mapping of str to int
        Patients by vendor, those without a site among them.
    """

    rows: tuple[LeftOut, ...]
    unknown: int
    vendors: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    target: Target
    site: str
    present: Truth
    inside: Truth
    outside: Truth


def leave_one_site_out(
    measured: MeasuredCohort,
    settings: EvaluationSettings,
    spread: Spread = in_turn,
) -> Sites:
    """Learn from the patients of all sites but one, and judge on those of that one.

    Parameters
    ----------
    measured : MeasuredCohort
        The measured cohort; patients without both sequences are left out, as in `evaluate`.
    settings : EvaluationSettings
        Of these, the number and share of splits play no part.
    spread : Spread
        Runs the sites.
    """
    table, vendors = measured.table, _vendors_of(measured)
    site_of = {row.patient_id: row.site for row in measured.rows}
    complete = np.logical_and.reduce([table.sequences[name].available for name in SEQUENCES])
    kept = np.array(table.patient_ids, dtype=object)[complete]
    sites = np.array([site_of.get(patient, "") for patient in kept], dtype=object)
    unknown = int((sites == "").sum())
    names = sorted(set(sites) - {""})
    if len(names) < 2:
        return Sites((), unknown, vendors)
    tasks = [
        _Task(target, site, table.bmd_mg_cm3[complete] < bmd, (sites != site) & (sites != ""), sites == site)
        for target, bmd in settings.thresholds_mg_cm3.items()
        for site in names
    ]
    sources = tuple(one for one in sources_of(table, complete, settings) if one.name in SOURCES)
    judge = partial(
        _judge, sources=sources, learning=settings.learning, minimum_per_class=settings.minimum_per_class
    )
    found = dict(spread(judge, tasks))
    order = {(target, source): number for number, (target, source) in enumerate(_cells(settings))}
    rows_in_turn = [row for index in range(len(tasks)) for row in found[index]]
    return Sites(tuple(sorted(rows_in_turn, key=lambda row: order[row.target, row.source])), unknown, vendors)


def _cells(settings: EvaluationSettings) -> Iterator[tuple[Target, str]]:
    for target in settings.thresholds_mg_cm3:
        for source in SOURCES:
            yield target, source


def _judge(
    task: _Task, *, sources: Sequence[Source], learning: LearningSettings, minimum_per_class: int
) -> tuple[LeftOut, ...]:
    truth, known = task.present[task.outside], task.present[task.inside]
    rows = []
    for source in sources:
        kind, figures = "", {}
        if _enough(known, max(minimum_per_class, learning.folds)):
            again = None if source.repeated is None else source.repeated[task.inside]
            training_set = prepare_training_set(source.values[task.inside], known, learning, again)
            learned = learn(training_set, source.kinds, learning)
            chances = learned.probabilities(source.values[task.outside])
            kind = learned.kind
            figures = dict(_figures(truth, chances, chances >= learned.threshold, minimum_per_class))
        rows.append(LeftOut(task.target, source.name, task.site, truth.size, int(truth.sum()), kind, figures))
    return tuple(rows)


def _figures(
    truth: Truth, chances: npt.NDArray[np.float64], called: Truth, minimum_per_class: int
) -> Iterator[tuple[str, Figure]]:
    if _enough(truth, minimum_per_class):
        yield "AUC", Figure(area(truth, chances), *area_interval(truth, chances))
    for name, hits in (("sensitivity", called[truth]), ("specificity", ~called[~truth])):
        if hits.size >= minimum_per_class:
            value, interval = share(hits)
            yield name, Figure(value, *interval)


def _enough(present: Truth, minimum_per_class: int) -> bool:
    return min(int(present.sum()), int((~present).sum())) >= minimum_per_class


def _vendors_of(measured: MeasuredCohort) -> dict[str, int]:
    """Return the number of patients of the feature table by vendor, most frequent first.

    A vendor is the first word of Manufacturer, in capitals; the rest of that text changes with the scanner's
    age. Patients whose images or whose earlier measurements name none are left out.
    """
    used = set(measured.table.patient_ids)
    counts = Counter(
        vendor
        for row, record in zip(measured.rows, measured.records, strict=True)
        if row.patient_id in used
        for vendor in {
            str(series.get("vendor") or "").split()[0].upper()
            for series in record["sequences"].values()
            if str(series.get("vendor") or "").strip()
        }
    )
    return dict(counts.most_common())
