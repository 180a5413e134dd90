from dataclasses import replace
from pathlib import Path

import pytest

from analysis.cohort.measure import MeasuredCohort, measure_cohort
from analysis.cohort.who import who_was_in
from analysis.domain.findings import Findings, Refusal
from analysis.domain.reason import Reason
from analysis.settings import AnalysisSettings
from tests.analysis.cohort.test_cohort import THRESHOLDS, analyse_numbered, cohort_rows


def analyse_some(study: Path, _masks: object) -> Findings | Refusal:
    """Patient 8 has no DICOM file; of the others 3 and 4 are refused, and 5 has T1 only."""
    if study.name == "study8":
        junk = Reason("of_file", file="a.txt", reason=Reason("no_dicom"))
        return Refusal((Reason("several_studies"), junk))
    return analyse_numbered(study)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> MeasuredCohort:
    folder = tmp_path_factory.mktemp("cohort")
    rows = [
        replace(row, sex="F" if row.line % 2 else "M", age=60.0 + row.line, site="A" if row.line < 5 else "")
        for row in cohort_rows(folder, 12)
    ]
    rows[1] = replace(rows[1], bmd_mg_cm3=None)
    found = measure_cohort(rows, analyse_some, AnalysisSettings(), folder / "cache", software="1")
    return replace(found, unlabelled=(99, 100))


def test_every_row_of_the_table_is_in_the_flow_once(measured: MeasuredCohort) -> None:
    flow = who_was_in(measured, THRESHOLDS).flow
    assert (flow.rows, flow.unlabelled, flow.unreadable, flow.refused) == (14, 3, 1, 2)
    assert flow.analysed == len(measured.table.patient_ids) == 8
    assert flow.one_sequence == 1
    assert ("a slice is missing", 1) in flow.reasons
    assert ("a.txt: not a DICOM file", 1) in flow.reasons


def test_table_1_is_of_the_analysed_patients_by_target(measured: MeasuredCohort) -> None:
    who = who_was_in(measured, THRESHOLDS)
    table = {line.name: dict(zip(who.columns, line.cells, strict=True)) for line in who.table}
    # Analysed are 0, 2, 5, 6, 7, 9, 10 and 11, with a BMD of 60, 150, 150, 60, 100, 60, 100 and 150.
    assert table["patients"] == {
        "all": "8",
        "with osteoporosis": "3",
        "without osteoporosis": "5",
        "with abnormal bone density": "5",
        "without abnormal bone density": "3",
    }
    assert table["women"]["all"] == "4 (50 %)"  # those on odd lines
    assert table["QCT BMD, mg/cm³"]["with osteoporosis"] == "60.0 ± 0.0"
    assert table["QCT BMD, mg/cm³"]["all"] == "103.8 ± 41.7"
    assert table["site A"]["all"] == "2 (25 %)"
    assert table["with features of T2"]["all"] == "7 (88 %)"


def test_too_few_patients_for_the_features_are_told_with_the_number_that_is_needed(
    measured: MeasuredCohort,
) -> None:
    first, _ = who_was_in(measured, THRESHOLDS).needs
    assert (first.patients, first.present, first.candidates) == (8, 3, 30)
    assert first.needed is not None
    assert first.needed.patients > 1000
    assert first.warning is not None
    assert f"ask for {first.needed.patients:,} patients" in first.warning
    assert replace(first, patients=first.needed.patients).warning is None


def test_checkpoints_of_an_earlier_version_are_counted_too(measured: MeasuredCohort) -> None:
    earlier = [{key: value for key, value in record.items() if key != "codes"} for record in measured.records]
    flow = who_was_in(replace(measured, records=tuple(earlier)), THRESHOLDS).flow
    assert (flow.unreadable, flow.refused, flow.analysed) == (0, 3, 8)
