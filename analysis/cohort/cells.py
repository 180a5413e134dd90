"""The cells of a table as people save it: CSV with comma, semicolon or tab, or Excel."""

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from analysis.domain.reason import quoted
from analysis.errors import RefusedError

__all__ = ["Cells", "Row", "column_name", "read_cells", "read_rows"]

Row: TypeAlias = tuple[int, Sequence[str]]
_SEPARATORS = (",", ";", "\t")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_EXCEL = (".xlsx", ".xlsm")
_SYNONYMS: Mapping[str, str] = MappingProxyType({
    "patient": "patient_id", "patientid": "patient_id", "patienten_id": "patient_id", "pat_id": "patient_id",
    "study_path": "study", "folder": "study", "path": "study",
    "bmd": "bmd_mg_cm3", "bmd_mg_ml": "bmd_mg_cm3", "vbmd_mg_cm3": "bmd_mg_cm3", "qct_mg_cm3": "bmd_mg_cm3",
    "alter": "age", "age_years": "age", "geschlecht": "sex", "gender": "sex",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cells:
    """The text of a table.

    Attributes
    ----------
    header : tuple of str
        Names of the columns, as `column_name` gives them.
    lines : tuple of (int, tuple of str)
        Line in the file, with the header as line 1, and its cells without space around them. Empty lines are
        left out.
    """

    header: tuple[str, ...]
    lines: tuple[tuple[int, tuple[str, ...]], ...]


def read_cells(path: Path, expected: AbstractSet[str]) -> Cells:
    """Read the first sheet of an Excel file, or a CSV file.

    Parameters
    ----------
    path : Path
        `.xlsx` and `.xlsm` are read as Excel, all others as text: UTF-8, UTF-16 with a byte order mark, or
        else Windows-1252.
    expected : set of str
        Names of columns; the separator that yields most of them is taken.

    Returns
    -------
    Cells

    Raises
    ------
    RefusedError
        If the file cannot be read, or is not such a table.
    """
    return _cells(read_rows(path, lambda line, separator: len(expected & _names(line, separator))))


def read_rows(path: Path, worth: Callable[[str, str], Any]) -> tuple[Row, ...]:
    """Read the rows of the first sheet of an Excel file, or of a CSV file, whatever its first row is.

    Parameters
    ----------
    path : Path
        As for `read_cells`.
    worth : callable
        From the first line of a text and a separator to how well they fit; the best separator is taken.

    Returns
    -------
    tuple of (int, sequence of str)
        The line in the file and the cells, as they are written.

    Raises
    ------
    RefusedError
        As for `read_cells`.
    """
    try:
        if path.suffix.lower() in _EXCEL:
            return _of_excel(path)
        return _of_text(path.read_bytes(), worth)
    except OSError as error:
        raise RefusedError(quoted(f"the cohort table cannot be read: {error.strerror}")) from error


def column_name(written: str) -> str:
    """Return the name of a column in the way of our tables.

    Examples
    --------
    >>> column_name("BMD [mg/cm³]"), column_name(" Patient-ID"), column_name("Geschlecht")
    ('bmd_mg_cm3', 'patient_id', 'sex')
    """
    name = re.sub(r"\W+", "_", written.strip().lower().replace("³", "3")).strip("_")
    return _SYNONYMS.get(name, name)


def _of_text(content: bytes, worth: Callable[[str, str], Any]) -> tuple[Row, ...]:
    text = _decoded(content)
    first = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=lambda one: worth(first, one))
    try:
        reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
        return tuple((reader.line_num, cells) for cells in reader)
    except csv.Error as error:
        raise RefusedError(quoted(f"the cohort table is not valid CSV: {error}")) from error


def _names(line: str, separator: str) -> set[str]:
    return {column_name(cell.strip('"')) for cell in line.split(separator)}


def _decoded(content: bytes) -> str:
    if content.startswith(_UTF_16):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _of_excel(path: Path) -> tuple[Row, ...]:
    workbook = _opened(path)
    try:
        sheet = workbook.worksheets[0]
        rows = enumerate(sheet.iter_rows(values_only=True), start=1)
        return tuple((number, [_written(value) for value in row]) for number, row in rows)
    finally:
        workbook.close()


def _opened(path: Path) -> Any:  # noqa: ANN401 - openpyxl is imported late
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise RefusedError(
            quoted(
                "Excel files need the optional library openpyxl: `uv sync --extra excel`; or save it as CSV"
            )
        ) from error
    try:
        return load_workbook(path, data_only=True)
    except OSError:
        raise
    except Exception as error:
        raise RefusedError(quoted("the cohort table is not a valid Excel file")) from error


def _written(value: object) -> str:
    """Return the text of a cell; a whole number has no decimals, as a person reads it in the sheet."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _cells(rows: Iterable[Row]) -> Cells:
    """Take the first row as header; cells beyond its last name count only if something is in them."""
    stripped = ((number, [cell.strip() for cell in row]) for number, row in rows)
    _, names = next(stripped, (0, []))
    width = max((number for number, name in enumerate(names, start=1) if name), default=0)
    lines = tuple((number, tuple(_of_width(row, width))) for number, row in stripped if any(row))
    return Cells(tuple(map(column_name, names[:width])), lines)


def _of_width(row: list[str], width: int) -> list[str]:
    """Cut off the empty cells beyond the header, as spreadsheets write them."""
    while len(row) > width and not row[-1]:
        row = row[:-1]
    return row
