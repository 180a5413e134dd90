import csv
from pathlib import Path
from typing import Any

import pytest

from analysis.cohort.measure import measure_cohort
from analysis.settings import AnalysisSettings
from node.science.feature_files import write_features
from tests.analysis.cohort.test_cohort import cohort_rows
from tests.analysis.cohort.test_feature_columns import analyse_with_a_body


def rows_of(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("by_body", [False, True])
def test_every_column_is_explained(tmp_path: Path, *, by_body: bool) -> None:
    measured = measure_cohort(
        cohort_rows(tmp_path, 3), analyse_with_a_body, AnalysisSettings(), tmp_path / "cache", software="1"
    )
    table, dictionary = write_features(measured, tmp_path / "features.csv", by_body=by_body)
    told = {row["column"]: row for row in rows_of(dictionary)}
    assert list(told) == list(rows_of(table)[0])
    assert all(row["meaning"] for row in told.values())
    if by_body:
        contrast = told["original_glcm_Contrast"]
        assert (contrast["ibsi_code"], contrast["unit"], contrast["image"]) == ("ACUI", "1", "original")
        assert told["volume_ml"]["unit"] == "ml"
    else:
        feature = told["T2_original_firstorder_3_mean"]
        assert (feature["sequence"], feature["feature"]) == ("T2", "firstorder_3")
        assert feature["aggregation"] == "mean over the usable bodies"
        assert (told["T1_echo_time_ms"]["unit"], feature["ibsi_code"]) == ("ms", "")
