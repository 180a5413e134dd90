"""Facts of 297 real series of public repositories (column `source`), labelled by hand."""

import csv
from pathlib import Path

from analysis.domain.acquisition import AcquisitionFacts, Contrast

__all__ = ["WEIGHTED", "labelled_headers", "stripped"]

WEIGHTED = {Contrast.T1, Contrast.T2}
"""The contrasts that may be analysed."""


def _number(text: str) -> float | None:
    return float(text) if text else None


def _numbers(text: str) -> tuple[float, ...] | None:
    return tuple(float(part) for part in text.split("\\")) if text else None


def _codes(text: str) -> tuple[str, ...]:
    return tuple(text.split("\\")) if text else ()


def _facts(row: dict[str, str]) -> AcquisitionFacts:
    length = _number(row["ETL"])
    return AcquisitionFacts(
        repetition_time_ms=_number(row["TR"]),
        echo_time_ms=_number(row["TE"]),
        inversion_time_ms=_number(row["TI"]),
        echo_train_length=None if length is None else int(length),
        flip_angle_deg=_number(row["FA"]),
        scanning_sequence=_codes(row["scanning_sequence"]),
        sequence_variant=_codes(row["sequence_variant"]),
        scan_options=_codes(row["scan_options"]),
        image_type=_codes(row["image_type"]),
        acquisition_type=row["acquisition_type"],
        field_strength_t=_number(row["field_strength"]),
        vendor=row["vendor"],
        model=row["model"],
        body_part=row["body_part"],
        series_description=row["series_description"],
        protocol_name=row["protocol_name"],
        sequence_name=row["sequence_name"],
        orientation=_numbers(row["orientation"]),  # type: ignore[arg-type]  # six numbers or nothing in the table
        rows=int(row["rows"] or 0),
        columns=int(row["columns"] or 0),
        slices=int(row["slices"]),
        pixel_spacing_mm=_numbers(row["pixel_spacing"]),  # type: ignore[arg-type]  # two numbers or nothing
        slice_spacing_mm=_number(row["spacing"]),
        slice_thickness_mm=_number(row["thickness"]),
    )


def labelled_headers() -> list[tuple[dict[str, str], AcquisitionFacts]]:
    """Return the rows of the table, whose labels are `contrast`, `plane` and `lumbar`, and their facts."""
    with (Path(__file__).parent / "mr_headers_labelled.csv").open(newline="") as table:
        return [(row, _facts(row)) for row in csv.DictReader(table)]


def stripped(facts: AcquisitionFacts) -> AcquisitionFacts:
    """Keep only the facts that survive a thorough de-identification: description, orientation and size."""
    return AcquisitionFacts(
        series_description=facts.series_description,
        orientation=facts.orientation,
        pixel_spacing_mm=facts.pixel_spacing_mm,
        rows=facts.rows,
        columns=facts.columns,
    )
