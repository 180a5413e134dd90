import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.cohort.cohort_table import REQUIRED_COLUMNS, CohortRow, read_cohort
from analysis.cohort.feature_table import SEQUENCES, FeatureTable
from analysis.cohort.measure import measure_cohort
from analysis.domain.findings import Findings, Refusal, SeriesFindings, SeriesRefusal, Target
from analysis.domain.reason import quoted
from analysis.errors import AnalysisError, RefusedError
from analysis.settings import AnalysisSettings, FeatureSettings
from analysis.tasks import in_turn
from tests.analysis.synthetic_cohort import findings_of, synthetic_table, with_segmentation

THRESHOLDS = {Target.OSTEOPOROSIS: 80.0, Target.ABNORMAL_DENSITY: 120.0}
TABLE = synthetic_table()
PARTLY = np.where(np.arange(30) == 2, np.nan, 1.0) * np.ones((90, 1))


def write_table(
    folder: Path, lines: Sequence[Sequence[object]], header: Sequence[str] = REQUIRED_COLUMNS
) -> Path:
    for number in range(40):
        (folder / f"study{number}").mkdir(exist_ok=True)
        (folder / f"study{number}" / "image.dcm").write_text(str(number))
    path = folder / "cohort.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *lines])
    return path


def good_lines(count: int = 30) -> list[list[object]]:
    return [[f"P{number}", f"study{number}", (60, 100, 150)[number % 3]] for number in range(count)]


def faults_of(path: Path) -> tuple[str, ...]:
    with pytest.raises(RefusedError) as error:
        read_cohort(path, THRESHOLDS)
    return error.value.reasons


def test_a_good_table_is_read_in_its_order(tmp_path: Path) -> None:
    rows = read_cohort(write_table(tmp_path, good_lines()), THRESHOLDS)
    assert [row.patient_id for row in rows] == [f"P{number}" for number in range(30)]
    assert rows[1] == CohortRow(3, "P1", tmp_path / "study1", 100.0)


def test_optional_columns_are_read_and_others_left_alone(tmp_path: Path) -> None:
    header = [*REQUIRED_COLUMNS, "Age", "sex", "scanner", "site", "simulated", "operator"]
    extra = [["61.5", "female", "Aera", "A", "yes", "x"], ["", "", "", "", "", ""]] * 15
    lines = [[*line, *more] for line, more in zip(good_lines(), extra, strict=True)]
    first, second, *_ = read_cohort(write_table(tmp_path, lines, header), THRESHOLDS)
    assert (first.age, first.sex, first.scanner, first.site, first.simulated) == (
        61.5,
        "F",
        "Aera",
        "A",
        True,
    )
    assert (second.age, second.sex, second.scanner, second.site, second.simulated) == (
        None,
        None,
        "",
        "",
        False,
    )


def with_masks(
    folder: Path, masks: Sequence[str], names: Sequence[str] = ("t1_mask", "t1_second_mask")
) -> Path:
    """Write a table whose first lines have these masks, "FIRST SECOND" each, and files for all of them."""
    lines = [
        [*line, *mask.split(" ")] for line, mask in zip(good_lines(), [*masks, *[" "] * 30], strict=False)
    ]
    path = write_table(folder, lines, [*REQUIRED_COLUMNS, *names])
    for number in range(6):
        (folder / f"{number}.nii.gz").touch()
    return path


def test_masks_of_readers_are_read_where_the_table_names_them(tmp_path: Path) -> None:
    first, second, third, *_ = read_cohort(
        with_masks(tmp_path, ["0.nii.gz 1.nii.gz", "2.nii.gz "]), THRESHOLDS
    )
    assert first.masks == {"T1": tmp_path / "0.nii.gz"}
    assert first.second_masks == {"T1": tmp_path / "1.nii.gz"}
    assert second.masks == {"T1": tmp_path / "2.nii.gz"}
    assert second.second_masks == third.masks == {"T1": None}
    (plain, *_) = read_cohort(write_table(tmp_path, good_lines()), THRESHOLDS)
    assert plain.masks == plain.second_masks == {}


