"""Elements of FHIR R4 resources, in the types of JSON.

References
----------
HL7 FHIR R4 (4.0.1), "Data Types" and "Using Codes"; for DICOM's coding schemes PS3.16 section 8.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote
from uuid import UUID

from pydicom.sr.coding import Code

from analysis.domain.reason import coded
from dicom_templates.codes.concepts import PRIVATE_SCHEME
from dicom_templates.origin.uids import derive_uid
from dicom_templates.quantities import Quantity

__all__ = [
    "CODES",
    "OID",
    "REASONS",
    "STUDY_SYSTEM",
    "URI",
    "codeable",
    "coding",
    "component",
    "concept_of",
    "entry",
    "full_url",
    "logical",
    "quantity",
    "reason_components",
]

URI = "urn:ietf:rfc3986"
"""The system of identifiers that are URIs, as those that hold a UID."""
STUDY_SYSTEM = "urn:dicom:uid"
"""The system of the identifier of an ImagingStudy, which is its Study Instance UID."""
OID = "urn:oid:"
CODES = OID + derive_uid("coding scheme", PRIVATE_SCHEME)
"""The system of 99OSTEONODE."""
REASONS = OID + derive_uid("coding scheme", "reasons")
"""The system of the codes of reasons, which are the keys of `analysis/domain/english.py`."""
_SYSTEMS = {
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    "UCUM": "http://unitsofmeasure.org",
    "IBSI": f"{OID}1.2.840.10008.2.16.13",
    PRIVATE_SCHEME: CODES,
}
"""By coding scheme designator; IBSI has no other URI than its UID in PS3.6 annex A."""


def coding(code: Code) -> dict[str, str]:
    """Return a code as a Coding."""
    return {"system": _SYSTEMS[code.scheme_designator], "code": code.value, "display": code.meaning}


def codeable(code: Code, *others: Code | None) -> dict[str, Any]:
    """Return a CodeableConcept whose text is the meaning of the first code; further codes say more of it."""
    codings = [coding(one) for one in (code, *others) if one is not None]
    return {"coding": codings, "text": code.meaning}


def concept_of(found: Quantity) -> dict[str, Any]:
    """Return what a number is: its concept, the public one, and how it was derived."""
    return codeable(found.concept, found.public, found.derivation)


def quantity(found: Quantity) -> dict[str, Any]:
    """Return a number as a Quantity, with its unit in UCUM."""
    unit = found.unit
    return {
        "value": found.value,
        "unit": unit.meaning,
        "system": _SYSTEMS[unit.scheme_designator],
        "code": unit.value,
    }


def component(code: Mapping[str, Any], **value: object) -> dict[str, Any]:
    """Return a component of an Observation, whose value is given by its name (`valueQuantity`)."""
    return {"code": dict(code), **value}


def reason_components(what: Code, reasons: Iterable[str]) -> list[dict[str, Any]]:
    """Return a component for each reason: as a code where it has one, and in words.

    Parameters
    ----------
    what : Code
        What they are the reasons for.
    reasons : iterable of str
        Usually of `Reason`.
    """
    found = []
    for reason in reasons:
        codes = [{"system": REASONS, "code": one["code"]} for one in coded([reason])]
        value = {"coding": codes, "text": str(reason)} if codes else {"text": str(reason)}
        found.append(component(codeable(what), valueCodeableConcept=value))
    return found


def logical(kind: str, identifier: Mapping[str, Any]) -> dict[str, Any]:
    """Return a reference to a resource that another system keeps, by its identifier there."""
    return {"type": kind, "identifier": dict(identifier)}


def full_url(uid: str) -> str:
    """Return the URL by which the entries of a transaction refer to each other, from a UID under 2.25.

    Examples
    --------
    >>> full_url("2.25.1")
    'urn:uuid:00000000-0000-0000-0000-000000000001'
    """
    return f"urn:uuid:{UUID(int=int(uid.removeprefix('2.25.')))}"


def entry(resource: Mapping[str, Any], uid: str) -> dict[str, Any]:
    """Return the entry of a transaction that makes a resource, or replaces the one with its identifier.

    Parameters
    ----------
    resource : mapping
        The resource, without an identifier.
    uid : str
        Its UID under 2.25, which becomes its identifier.
    """
    value = f"{OID}{uid}"
    kind = resource["resourceType"]
    known = quote(f"{URI}|{value}", safe="")
    return {
        "fullUrl": full_url(uid),
        "resource": {
            "resourceType": kind, "identifier": [{"system": URI, "value": value}],
            **{name: told for name, told in resource.items() if name != "resourceType"},
        },
        "request": {"method": "PUT", "url": f"{kind}?identifier={known}"},
    }  # fmt: skip
