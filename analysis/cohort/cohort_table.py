"""The cohort table that a site writes: the patients, their MR studies, and their QCT BMD."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path, PureWindowsPath
from statistics import median

from analysis.cohort.cells import read_cells
from analysis.domain.findings import Target
from analysis.domain.reason import quoted
from analysis.errors import RefusedError

__all__ = ["COLUMNS", "REQUIRED_COLUMNS", "CohortRow", "read_cohort"]

REQUIRED_COLUMNS = ("patient_id", "study", "bmd_mg_cm3")
_FIRST = {"T1": "t1_mask", "T2": "t2_mask"}
_SECOND = {"T1": "t1_second_mask", "T2": "t2_second_mask"}
_MASKS = (*_FIRST.values(), *_SECOND.values())
COLUMNS = (*REQUIRED_COLUMNS, "age", "sex", "scanner", "site", "simulated", *_MASKS)
"""The columns that are read; others are ignored."""

_BMD_RANGE = (-100.0, 500.0)  # mg/cm³; fat has a lower CT number than water, so BMD can be negative
_AGE_RANGE = (0.0, 120.0)
_WOMEN = ("f", "female", "w", "woman", "weiblich", "frau", "femme", "féminin", "feminin", "mujer", "femenino")
_MEN = ("m", "male", "man", "männlich", "maennlich", "mann", "homme", "masculin", "hombre", "masculino")
_SEXES = {"": None} | dict.fromkeys(_WOMEN, "F") | dict.fromkeys(_MEN, "M")
_TRUTHS = {"": False, "0": False, "no": False, "false": False, "1": True, "yes": True, "true": True}
_UNITS = {"bmd_mg_cm3": ("mg/cm3", "mg/cm³", "mg/cc", "mg/ml"), "age": ("y", "yr", "years", "j", "jahre")}
_OTHER_UNITS = {"bmd_mg_cm3": ("g/cm3", "g/cm³", "g/cm2", "g/cm²", "g/ml")}
_LINES_NAMED = 8
_FEWEST_TO_JUDGE = 5
_LARGEST_T_SCORE, _LARGEST_G_CM3 = 8.0, 3.0


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
    masks : mapping of str to Path or None
        The mask that a reader drew on T1 and on T2. None where the cell is empty; without an entry where the
        table has no such column.
    second_masks : mapping of str to Path or None
        The same of a second reader.
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
    masks: Mapping[str, Path | None] = field(default_factory=dict)
    second_masks: Mapping[str, Path | None] = field(default_factory=dict)


def read_cohort(
    path: Path, thresholds_mg_cm3: Mapping[Target, float], minimum_per_class: int = 10
) -> tuple[CohortRow, ...]:
    """Read a cohort table, or report all of its faults at once.

    Parameters
    ----------
    path : Path
        CSV or Excel with a header (see `analysis.cohort.cells`); paths of studies are relative to its folder,
        and may be written as Windows does.
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
    cells = read_cells(path, set(COLUMNS))
    needed = REQUIRED_COLUMNS if thresholds_mg_cm3 else REQUIRED_COLUMNS[:2]
    if header_faults := tuple(_header_faults(cells.header, needed)):
        raise RefusedError(*map(quoted, header_faults))
    if not cells.lines:
        raise RefusedError(quoted("the cohort table has no rows below its header"))
    faults = _Faults()
    found = [_row(number, cells.header, line, path.parent, faults) for number, line in cells.lines]
    rows = tuple(row for row in found if row is not None)
    told = [*faults.in_words(), *_repetitions(rows), *_masks_twice(rows), *_other_units(rows)]
    if not told:  # lines with faults are not in `rows`, so the counts would be wrong
        told += _small_classes(rows, thresholds_mg_cm3, minimum_per_class)
    if told:
        raise RefusedError(*map(quoted, told))
    return rows


@dataclass(slots=True)
class _Faults:
    """The faults of single lines: one for each kind, with its lines and its first example."""

    _lines: dict[str, list[int]] = field(default_factory=dict)
    _examples: dict[str, str] = field(default_factory=dict)

    def add(self, line: int, fault: str, example: str = "") -> None:
        self._lines.setdefault(fault, []).append(line)
        self._examples.setdefault(fault, example and f": {example}")

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def in_words(self) -> Iterator[str]:
        for fault, lines in self._lines.items():
            yield f"{_lines_in_words(lines)}: {fault}{self._examples[fault]}"


def _lines_in_words(lines: Sequence[int]) -> str:
    """Name lines, but no more than a few.

    >>> _lines_in_words([3]), _lines_in_words([3, 5]), _lines_in_words(range(2, 100))
    ('line 3', 'lines 3, 5', 'lines 2, 3, 4, 5, 6, 7, 8, 9 and 90 more')
    """
    named = ", ".join(map(str, lines[:_LINES_NAMED]))
    more = len(lines) - _LINES_NAMED
    return f"line{'s' if len(lines) > 1 else ''} {named}" + (f" and {more} more" if more > 0 else "")


def _header_faults(header: Sequence[str], needed: Sequence[str]) -> Iterator[str]:
    missing = [name for name in needed if name not in header]
    if missing:
        yield f"the cohort table lacks the columns {', '.join(missing)}"
    for name in COLUMNS:
        if header.count(name) > 1:
            yield f"the cohort table has {header.count(name)} columns called {name}"
    for first, second in zip(_FIRST.values(), _SECOND.values(), strict=True):
        if second in header and first not in header:
            yield f"the cohort table has a column {second}, but no {first}"