def test_masks_that_are_missing_or_shared_are_faults(tmp_path: Path) -> None:
    path = with_masks(
        tmp_path, ["gone.nii.gz 0.nii.gz", "1.nii.gz ./1.nii.gz", "2.nii.gz 3.nii.gz", "4.nii.gz 2.nii.gz"]
    )
    assert faults_of(path) == (
        "line 2: the file of t1_mask is not there",
        "line 3: both readers have the same mask",
        "lines 4, 5: the same mask",
    )
    names = ("t1_mask", "t2_second_mask")
    assert faults_of(with_masks(tmp_path, [], names)) == (
        "the cohort table has a column t2_second_mask, but no t2_mask",
    )


def test_a_byte_order_mark_as_spreadsheets_write_it_does_no_harm(tmp_path: Path) -> None:
    path = write_table(tmp_path, good_lines())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_cohort(path, THRESHOLDS)) == 30


def test_every_fault_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    lines = good_lines()
    lines[0][2] = "nan"
    lines[1][2] = "strong"
    lines[3][1] = "nowhere"
    lines[4][0] = " "
    lines[5][2] = 5000
    lines[6].append("more")
    lines[8][0] = "p7"
    lines[10][1] = "study9"
    assert faults_of(write_table(tmp_path, lines)) == (
        "line 2: bmd_mg_cm3 is not finite",
        "line 3: bmd_mg_cm3 is not a number",
        "line 5: the study is not there",
        "line 6: no patient_id",
        "line 7: bmd_mg_cm3 is not plausible (-100 to 500): 5000",
        "line 8: 4 cells under 3 columns",
        "lines 9, 10: the same patient",
        "lines 11, 12: the same study",
    )


def test_a_patient_without_a_bmd_is_read_and_counts_in_no_class(tmp_path: Path) -> None:
    lines = good_lines(31)
    lines[30][2] = ""
    assert read_cohort(write_table(tmp_path, lines), THRESHOLDS)[30].bmd_mg_cm3 is None
    lines[0][2] = ""  # ten of each class of osteoporosis are needed, and nine are left
    assert faults_of(write_table(tmp_path, lines)) == (
        "osteoporosis: 9 patients have a BMD below 80 mg/cm³, and 10 are needed",
    )


def test_a_table_that_is_only_to_be_measured_needs_no_bmd(tmp_path: Path) -> None:
    path = write_table(tmp_path, [line[:2] for line in good_lines(2)], REQUIRED_COLUMNS[:2])
    assert [row.bmd_mg_cm3 for row in read_cohort(path, {})] == [None, None]


def test_missing_and_repeated_columns_are_told_together(tmp_path: Path) -> None:
    header = ["patient_id", "age", "age", "study"]
    assert faults_of(write_table(tmp_path, [], header)) == (
        "the cohort table lacks the columns bmd_mg_cm3",
        "the cohort table has 2 columns called age",
    )


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("sex", "x", "sex is neither F nor M nor empty"),
        ("age", "-3", "age is not plausible (0 to 120): -3"),
        ("age", "old", "age is not a number"),
        ("simulated", "perhaps", "simulated is neither yes nor no nor empty"),
    ],
)
def test_optional_columns_are_checked_too(tmp_path: Path, column: str, value: str, fault: str) -> None:
    lines = [[*line, value if number == 4 else ""] for number, line in enumerate(good_lines())]
    assert faults_of(write_table(tmp_path, lines, [*REQUIRED_COLUMNS, column])) == (f"line 6: {fault}",)


def test_a_class_with_too_few_patients_is_told_by_target(tmp_path: Path) -> None:
    lines = [[f"P{number}", f"study{number}", 100] for number in range(30)]
    assert faults_of(write_table(tmp_path, lines)) == (
        "osteoporosis: 0 patients have a BMD below 80 mg/cm³, and 10 are needed",
        "abnormal bone density: 0 patients have a BMD at or above 120 mg/cm³, and 10 are needed",
    )


def test_no_table_and_an_empty_one_are_refused(tmp_path: Path) -> None:
    assert "cannot be read" in faults_of(tmp_path / "nothing.csv")[0]
    (tmp_path / "empty.csv").write_text("")
    assert "lacks the columns patient_id, study, bmd_mg_cm3" in faults_of(tmp_path / "empty.csv")[0]
    (tmp_path / "broken.xlsx").write_bytes(b"PK no workbook")
    assert faults_of(tmp_path / "broken.xlsx") == ("the cohort table is not a valid Excel file",)


