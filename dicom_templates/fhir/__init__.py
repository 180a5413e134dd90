"""A result set as FHIR R4: one DiagnosticReport with Observations, in a transaction that may be repeated.

`report` makes the transaction of `observations`, and both are made of `elements`.
"""

from dicom_templates.fhir.report import fhir_refusal, fhir_report, report_uid
from dicom_templates.fhir.withdrawal import withdraw_others

__all__ = ["fhir_refusal", "fhir_report", "report_uid", "withdraw_others"]
