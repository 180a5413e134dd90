"""The features of a cohort as a table for statistics programs, and the dictionary of its columns."""

from collections.abc import Iterator
from pathlib import Path

from analysis.cohort.feature_columns import (
    BODY_COLUMNS,
    PATIENT_COLUMNS,
    SERIES_COLUMNS,
    body_columns,
    patient_columns,
)
from analysis.cohort.feature_table import SEQUENCES
from analysis.cohort.measure import MeasuredCohort
from analysis.tables import Cell, check_format, write_table
from dicom_templates.codes.radiomics import radiomic_code, radiomic_unit

__all__ = ["check_format", "write_features"]

_AGGREGATIONS = {"mean": "mean over the usable bodies", "sd": "standard deviation over the usable bodies"}


def write_features(measured: MeasuredCohort, out: Path, *, by_body: bool) -> tuple[Path, Path]:
    """Write the features of a cohort, and beside them what each column means.

    Parameters
    ----------
    measured : MeasuredCohort
        Measured with `in_detail`.
    out : Path
        File of the table, .csv or .parquet.
    by_body : bool
        Whether a row is a vertebral body of a series instead of a patient.

    Returns
    -------
    tuple of two Path
        The table, and the dictionary (its name is that of the table with `.columns.csv` added): column,
        meaning, image, feature, aggregation, unit (UCUM) and code of the IBSI.

    Raises
    ------
    RefusedError
        If a table cannot be written to a file of this name.
    """
    columns = body_columns(measured) if by_body else patient_columns(measured)
    write_table(out, columns)
    # With the ending: a table of patients and one of bodies may differ by it only.
    dictionary = out.with_name(f"{out.name}.columns.csv")
    entries = [_entry(column, by_body=by_body) for column in columns]
    write_table(dictionary, {key: [entry[key] for entry in entries] for key in entries[0]})
    return out, dictionary


def _entry(column: str, *, by_body: bool) -> dict[str, Cell]:
    known = dict(_plain_columns(by_body=by_body))
    if column in known:
        meaning, unit = known[column]
        return _described(column, meaning=meaning, unit=unit)
    sequence, feature, aggregation = None, column, None
    if not by_body:
        sequence, _, rest = column.partition("_")
        feature, _, aggregation = rest.rpartition("_")
    image, _, name = feature.partition("_")
    code = radiomic_code(feature)
    return _described(
        column,
        meaning=code.meaning,
        unit=radiomic_unit(feature).value,
        sequence=sequence,
        image=image,
        feature=name,
        aggregation=_AGGREGATIONS[aggregation] if aggregation else None,
        # The code means the feature of one body on the unfiltered image.
        ibsi_code=code.value if code.scheme_designator == "IBSI" else None,
    )


def _described(column: str, **told: Cell) -> dict[str, Cell]:
    keys = ("meaning", "unit", "sequence", "image", "feature", "aggregation", "ibsi_code")
    return {"column": column, **{key: told.get(key) or None for key in keys}}


def _plain_columns(*, by_body: bool) -> Iterator[tuple[str, tuple[str, str]]]:
    yield from PATIENT_COLUMNS.items()
    if by_body:
        yield "sequence", ("T1 or T2", "")
        yield from SERIES_COLUMNS.items()
        yield from BODY_COLUMNS.items()
    else:
        for name in SEQUENCES:
            yield from ((f"{name}_{column}", told) for column, told in SERIES_COLUMNS.items())