def test_a_fault_of_many_lines_is_told_once_with_the_first_of_them(tmp_path: Path) -> None:
    lines = [[f"P{number}", f"study{number}", 1000 + number] for number in range(30)]
    lines[3][2] = "low"
    assert faults_of(write_table(tmp_path, lines)) == (
        "lines 2, 3, 4, 6, 7, 8, 9, 10 and 21 more: bmd_mg_cm3 is not plausible (-100 to 500): 1000",
        "line 5: bmd_mg_cm3 is not a number",
    )


def test_faults_never_hold_a_patient_identifier(tmp_path: Path) -> None:
    lines = [["SECRET", f"missing{number}", "nan"] for number in range(5)]
    assert not any("SECRET" in fault for fault in faults_of(write_table(tmp_path, lines)))


@given(text=st.text(max_size=200))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "cohort.csv"
    path.write_text(text, encoding="utf-8", errors="ignore")
    with pytest.raises(RefusedError):
        read_cohort(path, THRESHOLDS)


# Measuring. The analysis below replaces the pipeline: it returns synthetic findings.


def analyse_numbered(study: Path, _masks: object = None, log: Path | None = None) -> Findings | Refusal:
    """Read the number in the study's file, and return the findings of that patient of the synthetic table."""
    number = int((study / "image.dcm").read_text())
    if log is not None:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{number}\n")
    if number == 3:
        return Refusal(
            (quoted("no series"),),
            (SeriesRefusal("1.2", quoted("sagittal T1"), (quoted("a slice is missing"),)),),
        )
    if number == 4:
        raise RefusedError(quoted("this is a head"))
    names = ("T1",) if number == 5 else SEQUENCES
    series = tuple(findings_of(name, number, TABLE) for name in names)
    return Findings(series, (), (), None, AnalysisSettings().digest(), "test")


def features_of(found: SeriesFindings) -> dict[str, float]:
    return {name: value + 0.01 for name, value in found.patient_features.items()}


def cohort_rows(folder: Path, count: int = 10) -> tuple[CohortRow, ...]:
    return read_cohort(write_table(folder, good_lines(30)), THRESHOLDS)[:count]


