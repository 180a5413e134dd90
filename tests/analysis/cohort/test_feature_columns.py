from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.cohort.feature_columns import body_columns, patient_columns
from analysis.cohort.measure import MeasuredCohort, measure_cohort
from analysis.domain.findings import Findings, LevelMeasurements, Refusal
from analysis.domain.segmentation import Level
from analysis.settings import AnalysisSettings, FeatureSettings
from tests.analysis.cohort.test_cohort import TABLE, analyse_numbered, cohort_rows


def analyse_with_a_body(study: Path, _masks: object) -> Findings | Refusal:
    """Return the synthetic findings, with two measured bodies of which L2 is not usable."""
    found = analyse_numbered(study)
    if isinstance(found, Findings):
        for series in found.series:
            bodies = (
                LevelMeasurements(Level.L1, 12.0, 1.0, 2.0, 3.0, 2.5, {"original_glcm_Contrast": 7.0}),
                LevelMeasurements(Level.L2, 11.0, 1.0, 2.0, 3.0, None),
            )
            object.__setattr__(series, "measurements", bodies)
    return found


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> MeasuredCohort:
    folder = tmp_path_factory.mktemp("cohort")
    return measure_cohort(
        cohort_rows(folder, 6), analyse_with_a_body, AnalysisSettings(), folder / "cache", software="1"
    )


def test_patients_without_a_bmd_have_their_features_all_the_same(tmp_path: Path) -> None:
    rows = [replace(row, bmd_mg_cm3=None) for row in cohort_rows(tmp_path, 2)]
    found = measure_cohort(rows, analyse_numbered, AnalysisSettings(), tmp_path / "c", software="1")
    columns = patient_columns(found)
    assert columns["bmd_mg_cm3"] == [None, None]
    name = TABLE.sequences["T1"].names[3]
    assert columns[f"T1_{name}"] == TABLE.sequences["T1"].values[:2, 3].tolist()


def row_of(columns: dict[str, list[Any]], index: int) -> dict[str, Any]:
    return {name: cells[index] for name, cells in columns.items()}


def test_every_patient_of_the_table_has_a_row_also_without_features(measured: MeasuredCohort) -> None:
    columns = patient_columns(measured)
    assert columns["patient_id"] == [f"P{number}" for number in range(6)]
    assert columns["line"] == [2, 3, 4, 5, 6, 7]
    assert columns["reasons"][3] == "no series; a slice is missing"
    feature = TABLE.sequences["T2"].names[0]
    stored = columns[f"T2_{feature}"]
    assert stored[:3] == TABLE.sequences["T2"].values[:3, 0].tolist()
    assert stored[3:] == [None, None, None]  # refused twice, and T1 alone
    assert columns["T1_image_digest"][:4] == ["0" * 64, "0" * 64, "0" * 64, None]
    assert set(columns["features_digest"]) == {FeatureSettings().digest()}


def test_the_columns_stand_in_a_stable_order(measured: MeasuredCohort) -> None:
    names = list(patient_columns(measured))
    assert names[:3] == ["patient_id", "line", "bmd_mg_cm3"]
    assert names[10:16] == [
        *("T1_image_digest", "T1_against", "T1_vbq"),
        *("T1_repetition_time_ms", "T1_echo_time_ms", "T1_field_strength_t"),
    ]
    assert names[16:46] == [f"T1_{name}" for name in sorted(TABLE.sequences["T1"].names)]


def test_a_body_has_a_row_for_each_series(measured: MeasuredCohort) -> None:
    columns = body_columns(measured)
    assert list(zip(columns["patient_id"], columns["sequence"], columns["level"], strict=True))[:4] == [
        ("P0", "T1", "L1"),
        ("P0", "T1", "L2"),
        ("P0", "T2", "L1"),
        ("P0", "T2", "L2"),
    ]
    assert columns["patient_id"].count("P5") == 2  # one series
    assert "P3" not in columns["patient_id"]
    first, second = row_of(columns, 0), row_of(columns, 1)
    assert (first["body_vbq"], second["body_vbq"]) == (2.5, None)
    assert (first["original_glcm_Contrast"], second["original_glcm_Contrast"]) == (7.0, None)
    assert first["vbq"] == pytest.approx(TABLE.sequences["T1"].vbq[0])
    assert {len(cells) for cells in columns.values()} == {14}
