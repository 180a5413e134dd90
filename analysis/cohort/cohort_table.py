"""The cohort table that a site writes: the patients, their MR studies, and their QCT BMD."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from analysis.domain.findings import Target
from analysis.domain.reason import quoted
from analysis.errors import RefusedError

__all__ = ["COLUMNS", "REQUIRED_COLUMNS", "CohortRow", "read_cohort"]

REQUIRED_COLUMNS = ("patient_id", "study", "bmd_mg_cm3")
COLUMNS = (*REQUIRED_COLUMNS, "age", "sex", "scanner", "site", "simulated")
"""The columns that are read; others are ignored."""

_BMD_RANGE = (-100.0, 500.0)  # mg/cm³; fat has a lower CT number than water, so BMD can be negative
_AGE_RANGE = (0.0, 120.0)
_SEXES = {"f": "F", "female": "F", "w": "F", "woman": "F", "m": "M", "male": "M", "man": "M", "": None}
_TRUTHS = {"": False, "0": False, "no": False, "false": False, "1": True, "yes": True, "true": True}


@dataclass(frozen=True, slots=True)
class CohortRow:
    """One patient of the cohort.

    Attributes
    ----------
    line : int
        Line in the table, with the header as line 1. Faults name the line, because an identifier is patient
        data.
    patient_id : str
        Unique identifier.
    study : Path
        Folder or file of the MR study.
    bmd_mg_cm3 : float or None
        QCT trabecular bone mineral density; None for a patient without a label.
    age : float or None
        Age in years.
    sex : str or None
        "F" or "M".
    scanner, site : str
        Empty if unknown.
    simulated : bool
        Whether the patient is simulated.
    """

    line: int
    patient_id: str
    study: Path
    bmd_mg_cm3: float | None
    age: float | None = None
    sex: str | None = None
    scanner: str = ""
    site: str = ""
    simulated: bool = False


def read_cohort(
    path: Path, thresholds_mg_cm3: Mapping[Target, float], minimum_per_class: int = 10
) -> tuple[CohortRow, ...]:
    """Read a cohort table, or report all of its faults at once.

    Parameters
    ----------
    path : Path
        CSV in UTF-8 with a header; paths of studies are relative to its folder.
    thresholds_mg_cm3 : mapping of Target to float
        QCT BMD below which a target is present. Without any, the table needs no column of the BMD.
    minimum_per_class : int
        Smallest number of patients with, and without, each target.

    Returns
    -------
    tuple of CohortRow
        The rows in the order of the table. A patient whose cell of the BMD is empty has no label.

    Raises
    ------
    RefusedError
        With one reason for every fault, by line number.
    """
    header, lines = _lines(path)
    needed = REQUIRED_COLUMNS if thresholds_mg_cm3 else REQUIRED_COLUMNS[:2]
    faults = list(_header_faults(header, needed))
    if faults:
        raise RefusedError(*map(quoted, faults))
    rows: list[CohortRow] = []
    for number, cells in lines:
        row = _row(number, header, cells, path.parent, faults)
        if row is not None:
            rows.append(row)
    faults += _repetitions(rows)
    if not faults:  # lines with faults are not in `rows`, so the counts would be wrong
        faults += _small_classes(rows, thresholds_mg_cm3, minimum_per_class)
    if faults:
        raise RefusedError(*map(quoted, faults))
    return tuple(rows)


def _lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip().lower() for name in next(reader, [])]
            return header, [
                (reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)
            ]
    except OSError as error:
        raise RefusedError(quoted(f"the cohort table cannot be read: {error.strerror}")) from error
    except UnicodeDecodeError as error:
        raise RefusedError(quoted("the cohort table is not UTF-8 text")) from error
    except csv.Error as error:
        raise RefusedError(quoted(f"the cohort table is not valid CSV: {error}")) from error


def _header_faults(header: Sequence[str], needed: Sequence[str]) -> Iterator[str]:
    missing = [name for name in needed if name not in header]
    if missing:
        yield f"the cohort table lacks the columns {', '.join(missing)}"
    for name in COLUMNS:
        if header.count(name) > 1:
            yield f"the cohort table has {header.count(name)} columns called {name}"


def _row(
    number: int, header: Sequence[str], cells: Sequence[str], folder: Path, faults: list[str]
) -> CohortRow | None:
    """Read one line, or add its faults to `faults` and return None."""
    if len(cells) != len(header):
        faults.append(f"line {number}: {len(cells)} cells under {len(header)} columns")
        return None
    cell = dict(zip(header, (value.strip() for value in cells), strict=True))
    before = len(faults)
    if not cell["patient_id"]:
        faults.append(f"line {number}: no patient_id")
    study = folder / cell["study"]
    if not cell["study"] or not study.exists():
        faults.append(f"line {number}: the study is not there")
    bmd = _number(number, "bmd_mg_cm3", cell.get("bmd_mg_cm3", ""), _BMD_RANGE, faults)
    age = _number(number, "age", cell.get("age", ""), _AGE_RANGE, faults)
    sex, simulated = cell.get("sex", "").lower(), cell.get("simulated", "").lower()
    if sex not in _SEXES:
        faults.append(f"line {number}: sex is neither F nor M nor empty")
    if simulated not in _TRUTHS:
        faults.append(f"line {number}: simulated is neither yes nor no nor empty")
    if len(faults) > before:
        return None
    return CohortRow(
        line=number,
        patient_id=cell["patient_id"],
        study=study,
        bmd_mg_cm3=bmd,
        age=age,
        sex=_SEXES[sex],
        scanner=cell.get("scanner", ""),
        site=cell.get("site", ""),
        simulated=_TRUTHS[simulated],
    )


def _number(
    line: int, column: str, text: str, limits: tuple[float, float], faults: list[str]
) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        faults.append(f"line {line}: {column} is not a number")
        return None
    if not isfinite(value):
        faults.append(f"line {line}: {column} is not finite")
    elif not limits[0] <= value <= limits[1]:
        faults.append(f"line {line}: {column} of {value:g} is not plausible ({limits[0]:g} to {limits[1]:g})")
    else:
        return value
    return None


def _repetitions(rows: Sequence[CohortRow]) -> Iterator[str]:
    patients, studies = defaultdict(list), defaultdict(list)
    for row in rows:
        patients[row.patient_id.casefold()].append(row.line)
        studies[row.study.resolve()].append(row.line)
    for what, found in (("patient", patients), ("study", studies)):
        for lines in found.values():
            if len(lines) > 1:
                yield f"lines {', '.join(map(str, lines))}: the same {what}"


def _small_classes(
    rows: Sequence[CohortRow], thresholds_mg_cm3: Mapping[Target, float], minimum: int
) -> Iterator[str]:
    known = [row.bmd_mg_cm3 for row in rows if row.bmd_mg_cm3 is not None]
    for target, threshold in thresholds_mg_cm3.items():
        present = sum(bmd < threshold for bmd in known)
        for count, word in ((present, "below"), (len(known) - present, "at or above")):
            if count < minimum:
                yield (
                    f"{target.value}: {count} patients have a BMD {word} {threshold:g} mg/cm³, "
                    f"and {minimum} are needed"
                )
