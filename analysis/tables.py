"""Tables for other programs: columns of equal length, as CSV or Parquet."""

import csv
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

from analysis.domain.reason import quoted
from analysis.errors import RefusedError

__all__ = ["Cell", "Columns", "check_format", "write_table"]

Cell: TypeAlias = "str | float | bool | None"
Columns: TypeAlias = Mapping[str, Sequence[Cell]]

_FORMATS = (".csv", ".parquet")


def check_format(path: Path) -> None:
    """Check that a table can be written to a file of this name, before the work that fills it.

    Raises
    ------
    RefusedError
        If the name ends neither in .csv nor in .parquet, or the library for Parquet is not installed.
    """
    if path.suffix.lower() not in _FORMATS:
        raise RefusedError(quoted(f"{path.name}: a table is written as .csv or .parquet"))
    if path.suffix.lower() == ".parquet":
        try:
            import_module("pyarrow")
        except ImportError as error:
            raise RefusedError(
                quoted(
                    "Parquet needs the optional library pyarrow: `uv sync --extra parquet`; "
                    "a name that ends in .csv needs none"
                )
            ) from error


def write_table(path: Path, columns: Columns) -> None:
    """Write a table.

    In CSV (UTF-8, comma, a header) a number has all its digits, true and false are 1 and 0, and an unknown
    value is an empty cell.

    Parameters
    ----------
    path : Path
        File whose name ends in .csv or .parquet; its folder is created if missing.
    columns : mapping of str to sequence of str, float, bool or None
        The cells by the name of their column, all of one length; None is an unknown value.

    Raises
    ------
    RefusedError
        As `check_format`.
    ValueError
        If the columns have different lengths.
    """
    check_format(path)
    if len({len(cells) for cells in columns.values()}) > 1:
        raise ValueError("the columns of a table have different lengths")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".parquet":
        _write_parquet(path, columns)
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_written(cell) for cell in row] for row in zip(*columns.values(), strict=True))


def _written(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    return str(int(cell)) if isinstance(cell, bool | int) else repr(float(cell))


def _write_parquet(path: Path, columns: Columns) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    types = {str: pa.string(), bool: pa.bool_(), int: pa.int64()}
    arrays = {}
    for name, cells in columns.items():
        # A column without any known value is one of numbers, so that its type does not depend on the cohort.
        kind = next((type(cell) for cell in cells if cell is not None), float)
        arrays[name] = pa.array(cells, type=types.get(kind, pa.float64()))
    parquet.write_table(pa.table(arrays), path)
