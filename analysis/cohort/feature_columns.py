"""The measurements of a cohort as columns for other programs: a row for each patient, or for each body."""

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.cohort.cohort_table import CohortRow
from analysis.cohort.feature_table import SEQUENCES
from analysis.cohort.measure import MeasuredCohort
from analysis.tables import Cell

__all__ = ["BODY_COLUMNS", "PATIENT_COLUMNS", "SERIES_COLUMNS", "body_columns", "patient_columns"]

PATIENT_COLUMNS = {
    "patient_id": ("Identifier of the patient in the cohort table", ""),
    "line": ("Line of the cohort table", ""),
    "bmd_mg_cm3": ("QCT trabecular bone mineral density; empty without a label", "mg/cm3"),
    "age": ("Age, from the cohort table", "a"),
    "sex": ("F or M, from the cohort table", ""),
    "scanner": ("Scanner, from the cohort table", ""),
    "site": ("Site, from the cohort table", ""),
    "simulated": ("1 if the patient is simulated", ""),
    "reasons": ("Why the study or one of its sequences has no features", ""),
    "features_digest": ("SHA-256 of the configuration of the features", ""),
}
"""Meaning and unit (UCUM) of the columns of every table of features that tell of the patient."""

SERIES_COLUMNS = {
    "image_digest": ("SHA-256 of the series, which the results of the node cite, too", ""),
    "against": ("Why a model abstains from this series; if there is a reason, it has no features", ""),
    "vbq": ("Vertebral bone quality score: median signal of L1 to L4 by that of the CSF at L3", "1"),
    "repetition_time_ms": ("Repetition time", "ms"),
    "echo_time_ms": ("Echo time", "ms"),
    "field_strength_t": ("Field strength", "T"),
}
"""Meaning and unit of the columns that tell of a series."""

BODY_COLUMNS = {
    "level": ("Vertebral level", ""),
    "usable": ("1 if the body is good enough to enter a score or a prediction", ""),
    "volume_ml": ("Volume of the mask", "ml"),
    "mean_signal": ("Mean signal, arbitrary units", ""),
    "median_signal": ("Median signal, arbitrary units", ""),
    "sd_signal": ("Standard deviation of the signal, arbitrary units", ""),
    "body_vbq": ("Median signal of the body by that of the CSF at L3", "1"),
}
"""Meaning and unit of the columns that tell of a vertebral body."""


def patient_columns(measured: MeasuredCohort) -> dict[str, list[Cell]]:
    """Return a row for each patient of the cohort table, also for those without any feature.

    The columns are those of `PATIENT_COLUMNS`, then for T1 and T2 those of `SERIES_COLUMNS` and the features,
    each with the sequence in front: "T1_vbq", "T1_original_glcm_Contrast_mean".

    Parameters
    ----------
    measured : MeasuredCohort
        Measured with `in_detail`.
    """
    rows = []
    for row, record in zip(measured.rows, measured.records, strict=True):
        cells = _patient_cells(row, record, measured)
        for name in SEQUENCES:
            series = record["sequences"].get(name, {})
            told = {**_series_cells(series), **series.get("features", {})}
            cells |= {f"{name}_{column}": cell for column, cell in told.items()}
        rows.append(cells)
    first = [*PATIENT_COLUMNS]
    for name in SEQUENCES:
        first += [f"{name}_{column}" for column in SERIES_COLUMNS]
        # Of the records, because the feature table holds no patient without a BMD.
        measurements = [record["sequences"].get(name, {}) for record in measured.records]
        known = {feature for series in measurements for feature in series.get("features", {})}
        first += [f"{name}_{feature}" for feature in sorted(known)]
    return _columns(first, rows)


def body_columns(measured: MeasuredCohort) -> dict[str, list[Cell]]:
    """Return a row for each lumbar body of each analysed series.

    The columns are those of `PATIENT_COLUMNS`, "sequence", those of `SERIES_COLUMNS` and `BODY_COLUMNS`, and
    the features by the names of the image and of pyradiomics: "original_glcm_Contrast". A body that is not
    usable has no features. Studies and series without an analysis have no row.

    Parameters
    ----------
    measured : MeasuredCohort
        Measured with `in_detail`.
    """
    rows = []
    for row, record in zip(measured.rows, measured.records, strict=True):
        patient = _patient_cells(row, record, measured)
        for name, series in record["sequences"].items():
            told = {**patient, "sequence": name, **_series_cells(series)}
            rows += [{**told, **cells} for cells in _bodies(series)]
    features = sorted({name for row in rows for name in row} - _KNOWN)
    return _columns([*PATIENT_COLUMNS, "sequence", *SERIES_COLUMNS, *BODY_COLUMNS, *features], rows)


_KNOWN = {*PATIENT_COLUMNS, "sequence", *SERIES_COLUMNS, *BODY_COLUMNS}


def _patient_cells(row: CohortRow, record: Mapping[str, Any], measured: MeasuredCohort) -> dict[str, Cell]:
    return {
        "patient_id": row.patient_id,
        "line": row.line,
        "bmd_mg_cm3": row.bmd_mg_cm3,
        "age": row.age,
        "sex": row.sex,
        "scanner": row.scanner or None,
        "site": row.site or None,
        "simulated": row.simulated,
        "reasons": "; ".join(record["reasons"]) or None,
        "features_digest": measured.table.features_digest,
    }


def _series_cells(series: Mapping[str, Any]) -> dict[str, Cell]:
    against = "; ".join(series.get("against", ())) or None
    return {column: series.get(column) for column in SERIES_COLUMNS} | {"against": against}


def _bodies(series: Mapping[str, Any]) -> Iterator[dict[str, Cell]]:
    for body in series["bodies"]:
        told = {column: body.get(column) for column in BODY_COLUMNS} | {"body_vbq": body["vbq"]}
        yield {**told, **body["features"]}


def _columns(names: list[str], rows: list[dict[str, Cell]]) -> dict[str, list[Cell]]:
    return {name: [row.get(name) for row in rows] for name in names}
