"""findings.json holds the numbers of the measurement report, as its schema says."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydicom import Dataset

from analysis.domain.priors import examination_of
from dicom_templates.codes import concepts
from dicom_templates.findings_json import findings_document
from dicom_templates.result_kinds import ResultKind
from dicom_templates.result_set import build
from tests.dicom_templates.cases import DAY, STUDY, Case, items
from tests.dicom_templates.documents import every_case
from tests.schemas import strict

OF_THE_IMAGES = {one.value for one in (concepts.REPETITION_TIME, concepts.ECHO_TIME, concepts.INVERSION_TIME)}

Number = tuple[str, str, float, str]
"""Concept, derivation, value and unit."""


def told(case: Case) -> Any:
    now = examination_of(case.findings, STUDY, person="ab" * 32, day=DAY)
    return json.loads(json.dumps(findings_document(case.findings, now), allow_nan=False))


def numbers(part: Any) -> Iterator[Number]:
    """Iterate over all quantities in a document."""
    if isinstance(part, dict) and {"concept", "value", "unit"} <= set(part):
        derivation = part.get("derivation", {}).get("value", "")
        yield part["concept"]["value"], derivation, part["value"], part["unit"]
    elif isinstance(part, dict | list):
        for one in part.values() if isinstance(part, dict) else part:
            yield from numbers(one)


def numbers_of(report: Dataset) -> Iterator[Number]:
    for item in items(report):
        concept = item.ConceptNameCodeSequence[0].CodeValue
        if item.ValueType == "NUM" and concept not in OF_THE_IMAGES:
            derivation = [
                one.ConceptCodeSequence[0].CodeValue
                for one in item.get("ContentSequence", ())
                if one.ConceptNameCodeSequence[0].CodeMeaning == "Derivation"
            ]
            measured = item.MeasuredValueSequence[0]
            unit = measured.MeasurementUnitsCodeSequence[0].CodeValue
            yield concept, "".join(derivation), float(measured.NumericValue), unit


@pytest.mark.parametrize("case", every_case(), ids=range(len(every_case())))
def test_it_has_every_number_of_the_measurement_report_and_fits_its_schema(case: Case) -> None:
    options = replace(case.options, kinds=frozenset({ResultKind.SR}))
    (report,) = build(case.findings, case.sources, options).objects
    document = told(case)
    strict("findings").validate(document)
    found, expected = Counter(numbers(document)), Counter(numbers_of(report.dataset))
    assert len(expected) > 30
    assert (found - expected, expected - found) == (Counter(), Counter())


def test_reasons_are_codes_and_no_field_names_the_patient() -> None:
    (reason, *_) = told(every_case()[0])["series"][0]["reasons"]
    assert reason["code"] == "of_body"
    assert reason["values"]["concerns"][0]["code"] == "touches_edge"
    header = next(iter(every_case()[0].sources.values()))[0]
    words = json.dumps(told(every_case()[0]), ensure_ascii=False)
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber"):
        assert str(header[keyword].value) not in words
