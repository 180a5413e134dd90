"""The record of a measured study: JSON values from which the feature table is assembled."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.cohort.cohort_table import CohortRow
from analysis.cohort.feature_table import SEQUENCES, FeatureTable, SequenceTable
from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Findings, LevelMeasurements, Refusal, SeriesFindings
from analysis.domain.reason import Reason, quoted
from analysis.errors import AnalysisError, RefusedError
from analysis.prediction.series_check import objections_to_pair, objections_to_series
from analysis.settings import AnalysisSettings

__all__ = ["Repeat", "StudyRecord", "detailed", "findings_record", "refusal_record", "table_of", "useful"]

Repeat = Callable[[SeriesFindings], Mapping[str, float]]
StudyRecord = dict[str, Any]
"""JSON object with "sequences" by name (each "features", "repeated", "vbq" and protocol) and "reasons".

A detailed record, which earlier versions did not write, has also "codes" (those of the reasons, in their
order), "pair_against" (the reasons against reading T1 and T2 together, by code and sentence) and for each
sequence "image_digest", "against" (the reasons for which a model abstains) and "bodies".
"""


def useful(record: StudyRecord) -> bool:
    """Tell whether the record holds features of any sequence."""
    return any(sequence["features"] for sequence in record["sequences"].values())


def detailed(record: Mapping[str, Any]) -> bool:
    """Tell whether the record holds all that the records of this version hold."""
    return {"codes", "pair_against"} <= record.keys()


def refusal_record(refusal: Refusal) -> StudyRecord:
    """Return the record of a study that was refused."""
    series = [reason for one in refusal.series for reason in one.reasons]
    return _record({}, list(dict.fromkeys([*refusal.reasons, *series])))


def _record(
    sequences: dict[str, Any], reasons: Sequence[Reason], pair_against: Sequence[Reason] = ()
) -> StudyRecord:
    return {
        "sequences": sequences,
        "reasons": list(reasons),
        "codes": [reason.code for reason in reasons],
        "pair_against": [[reason.code, reason] for reason in pair_against],
    }


def findings_record(findings: Findings, repeat: Repeat | None, settings: AnalysisSettings) -> StudyRecord:
    """Return the record of a study; series for which a model would abstain have no features."""
    sequences: dict[str, Any] = {}
    reasons: list[Reason] = []
    for name in SEQUENCES:
        found = findings.of(Contrast(name))
        if found is None:
            reasons.append(quoted(f"no usable {name} series"))
            continue
        # No model may learn from a series for which it would abstain.
        against = tuple(objections_to_series(found, name, settings))
        reasons += against
        facts = found.source.facts
        repeated, faults = ({}, ()) if against else _repeated(found, repeat)
        reasons += faults
        sequences[name] = {
            "features": {} if against else found.patient_features,
            "repeated": repeated,
            "vbq": found.bone_quality.score,
            "repetition_time_ms": facts.repetition_time_ms,
            "echo_time_ms": facts.echo_time_ms,
            "field_strength_t": facts.field_strength_t,
            "vendor": facts.vendor,
            "image_digest": found.source.digest,
            "against": list(against),
            "bodies": [_body(found, body) for body in found.measurements],
        }
    first, second = (findings.of(Contrast(name)) for name in SEQUENCES)
    pair = () if first is None or second is None else tuple(objections_to_pair(first, second))
    return _record(sequences, reasons, pair)


def _body(found: SeriesFindings, body: LevelMeasurements) -> dict[str, Any]:
    return {
        "level": body.level.name,
        "usable": any(region.level is body.level for region in found.segmentation.usable_lumbar),
        "volume_ml": body.volume_ml,
        "mean_signal": body.mean_signal,
        "median_signal": body.median_signal,
        "sd_signal": body.sd_signal,
        "vbq": body.vbq,
        "features": body.features,
    }


def _repeated(found: SeriesFindings, repeat: Repeat | None) -> tuple[dict[str, float], tuple[Reason, ...]]:
    """Return the second measurement of a series, and why there is none."""
    if repeat is None or not found.patient_features:
        return {}, ()
    try:
        return dict(repeat(found)), ()
    except RefusedError as error:
        name = found.identification.contrast.value
        return {}, tuple(quoted(f"{name} is not measured again: {reason}") for reason in error.reasons)


def table_of(
    rows: Sequence[CohortRow], records: Sequence[Mapping[str, Any]], settings: AnalysisSettings
) -> FeatureTable:
    """Assemble a feature table from one record per row, each of a patient with a BMD."""
    sequences = [record["sequences"] for record in records]
    return FeatureTable(
        patient_ids=tuple(row.patient_id for row in rows),
        bmd_mg_cm3=_column([row.bmd_mg_cm3 for row in rows]),
        age=_column([row.age for row in rows]),
        female=_column([None if row.sex is None else float(row.sex == "F") for row in rows]),
        sequences={name: _sequence([one.get(name, {}) for one in sequences]) for name in SEQUENCES},
        features_digest=settings.features.digest(),
        simulated=any(row.simulated for row in rows),
        apart=np.array([bool(record["pair_against"]) for record in records], dtype=np.bool_)
        if all(map(detailed, records))
        else None,
        two_readers=any(row.second_masks for row in rows),
    )


def _sequence(records: Sequence[Mapping[str, Any]]) -> SequenceTable:
    names = sorted({name for record in records for name in record.get("features", {})})
    return SequenceTable(
        names=tuple(names),
        values=_matrix([record.get("features", {}) for record in records], names),
        repeated=_matrix([record.get("repeated", {}) for record in records], names),
        vbq=_column([record.get("vbq") for record in records]),
        repetition_time_ms=_column([record.get("repetition_time_ms") for record in records]),
        echo_time_ms=_column([record.get("echo_time_ms") for record in records]),
        field_strength_t=_column([record.get("field_strength_t") for record in records]),
    )


def _matrix(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> npt.NDArray[np.float64]:
    matrix = np.full((len(rows), len(names)), np.nan)
    for index, row in enumerate(rows):
        if row and set(row) != set(names):
            raise AnalysisError(
                "studies of one cohort have different features; was the configuration changed?"
            )
        if row:
            matrix[index] = [row[name] for name in names]
    return matrix


def _column(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
