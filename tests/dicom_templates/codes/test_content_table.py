"""docs/content-items.md lists every content item that the templates write, and no other."""

import re
from collections import defaultdict
from functools import cache
from pathlib import Path

from pydicom import Dataset

from dicom_templates.codes.radiomics import IBSI_OF, UNIT_OF, radiomic_code, radiomic_unit
from tests.dicom_templates.documents import content_items

PAGE = Path(__file__).resolve().parents[3] / "docs" / "content-items.md"
DOCUMENTS = {"sr": "measurement report", "text": "text report"}
OF_EVERY_MEASUREMENT = {"111001", "111003"}
RADIOMICS = {radiomic_code(f"original_{name}").value for name in (*IBSI_OF, *UNIT_OF)}

Row = tuple[str, ...]


def coded(item: Dataset) -> str:
    return f"`{item.CodeValue}` {item.CodingSchemeDesignator} {item.CodeMeaning}"


def is_radiomic(concept: Dataset) -> bool:
    return concept.CodeValue in RADIOMICS or concept.CodeValue.startswith("RF_")


def value_of(item: Dataset) -> str:
    """Return what decides the value set of an item: its code, its unit or its shape."""
    if item.ValueType == "CODE":
        return coded(item.ConceptCodeSequence[0])
    if item.ValueType == "NUM":
        return f"`{item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue}`"
    return str(item.get("GraphicType", ""))


@cache
def content_rows() -> frozenset[Row]:
    """Return where each content item stands, its type, its concept, and its values or units."""
    values: dict[Row, set[str]] = defaultdict(set)
    for item in content_items():
        parent = item.path[-1] if item.path else "(root)"
        concept = coded(item.name)
        if item.name.CodeValue in OF_EVERY_MEASUREMENT:
            parent = "(every measurement)"
        elif is_radiomic(item.name):
            concept = "a radiomic feature, see below"
        document = DOCUMENTS[item.document]
        values[document, parent, item.dataset.ValueType, concept].add(value_of(item.dataset))
    return frozenset((*key, "; ".join(sorted(one))) for key, one in values.items())


def radiomic_rows() -> set[Row]:
    """Return name, code and unit of each radiomic feature that has a code or a unit of its own."""
    rows: set[Row] = set()
    for name in (*IBSI_OF, *UNIT_OF):
        code, unit = radiomic_code(f"original_{name}"), radiomic_unit(f"original_{name}")
        concept = f"`{code.value}` {code.scheme_designator} {code.meaning}"
        rows.add((f"`{name}`", concept, f"`{unit.value}`"))
    return rows


def table(heading: str) -> list[Row]:
    """Read the table below a heading of the page, without its head."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


def test_every_content_item_has_its_row() -> None:
    rows = table("Content items")
    assert len(set(rows)) == len(rows)
    told = {row[:5] for row in rows}
    assert not told - content_rows()
    assert not content_rows() - told


def test_every_row_names_an_element_of_fhir_or_says_that_there_is_none() -> None:
    resources = "Observation|Device|DiagnosticReport|ImagingStudy|Provenance"
    for row in table("Content items"):
        assert re.match(rf"`({resources})(\.[a-zA-Z\[\]]+)*`|none", row[5]), row


def test_every_radiomic_feature_has_its_row() -> None:
    rows = table("Radiomic features")
    assert len(set(rows)) == len(rows)
    assert not set(rows) - radiomic_rows()
    assert not radiomic_rows() - set(rows)
