"""A site that is left out is judged by a model of the others, and a mixed cohort is told so."""

import csv
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from analysis.cohort.cohort_table import CohortRow
from analysis.cohort.feature_table import FeatureTable
from analysis.cohort.measure import MeasuredCohort
from analysis.domain.findings import Target
from analysis.evaluation.report import html_of, write_report
from analysis.evaluation.result import SOURCES, EvaluationSettings
from analysis.evaluation.sites import Sites, leave_one_site_out
from analysis.learning.learn import LearningSettings
from tests.analysis.evaluation.test_evaluate import quick_evaluation
from tests.analysis.synthetic_cohort import synthetic_table

pytestmark = pytest.mark.slow

SETTINGS = EvaluationSettings(
    kinds=("LR",),
    thresholds_mg_cm3={Target.ABNORMAL_DENSITY: 100.0},
    learning=LearningSettings(feature_counts=(5,), folds=3, grids={"LR": {"C": (0.1,)}}),
)
VENDORS = ("SIEMENS", "Siemens Healthineers", "GE MEDICAL SYSTEMS")


def cohort(table: FeatureTable, sites: tuple[str, ...]) -> MeasuredCohort:
    """Give every patient a site and a vendor in turn."""
    rows = tuple(
        CohortRow(number + 2, patient, Path(), bmd, site=sites[number % len(sites)])
        for number, (patient, bmd) in enumerate(zip(table.patient_ids, table.bmd_mg_cm3, strict=True))
    )
    records = tuple(
        {"sequences": {"T1": {"vendor": VENDORS[number % 3]}}, "reasons": []} for number in range(len(rows))
    )
    return MeasuredCohort(table, (), (), rows, records)


@cache
def found() -> Sites:
    return leave_one_site_out(cohort(synthetic_table(), ("A", "B <1>", "")), SETTINGS)


def test_every_site_is_left_out_once_for_every_source() -> None:
    rows = found().rows
    assert [(row.source, row.site) for row in rows] == [
        (source, site) for source in SOURCES for site in ("A", "B <1>")
    ]
    assert {row.patients for row in rows} == {found().unknown} == {30}
    assert all(row.figures["AUC"].low > 0.5 for row in rows)
    assert all(
        one.low < one.value < one.high or one.value == 1 for row in rows for one in row.figures.values()
    )


def test_nothing_is_learned_from_the_patients_of_the_site() -> None:
    """Labels that are wrong at one site alone spoil what is learned at the others, and not the reverse."""
    table = synthetic_table()
    own = np.arange(90) % 3 == 0
    spoiled = replace(table, bmd_mg_cm3=np.where(own, 200 - table.bmd_mg_cm3, table.bmd_mg_cm3))
    rows = leave_one_site_out(cohort(spoiled, ("A", "B <1>", "")), SETTINGS).rows
    for row, before in zip(rows, found().rows, strict=True):
        if row.site == "A":  # learned from B, as before; truth is the reverse
            assert row.figures["AUC"].value == pytest.approx(1 - before.figures["AUC"].value)


def test_figures_that_too_few_patients_tell_are_missing() -> None:
    few = ("A",) * 8 + ("B",)
    (a, b, *_) = leave_one_site_out(cohort(synthetic_table(), few), SETTINGS).rows
    assert (a.site, a.kind, a.figures) == ("A", "", {})  # ten patients of B are too few to learn from
    assert (b.kind, b.figures) == ("LR", {})
    assert leave_one_site_out(cohort(synthetic_table(), ("A", "")), SETTINGS).rows == ()


def test_vendors_are_counted_by_their_first_word() -> None:
    assert found().vendors == {"SIEMENS": 60, "GE": 30}


@pytest.mark.usefixtures("without_charts")
def test_page_and_tables_have_the_sites(tmp_path: Path) -> None:
    write_report(quick_evaluation(), tmp_path, sites=found())
    page = (tmp_path / "evaluation.html").read_text(encoding="utf-8")
    assert "mixed vendors: SIEMENS 60, GE 30." in " ".join(page.split())
    assert "B &lt;1&gt;" in page
    with (tmp_path / "sites.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    told = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))["sites"]
    assert [float(row["AUC"]) for row in rows] == [row["AUC"] for row in told["left_out"]]
    assert told["vendors"] == {"SIEMENS": 60, "GE": 30}
    one_vendor = replace(found(), rows=(), vendors={"GE": 90})
    bare = html_of(quick_evaluation(), sites=one_vendor)
    assert "mixed vendors" not in bare
    assert "One site left out" not in bare