def _row(
    line: int, header: Sequence[str], cells: Sequence[str], folder: Path, faults: _Faults
) -> CohortRow | None:
    """Read one line, or add its faults to `faults` and return None."""
    if len(cells) != len(header):
        faults.add(line, f"{len(cells)} cells under {len(header)} columns")
        return None
    cell = dict(zip(header, cells, strict=True))
    before = len(faults)
    if not cell["patient_id"]:
        faults.add(line, "no patient_id")
    study = _path(folder, cell["study"])
    if not cell["study"] or not study.exists():
        faults.add(line, "the study is not there")
    bmd = _number(line, "bmd_mg_cm3", cell.get("bmd_mg_cm3", ""), _BMD_RANGE, faults)
    age = _number(line, "age", cell.get("age", ""), _AGE_RANGE, faults)
    sex, simulated = cell.get("sex", "").lower(), cell.get("simulated", "").lower()
    if sex not in _SEXES:
        faults.add(line, "sex is neither F nor M nor empty")
    if simulated not in _TRUTHS:
        faults.add(line, "simulated is neither yes nor no nor empty")
    masks, second_masks = (_mask_paths(line, cell, names, folder, faults) for names in (_FIRST, _SECOND))
    if len(faults) > before:
        return None
    return CohortRow(
        line=line,
        patient_id=cell["patient_id"],
        study=study,
        bmd_mg_cm3=bmd,
        age=age,
        sex=_SEXES[sex],
        scanner=cell.get("scanner", ""),
        site=cell.get("site", ""),
        simulated=_TRUTHS[simulated],
        masks=masks,
        second_masks=second_masks,
    )


def _mask_paths(
    line: int, cell: Mapping[str, str], names: Mapping[str, str], folder: Path, faults: _Faults
) -> dict[str, Path | None]:
    paths: dict[str, Path | None] = {}
    for sequence, name in names.items():
        if name in cell:
            paths[sequence] = path = _path(folder, cell[name]) if cell[name] else None
            if path is not None and not path.is_file():
                faults.add(line, f"the file of {name} is not there")
    return paths


def _path(folder: Path, written: str) -> Path:
    """Return the path of a study; one with backslashes is read as Windows writes it, if it is not there."""
    path = folder / written.strip('"')
    if "\\" in written and not path.exists():
        return folder.joinpath(*PureWindowsPath(written.strip('"')).parts)
    return path


def _number(line: int, column: str, text: str, limits: tuple[float, float], faults: _Faults) -> float | None:
    if not text:
        return None
    try:
        value = float(_plain(text, _UNITS[column]))
    except ValueError:
        other_unit = column in _OTHER_UNITS and text.lower().endswith(_OTHER_UNITS[column])
        faults.add(line, f"{column} is in another unit" if other_unit else f"{column} is not a number")
        return None
    if not isfinite(value):
        faults.add(line, f"{column} is not finite")
    elif not limits[0] <= value <= limits[1]:
        faults.add(line, f"{column} is not plausible ({limits[0]:g} to {limits[1]:g})", f"{value:g}")
    else:
        return value
    return None


def _plain(text: str, units: Sequence[str]) -> str:
    """Return a number as Python reads it.

    >>> _plain("112,5 mg/cm³", _UNITS["bmd_mg_cm3"])
    '112.5'
    """
    number = text.replace("\N{MINUS SIGN}", "-")
    for unit in units:
        if number.lower().endswith(unit):
            number = number[: -len(unit)].rstrip()
            break
    return number.replace(",", ".") if re.fullmatch(r"[-+]?\d+,\d+", number) else number


def _repetitions(rows: Sequence[CohortRow]) -> Iterator[str]:
    patients, studies = defaultdict(list), defaultdict(list)
    for row in rows:
        patients[row.patient_id.casefold()].append(row.line)
        studies[row.study.resolve()].append(row.line)
    for what, found in (("patient", patients), ("study", studies)):
        for lines in found.values():
            if len(lines) > 1:
                yield f"{_lines_in_words(lines)}: the same {what}"


def _masks_twice(rows: Sequence[CohortRow]) -> Iterator[str]:
    """Tell of masks that stand for two patients or two readers; one may serve T1 and T2 of a patient."""
    users = defaultdict(list)
    for row in rows:
        first, second = (
            {path.resolve() for path in one.values() if path} for one in (row.masks, row.second_masks)
        )
        if first & second:
            yield f"line {row.line}: both readers have the same mask"
        for path in first | second:
            users[path].append(row.line)
    for lines in users.values():
        if len(lines) > 1:
            yield f"{_lines_in_words(lines)}: the same mask"


def _other_units(rows: Sequence[CohortRow]) -> Iterator[str]:
    """Tell if the values of the BMD are those of another quantity.

    The largest trabecular BMD of a cohort is beyond 8 mg/cm³ even if all are osteoporotic.
    """
    known = [row.bmd_mg_cm3 for row in rows if row.bmd_mg_cm3 is not None]
    if len(known) < _FEWEST_TO_JUDGE:
        return
    middle = f"from {min(known):g} to {max(known):g}, median {median(known):g}"
    if min(known) > 0 and max(known) <= _LARGEST_G_CM3:
        yield f"bmd_mg_cm3 ({middle}) looks like g/cm³ or g/cm²; it is the trabecular BMD by QCT in mg/cm³"
    elif max(map(abs, known)) <= _LARGEST_T_SCORE:
        yield f"bmd_mg_cm3 ({middle}) looks like T-scores; it is the trabecular BMD by QCT in mg/cm³"


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
