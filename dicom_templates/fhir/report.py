"""The DiagnosticReport of a study, in a transaction with its Observations and the device that made them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from pydicom import Dataset
from pydicom.sr.codedict import codes

from analysis.domain.findings import Findings, Refusal, Target
from analysis.domain.reason import coded
from dicom_templates.codes import concepts
from dicom_templates.fhir.elements import OID, REASONS, STUDY_SYSTEM, codeable, entry, logical
from dicom_templates.fhir.observations import observations, withdrawn_answers
from dicom_templates.options import ReportOptions
from dicom_templates.origin.patient_study import date_of
from dicom_templates.origin.provenance import MANUFACTURER, MODEL_NAME
from dicom_templates.origin.uids import derive_uid
from dicom_templates.words.study_report import StudyReport, TargetAnswer
from dicom_templates.words.texts import Texts

__all__ = ["fhir_refusal", "fhir_report", "report_uid"]

_CORRECTED = "identity_corrected"
_RADIOLOGY = {"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}
_TEST_DATA = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}
_ACCESSION = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}


def report_uid(study_uid: str) -> str:
    """Return the UID that identifies the report of a study: the same for every result set of it."""
    return derive_uid("fhir", "report", study_uid)


def fhir_report(
    findings: Findings,
    report: StudyReport,
    source: Dataset,
    options: ReportOptions,
    issued: datetime,
    *,
    replaces: bool,
) -> dict[str, Any]:
    """Make the transaction for a study that is reported.

    A server to which it is sent again has the same resources as before. A later result set of the study
    replaces the earlier one, and says so in its status.

    Parameters
    ----------
    findings : Findings
        What is reported.
    report : StudyReport
        The same in words.
    source : Dataset
        Header of an analysed image.
    options : ReportOptions
        Name of the node.
    issued : datetime
        When this result set was first made; aware of its zone.
    replaces : bool
        Whether the server may hold a report of an earlier result set.

    Returns
    -------
    dict
        A Bundle of FHIR R4 in the types of JSON.
    """
    status = _status(coded(findings.remarks), replaces=replaces)
    simulated = findings.model is not None and findings.model.simulated
    study_uid = str(source.StudyInstanceUID)
    device = _device(findings.software, options)
    shared = {"status": status, **_context(source), "device": {"reference": device["fullUrl"]}}
    made = []
    for key, observation in observations(findings, study_uid):
        told = observation | shared | _issued(issued)
        if simulated and key[0] == "answer":
            told |= {"meta": {"security": [_TEST_DATA]}, "note": [{"text": report.warning}]}
        made.append(entry(told, derive_uid("fhir", "observation", study_uid, *key)))
    lines = [
        *([report.warning] if report.warning else []),
        *(_in_one_line(one, report.texts) for one in report.answers),
        *(line.sentence for line in report.bone_quality),
        *report.foremost,
    ]
    verdicts = [
        codeable(concepts.VERDICT_OF[one.verdict], concepts.TARGET_OF[one.target])
        for one in findings.predictions
    ]
    resource = {
        **_report(source, report, lines, status, issued),
        "code": codeable(concepts.procedure_of(findings)),
        "result": [{"reference": one["fullUrl"]} for one in made],
        **({"conclusionCode": verdicts} if verdicts else {}),
        **({"meta": {"security": [_TEST_DATA]}} if simulated else {}),
    }
    answered = {one.target for one in findings.predictions}
    withdrawn = _withdrawn(answered, source, issued) if replaces else []
    return _transaction([entry(resource, report_uid(study_uid)), device, *made, *withdrawn], issued)


def fhir_refusal(
    refusal: Refusal, report: StudyReport, source: Dataset, issued: datetime, *, replaces: bool
) -> dict[str, Any]:
    """Make the transaction for a study that is not analysed; see `fhir_report`.

    Its report is cancelled, which means that no result will come of it, and has the reasons as codes.
    Where an earlier result set was reported, it is amended and has no result any more, and the answers of
    that set are withdrawn.
    """
    reasons = coded(refusal.reasons)
    status = _status(reasons, replaces=replaces)
    lines = [line for section in report.sections[:1] for line in section.lines]
    resource = {
        **_report(source, report, lines, "cancelled" if status == "preliminary" else status, issued),
        "code": codeable(codes.LN.MRIUnspecifiedBodyRegion),
        "conclusionCode": [
            {"coding": [{"system": REASONS, "code": one["code"]}], "text": one["text"]} for one in reasons
        ],
    }
    withdrawn = _withdrawn((), source, issued) if replaces else []
    return _transaction([entry(resource, report_uid(str(source.StudyInstanceUID))), *withdrawn], issued)


def _withdrawn(answered: Collection[Target], source: Dataset, issued: datetime) -> list[dict[str, Any]]:
    study_uid = str(source.StudyInstanceUID)
    return [
        entry(
            observation | _context(source) | _issued(issued),
            derive_uid("fhir", "observation", study_uid, *key),
        )
        for key, observation in withdrawn_answers(answered, study_uid)
    ]


def _in_one_line(answer: TargetAnswer, texts: Texts) -> str:
    if not answer.value:
        return f"{answer.name}: {answer.verdict_text} ({'; '.join(answer.reasons)})"
    interval = f" ({answer.interval})" if answer.interval else ""
    probability = texts("probability", value=answer.value)
    # What it is based on is part of the answer: which sequence, and whether age and sex were read.
    basis = f"; {answer.basis}" if answer.basis else ""
    return f"{answer.name}: {probability}{interval}, {answer.verdict_text}{basis}"


def _status(remarks: Sequence[Mapping[str, Any]], *, replaces: bool) -> str:
    """Return the status: preliminary, because no person has verified it; or that it replaces another."""
    if not replaces:
        return "preliminary"
    return "corrected" if any(one["code"] == _CORRECTED for one in remarks) else "amended"


def _report(
    source: Dataset, report: StudyReport, lines: Sequence[str], status: str, issued: datetime
) -> dict[str, Any]:
    study = {"system": STUDY_SYSTEM, "value": f"{OID}{source.StudyInstanceUID}"}
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in (report.title, *lines))
    return {
        "resourceType": "DiagnosticReport",
        "language": report.texts.language,
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>',
        },
        **_order(source),
        "status": status,
        "category": [{"coding": [_RADIOLOGY]}],
        **_context(source),
        **_issued(issued),
        "imagingStudy": [logical("ImagingStudy", study)],
        "conclusion": "\n".join(lines),
    }


def _context(source: Dataset) -> dict[str, Any]:
    """Return of whom and of when it is; nothing that the images do not say."""
    patient_id = _text(source, "PatientID")
    found: dict[str, Any] = {}
    if patient_id:
        identifier: dict[str, Any] = {"value": patient_id}
        if issuer := _text(source, "IssuerOfPatientID"):
            identifier["assigner"] = {"display": issuer}
        found["subject"] = logical("Patient", identifier)
    if day := date_of(source, "StudyDate"):
        found["effectiveDateTime"] = day.isoformat()
    return found


def _order(source: Dataset) -> dict[str, Any]:
    accession = _text(source, "AccessionNumber")
    if not accession:
        return {}
    return {"basedOn": [logical("ServiceRequest", {"type": _ACCESSION, "value": accession})]}


def _issued(issued: datetime) -> dict[str, str]:
    return {"issued": issued.isoformat(timespec="seconds")}


def _device(software: str, options: ReportOptions) -> dict[str, Any]:
    resource = {
        "resourceType": "Device",
        "manufacturer": MANUFACTURER,
        "deviceName": [{"name": MODEL_NAME, "type": "manufacturer-name"}],
        "version": [{"value": software}],
        "note": [{"text": f"Node {options.station}"}],
    }
    return entry(resource, derive_uid("device", MANUFACTURER, options.station))


def _transaction(entries: Sequence[dict[str, Any]], issued: datetime) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "timestamp": issued.isoformat(timespec="seconds"),
        "entry": list(entries),
    }


def _text(source: Dataset, keyword: str) -> str:
    return " ".join(str(source.get(keyword) or "").split())
