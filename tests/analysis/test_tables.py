import csv
import sys
from pathlib import Path

import pytest

from analysis.errors import RefusedError
from analysis.tables import Cell, check_format, write_table

COLUMNS: dict[str, list[Cell]] = {
    "patient_id": ["007", "a,b"],
    "value": [0.1 + 0.2, None],
    "present": [True, False],
    "nothing": [None, None],
    "line": [2, 3],
}


def test_a_csv_holds_every_digit_and_an_unknown_value_is_an_empty_cell(tmp_path: Path) -> None:
    write_table(tmp_path / "new" / "table.csv", COLUMNS)
    with (tmp_path / "new" / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["patient_id", "value", "present", "nothing", "line"],
        ["007", "0.30000000000000004", "1", "", "2"],
        ["a,b", "", "0", "", "3"],
    ]


def test_a_parquet_file_holds_the_same_with_types(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_table(tmp_path / "table.parquet", COLUMNS)
    read = parquet.read_table(tmp_path / "table.parquet")
    assert read.to_pydict() == COLUMNS
    types = {field.name: str(field.type) for field in read.schema}
    assert types == {
        "patient_id": "string",
        "value": "double",
        "present": "bool",
        "nothing": "double",
        "line": "int64",
    }


def test_without_the_library_parquet_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RefusedError, match="uv sync --extra parquet"):
        check_format(Path("features.parquet"))
    check_format(Path("features.csv"))


def test_another_format_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"features\.xlsx: a table is written as \.csv or \.parquet"):
        check_format(Path("features.xlsx"))


def test_columns_of_different_lengths_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="different lengths"):
        write_table(tmp_path / "table.csv", {"a": [1.0], "b": []})
