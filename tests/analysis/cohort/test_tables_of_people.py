"""Tables as people save them: separators, decimal commas, encodings, Excel, Windows paths, units."""

from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook

from analysis.cohort.cohort_table import CohortRow, read_cohort
from analysis.domain.findings import Target
from analysis.errors import RefusedError

THRESHOLDS = {Target.OSTEOPOROSIS: 80.0}
PATIENTS = 24
BMD = ("61.5", "100", "150.25", "-3")
Line = list[str]


def lines(bmd: Callable[[str], str] = str, study: Callable[[str], str] = str, sex: str = "F") -> list[Line]:
    return [
        [f"Müller{number}", study(f"images/{number}"), bmd(BMD[number % 4]), "61", sex]
        for number in range(PATIENTS)
    ]


HEADER = ["patient_id", "study", "bmd_mg_cm3", "age", "sex"]


@pytest.fixture(autouse=True)
def studies(tmp_path: Path) -> None:
    for number in range(PATIENTS):
        (tmp_path / "images" / str(number)).mkdir(parents=True)


def text(rows: list[Line], separator: str = ",", end: str = "\n") -> str:
    def cell(value: str) -> str:
        return f'"{value}"' if separator in value else value

    return "".join(separator.join(map(cell, row)) + end for row in rows)


def read(folder: Path, content: str | bytes, name: str = "cohort.csv") -> tuple[CohortRow, ...]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_cohort(path, THRESHOLDS)


def comma(value: str) -> str:
    return value.replace(".", ",")


WRITTEN = {
    "semicolon, decimal comma": text([HEADER, *lines(comma)], ";").encode(),
    "tab": text([HEADER, *lines()], "\t").encode(),
    "quoted decimal comma": text([HEADER, *lines(comma)]).encode(),
    "carriage returns": text([HEADER, *lines()], end="\r\n").encode(),
    "Windows-1252": text([HEADER, *lines()], ";").encode("cp1252"),
    "UTF-16": text([HEADER, *lines()], "\t").encode("utf-16"),
    "empty columns and lines after the table": (
        text([[*HEADER, "", ""], *([*line, "", ""] for line in lines())], ";") + ";;;;;;\n\n"
    ).encode(),
    "Windows paths": text([HEADER, *lines(study=lambda path: path.replace("/", "\\"))]).encode(),
    "units in the cells": text([HEADER, *lines(lambda value: f"{value} mg/cm³")]).encode(),
    "a minus sign": text([HEADER, *lines(lambda value: value.replace("-", "\u2212"))]).encode(),
    "other names of columns": text(
        [["Patient ID", "Study", "BMD [mg/cm³]", "Alter", "Geschlecht"], *lines(sex="weiblich")]
    ).encode(),
}


@pytest.mark.parametrize("content", WRITTEN.values(), ids=WRITTEN)
def test_a_table_is_read_as_it_is_saved(tmp_path: Path, content: bytes) -> None:
    check(read(tmp_path, content), tmp_path)


def check(rows: tuple[CohortRow, ...], folder: Path) -> None:
    assert [row.patient_id for row in rows] == [f"Müller{number}" for number in range(PATIENTS)]
    assert [row.study for row in rows] == [folder / "images" / str(number) for number in range(PATIENTS)]
    assert [row.bmd_mg_cm3 for row in rows] == [float(BMD[number % 4]) for number in range(PATIENTS)]
    assert {(row.age, row.sex) for row in rows} == {(61.0, "F")}
    assert [row.line for row in rows] == list(range(2, PATIENTS + 2))


def test_an_excel_file_is_read(tmp_path: Path) -> None:
    workbook = Workbook()
    assert workbook.active is not None
    workbook.active.append([*HEADER, None])
    for line in lines():
        workbook.active.append([*line[:2], float(line[2]), int(line[3]), line[4]])
    workbook.create_sheet("notes").append(["nothing of interest"])
    workbook.save(tmp_path / "cohort.xlsx")
    check(read_cohort(tmp_path / "cohort.xlsx", THRESHOLDS), tmp_path)


@pytest.mark.parametrize("sex", ["weiblich", "W", "femme", "Female"])
def test_a_sex_is_read_in_several_languages(tmp_path: Path, sex: str) -> None:
    assert {row.sex for row in read(tmp_path, text([HEADER, *lines(sex=sex)]))} == {"F"}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda value: str(float(value) / 40 - 2.5), "looks like T-scores"),
        (lambda value: str((float(value) + 10) / 1000), "looks like g/cm³"),
        (lambda value: f"{value} g/cm3", "in another unit"),
    ],
)
def test_another_quantity_than_the_bmd_is_told(
    tmp_path: Path, change: Callable[[str], str], fault: str
) -> None:
    with pytest.raises(RefusedError, match=fault):
        read(tmp_path, text([HEADER, *lines(change)]))


def test_a_cohort_of_severe_osteoporosis_is_no_table_of_t_scores(tmp_path: Path) -> None:
    low = iter(range(-10, PATIENTS))
    with pytest.raises(RefusedError) as error:
        read(tmp_path, text([HEADER, *lines(lambda _value: str(next(low)))]))
    assert error.value.reasons == (
        "osteoporosis: 0 patients have a BMD at or above 80 mg/cm³, and 10 are needed",
    )


@pytest.mark.parametrize("thresholds", [{}, {Target.OSTEOPOROSIS: 80.0}])
def test_a_table_without_rows_is_told_once(tmp_path: Path, thresholds: dict[Target, float]) -> None:
    (tmp_path / "cohort.csv").write_text("patient_id,study,bmd_mg_cm3\n", encoding="utf-8")
    with pytest.raises(RefusedError, match=r"^the cohort table has no rows below its header$"):
        read_cohort(tmp_path / "cohort.csv", thresholds)