def logged(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def measure_all(rows: Sequence[CohortRow], cache: Path, **options: object) -> object:
    return measure_cohort(rows, analyse_numbered, AnalysisSettings(), cache, software="1", **options)  # type: ignore[arg-type]


def test_every_patient_gets_a_row_and_every_refusal_its_reasons(tmp_path: Path) -> None:
    rows = cohort_rows(tmp_path)
    measured = measure_cohort(rows, analyse_numbered, AnalysisSettings(), tmp_path / "cache", software="1")
    assert measured.table.patient_ids == ("P0", "P1", "P2", "P5", "P6", "P7", "P8", "P9")
    assert [(one.line, one.reasons) for one in measured.refused] == [
        (5, ("no series", "a slice is missing")),
        (6, ("this is a head",)),
    ]
    assert [(one.line, one.reasons) for one in measured.in_part] == [(7, ("no usable T2 series",))]
    t1, t2 = (measured.table.sequences[name] for name in SEQUENCES)
    assert t1.available.all()
    assert t2.available.tolist() == [True, True, True, False, True, True, True, True]
    order = [TABLE.sequences["T1"].names.index(name) for name in t1.names]
    np.testing.assert_array_equal(t1.values[0], TABLE.sequences["T1"].values[0, order])
    assert t1.echo_time_ms[2] == TABLE.sequences["T1"].echo_time_ms[2]
    assert measured.table.features_digest == FeatureSettings().digest()


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    rows, log = cohort_rows(tmp_path), tmp_path / "log"
    analyse = partial(analyse_numbered, log=log)

    def stop(done: int, _total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_cohort(rows, analyse, AnalysisSettings(), tmp_path / "c", software="1", report_progress=stop)
    assert logged(log) == ["0", "1", "2", "3"]
    measure_cohort(rows, analyse, AnalysisSettings(), tmp_path / "c", software="1")
    assert logged(log) == [str(number) for number in range(10)]


@pytest.mark.parametrize("change", ["study", "settings", "software", "damage"])
def test_whatever_changed_is_measured_again(tmp_path: Path, change: str) -> None:
    rows, log, cache = cohort_rows(tmp_path, 3), tmp_path / "log", tmp_path / "cache"
    analyse = partial(analyse_numbered, log=log)
    measure_cohort(rows, analyse, AnalysisSettings(), cache, software="1")
    settings = AnalysisSettings(minimum_usable_levels=4) if change == "settings" else AnalysisSettings()
    if change == "study":
        (rows[1].study / "another.dcm").write_text("")
    if change == "damage":
        next(cache.glob("*.json")).write_text("{")
    measure_cohort(rows, analyse, settings, cache, software="2" if change == "software" else "1")
    assert len(logged(log)) == {"study": 4, "damage": 4, "settings": 6, "software": 6}[change]


def test_the_same_mask_in_another_place_is_measured_again(tmp_path: Path) -> None:
    """A sequence with an empty cell is left out; one without a column is outlined by the program."""
    (row,), log, cache = cohort_rows(tmp_path, 1), tmp_path / "log", tmp_path / "cache"
    mask = tmp_path / "mask.nii.gz"
    mask.touch()
    masks: list[dict[str, Path | None]] = [
        {"T1": mask}, {"T1": mask, "T2": None}, {"T2": mask}, {"T1": None, "T2": mask}, {"T1": None}, {},
    ]  # fmt: skip
    analyse = partial(analyse_numbered, log=log)
    # Twice: what did not change is not measured again.
    for one in (*masks, *masks):
        measure_cohort([replace(row, masks=one)], analyse, AnalysisSettings(), cache, software="1")
    assert len(logged(log)) == len(masks)


def test_checkpoints_hold_no_patient_identifier(tmp_path: Path) -> None:
    rows = tuple(replace(row, patient_id=f"SECRET{row.line}") for row in cohort_rows(tmp_path, 3))
    measure_all(rows, tmp_path / "cache")
    checkpoints = list((tmp_path / "cache").glob("*"))
    assert len(checkpoints) == 3
    assert not any("SECRET" in path.name + path.read_text() for path in checkpoints)


def test_checkpoints_of_an_earlier_version_serve_where_details_do_not_matter(tmp_path: Path) -> None:
    rows, log, cache = cohort_rows(tmp_path, 2), tmp_path / "log", tmp_path / "cache"
    analyse = partial(analyse_numbered, log=log)
    measure_cohort(rows, analyse, AnalysisSettings(), cache, software="1")
    for checkpoint in cache.glob("*.json"):
        record = json.loads(checkpoint.read_text())
        del record["codes"]
        checkpoint.write_text(json.dumps(record))
    measure_cohort(rows, analyse, AnalysisSettings(), cache, software="1")
    assert len(logged(log)) == 2
    measure_cohort(rows, analyse, AnalysisSettings(), cache, software="1", in_detail=True)
    assert len(logged(log)) == 4


def test_a_patient_without_a_bmd_is_measured_and_nothing_learns_from_it(tmp_path: Path) -> None:
    first, *others = cohort_rows(tmp_path, 3)
    rows = (replace(first, bmd_mg_cm3=None), *others)
    measured = measure_cohort(rows, analyse_numbered, AnalysisSettings(), tmp_path / "c", software="1")
    assert measured.table.patient_ids == ("P1", "P2")
    assert measured.records[0]["sequences"]["T1"]["features"]
    assert measured.refused == ()


def backwards(function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Finish the tasks in reverse order, as other processes may."""
    yield from reversed([*in_turn(function, tasks)])


def test_the_order_in_which_studies_are_ready_changes_nothing(tmp_path: Path) -> None:
    rows, seen = cohort_rows(tmp_path, 6), []
    alone = measure_cohort(rows, analyse_numbered, AnalysisSettings(), tmp_path / "a", software="1")
    together = measure_cohort(
        rows,
        analyse_numbered,
        AnalysisSettings(),
        tmp_path / "b",
        software="1",
        spread=backwards,
        report_progress=lambda done, total: seen.append((done, total)),
    )
    assert_equal_tables(alone.table, together.table)
    assert alone.refused == together.refused
    assert seen == [(number, 6) for number in range(1, 7)]


def test_repeats_are_taken_of_evenly_spread_patients(tmp_path: Path) -> None:
    rows = cohort_rows(tmp_path, 10)
    measured = measure_cohort(
        rows,
        analyse_numbered,
        AnalysisSettings(),
        tmp_path / "cache",
        software="1",
        repeat=features_of,
        repeats=4,
    )
    t1 = measured.table.sequences["T1"]
    twice = np.flatnonzero(np.isfinite(t1.repeated).all(axis=1))
    assert [measured.table.patient_ids[row] for row in twice] == ["P0", "P6", "P9"]
    np.testing.assert_allclose(t1.repeated[twice] - t1.values[twice], 0.01)


def analyse_brokenly(_study: Path, _masks: object) -> Findings | Refusal:
    raise AnalysisError("a feature failed")


def test_a_fault_of_the_analysis_is_listed_and_tried_again_next_time(tmp_path: Path) -> None:
    rows = cohort_rows(tmp_path, 2)
    measured = measure_cohort(rows, analyse_brokenly, AnalysisSettings(), tmp_path / "cache", software="1")
    assert [one.reasons for one in measured.refused] == [("a feature failed",)] * 2
    assert not list((tmp_path / "cache").iterdir())


def analyse_unclearly(study: Path, _masks: object) -> Findings | Refusal:
    """Patient 1 has uncertain levels on T2, patient 2 on both."""
    found = analyse_numbered(study)
    assert isinstance(found, Findings)
    unclear = {"study1": ("T2",), "study2": SEQUENCES}.get(study.name, ())
    series = tuple(
        with_segmentation(one, levels_certain=False) if one.identification.contrast in unclear else one
        for one in found.series
    )
    return replace(found, series=series)


def test_what_a_model_would_abstain_from_none_learns_from(tmp_path: Path) -> None:
    rows = cohort_rows(tmp_path, 3)
    measured = measure_cohort(rows, analyse_unclearly, AnalysisSettings(), tmp_path / "c", software="1")
    assert measured.table.patient_ids == ("P0", "P1")
    assert measured.table.sequences["T2"].available.tolist() == [True, False]
    assert [one.reasons for one in measured.in_part] == [("T2w: the vertebral levels are uncertain",)]
    assert [(one.line, len(one.reasons)) for one in measured.refused] == [(4, 2)]


def analyse_differently(study: Path, _masks: object) -> Findings | Refusal:
    found = analyse_numbered(study)
    assert isinstance(found, Findings)
    if study.name == "study1":
        found = replace(found, series=(replace(found.series[0], patient_features={"other": 1.0}),))
    return found


def test_studies_with_different_features_are_no_cohort(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="different features"):
        measure_cohort(
            cohort_rows(tmp_path, 2), analyse_differently, AnalysisSettings(), tmp_path / "c", software="1"
        )


# The feature table.


def assert_equal_tables(first: FeatureTable, second: FeatureTable) -> None:
    assert first.patient_ids == second.patient_ids
    assert (first.features_digest, first.simulated) == (second.features_digest, second.simulated)
    for name in ("bmd_mg_cm3", "age", "female"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for name in SEQUENCES:
        one, other = first.sequences[name], second.sequences[name]
        assert one.names == other.names
        for column in ("values", "repeated", "vbq", "repetition_time_ms", "echo_time_ms", "field_strength_t"):
            np.testing.assert_array_equal(getattr(one, column), getattr(other, column))


def test_a_table_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    TABLE.save(tmp_path / "features.npz")
    assert_equal_tables(TABLE, FeatureTable.load(tmp_path / "features.npz"))


def test_a_patient_cannot_stand_in_a_table_twice() -> None:
    twice = ("P000", *TABLE.patient_ids[:-1])
    with pytest.raises(ValueError, match="in both halves"):
        replace(TABLE, patient_ids=twice)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda table: replace(table, bmd_mg_cm3=np.full(90, np.nan)),
        lambda table: replace(table, bmd_mg_cm3=np.ones(3)),
        lambda table: replace(table, sequences={"T1": table.sequences["T1"]}),
        lambda table: replace(table.sequences["T1"], names=("a",) * 30),
        lambda table: replace(table.sequences["T1"], vbq=np.ones(3)),
        lambda table: replace(table.sequences["T1"], values=PARTLY),
    ],
)
def test_a_table_that_was_built_is_valid(break_it: Callable[[FeatureTable], object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        break_it(TABLE)


def test_checkpoints_are_plain_json(tmp_path: Path) -> None:
    measure_all(cohort_rows(tmp_path, 1), tmp_path / "cache")
    record = json.loads(next((tmp_path / "cache").glob("*.json")).read_text())
    assert set(record["sequences"]) == set(SEQUENCES)
