"""The bone density by regression, on cohorts whose truth is known."""

import csv
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score

from analysis.cohort.feature_table import FeatureTable
from analysis.evaluation.regression import Regression, regress
from analysis.evaluation.regression_page import bmd_columns
from analysis.evaluation.report import html_of, write_report
from analysis.evaluation.result import BASELINES, SOURCES
from tests.analysis.evaluation.test_evaluate import QUICK, quick_evaluation
from tests.analysis.synthetic_cohort import synthetic_table

SETTINGS = replace(QUICK, bmd=True)


@cache
def found() -> Regression:
    return regress(synthetic_table(), SETTINGS)


def told_by_one_feature(noise: float) -> FeatureTable:
    """Return a cohort in which one feature of T1 is the bone density, with noise of this SD in mg/cm³."""
    table, rng = synthetic_table(200), np.random.default_rng(0)
    values = table.sequences["T1"].values.copy()
    values[:, 3] = 5 * (table.bmd_mg_cm3 + rng.normal(0, noise, 200)) + 7
    return replace(table, sequences={**table.sequences, "T1": replace(table.sequences["T1"], values=values)})


def test_what_a_feature_tells_is_found_up_to_its_noise() -> None:
    row = regress(told_by_one_feature(10.0), replace(SETTINGS, splits=3)).rows[0]
    assert row.measures["MAE"].mean == pytest.approx(10 * np.sqrt(2 / np.pi), abs=2)
    low, high = (row.agreement[name].value for name in ("lower limit", "upper limit"))
    assert high - low == pytest.approx(2 * 1.96 * 10, abs=8)
    assert row.measures["R²"].mean > 0.85


def test_densities_that_no_feature_tells_are_not_predicted() -> None:
    table = synthetic_table()
    shuffled = replace(table, bmd_mg_cm3=np.random.default_rng(1).permutation(table.bmd_mg_cm3))
    for row in regress(shuffled, SETTINGS).rows:
        assert row.measures["R²"].interval[0] < 0 < row.measures["R²"].interval[1] + 0.1
        assert (
            row.agreement["bias"].low < 0 < row.agreement["bias"].high or abs(row.agreement["bias"].value) < 6
        )


def test_each_patient_counts_once_in_the_bias_whatever_the_number_of_predictions() -> None:
    row = found().rows[0]
    errors = np.stack(list(row.predicted)) - found().bmd_mg_cm3
    judged = errors[:, np.isfinite(errors).any(axis=0)]
    assert row.agreement["bias"].value == pytest.approx(np.nanmean(judged, axis=0).mean())
    assert row.agreement["bias"].value != pytest.approx(np.nanmean(judged))


def test_every_figure_is_of_patients_that_the_split_did_not_learn_from() -> None:
    bmd = found().bmd_mg_cm3
    assert [row.source for row in found().rows] == [*SOURCES, *BASELINES]
    first = found().rows[0]
    for predicted in first.predicted:
        assert np.isfinite(predicted).sum() == 27
    errors = [
        (mean_absolute_error(bmd[rows], one[rows]), r2_score(bmd[rows], one[rows]))
        for one in first.predicted
        for rows in [np.isfinite(one)]
    ]
    assert first.measures["MAE"].mean == pytest.approx(np.mean(errors, axis=0)[0])
    assert first.measures["R²"].mean == pytest.approx(np.mean(errors, axis=0)[1])


@pytest.mark.usefixtures("without_charts")
def test_page_and_tables_have_it_only_if_it_was_asked_for(tmp_path: Path) -> None:
    written = write_report(quick_evaluation(), tmp_path, regression=found())
    page = (tmp_path / "evaluation.html").read_text(encoding="utf-8")
    assert "The bone density itself" in page
    assert "a patient whom several splits judged counts once" in page.split("Lines: bias")[1]
    assert "The bone density itself" not in html_of(quick_evaluation())
    assert tmp_path / "regression.csv" in written
    with (tmp_path / "regression.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    record = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert [row["source"] for row in record["bmd_regression"]] == [row["source"] for row in rows]
    assert float(rows[0]["MAE_mean"]) == found().rows[0].measures["MAE"].mean
    columns = bmd_columns(found())
    assert list(columns) == ["patient_id", "source", "split", "bmd_mg_cm3", "predicted_mg_cm3"]
    assert len(columns["patient_id"]) == 27 * SETTINGS.splits * len(found().rows)
