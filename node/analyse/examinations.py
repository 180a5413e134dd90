"""Whose examination a study is, and which earlier one of the same patient its report compares with."""

from dataclasses import replace
from hashlib import sha256

from pydicom import Dataset

from analysis.domain.examination import Examination
from analysis.domain.findings import Findings
from analysis.domain.priors import compare, examination_of
from dicom_templates.origin.patient_study import date_of
from node.decode.header_values import text
from node.domain.person import Person
from node.domain.results import Lineage

__all__ = ["compared", "examination", "person_digest"]

_WHOLE_DATE = 8


def person_digest(header: Dataset) -> str:
    """Return the digest by which two examinations are known to be of one person.

    It is that of Patient ID, issuer, birth date and sex. It is empty if Patient ID, a whole birth date or the
    sex is missing, or if the identity was removed: many patients may then have the same values.
    """
    patient_id, issuer = text(header, "PatientID"), text(header, "IssuerOfPatientID")
    person = Person.of(text(header, "PatientBirthDate"), text(header, "PatientSex"))
    whole = len(person.birth_date) == _WHOLE_DATE and person.birth_date.isdecimal()
    removed = text(header, "PatientIdentityRemoved").upper() == "YES"
    if not (patient_id and whole and person.sex) or removed:
        return ""
    told = patient_id, issuer, person.birth_date, person.sex
    return sha256("\0".join(told).encode("utf-8", "replace")).hexdigest()


def examination(findings: Findings, header: Dataset) -> Examination:
    """Return what later examinations of the patient compare with.

    Parameters
    ----------
    findings : Findings
        What was found.
    header : Dataset
        Header of an analysed image.

    Returns
    -------
    Examination
    """
    return examination_of(
        findings,
        str(header.StudyInstanceUID),
        person=person_digest(header),
        day=date_of(header, "StudyDate"),
    )


def compared(findings: Findings, now: Examination, lineage: Lineage) -> Findings:
    """Add to findings the comparison with the earlier examination that the lineage of the study has.

    Parameters
    ----------
    findings : Findings
        What was found.
    now : Examination
        From `examination`.
    lineage : Lineage
        Of the study.

    Returns
    -------
    Findings
    """
    earlier = lineage.prior_of(now)
    return findings if earlier is None else replace(findings, prior=compare(earlier, now))
