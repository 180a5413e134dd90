"""The maker and the inputs of a result, and the UIDs derived from them.

A study that is sent again must not fill the archive with copies, so every UID is derived from what decides
the content of an object. The same inputs, model, configuration and presentation give the same UID; any
difference gives another.
"""

import json
from dataclasses import dataclass
from hashlib import sha256

from pydicom.uid import UID

from analysis.domain.findings import Findings, Refusal
from dicom_templates.options import ReportOptions
from dicom_templates.origin.patient_study import in_ascii
from dicom_templates.origin.uids import derive_uid

__all__ = [
    "IMPLEMENTATION_CLASS_UID",
    "IMPLEMENTATION_VERSION_NAME",
    "MANUFACTURER",
    "MODEL_NAME",
    "Provenance",
    "provenance_of",
    "refusal_provenance",
]

MANUFACTURER = "OsteoNode"
MODEL_NAME = "OsteoNode"
IMPLEMENTATION_CLASS_UID = UID(derive_uid("implementation", MANUFACTURER))
IMPLEMENTATION_VERSION_NAME = "OSTEONODE"
_CONTENT_REVISION = "7"
"""To be raised when the same findings are written differently, so that no UID ever has two contents."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Maker of one result set, and the key that stands for all that decides its content.

    Attributes
    ----------
    software : str
        Name and version of the program.
    station : str
        Name of the node that made it.
    study_uid : str
        Of the source and of all results.
    key : str
        SHA-256 of inputs, model, settings, software and presentation; UIDs are derived from it.
    """

    software: str
    station: str
    study_uid: str
    key: str

    @property
    def version(self) -> str:
        """The version in `software`."""
        return self.software.rpartition(" ")[2] or self.software

    @property
    def device_uid(self) -> str:
        """The same for every result of this node, whatever its version."""
        return derive_uid("device", MANUFACTURER, self.station)

    def uid(self, *parts: str) -> str:
        """Derive a UID of this result set.

        Parameters
        ----------
        *parts : str
            What it identifies: "sr", "instance".

        Returns
        -------
        str
        """
        return derive_uid(self.key, *parts)

    def tracking_uid(self, series_uid: str, structure: str) -> str:
        """Derive the UID of a structure in a series; a later analysis of the structure gives it the same."""
        return derive_uid("tracking", self.study_uid, series_uid, structure)


def provenance_of(
    findings: Findings, study_uid: str, options: ReportOptions, *, patient: str = ""
) -> Provenance:
    """Collect maker and inputs of findings.

    Parameters
    ----------
    findings : Findings
        What is reported.
    study_uid : str
        Study Instance UID of the source.
    options : ReportOptions
        A report in another language is another document.
    patient : str
        See `dicom_templates.origin.patient_study.patient_digest`: a report under a corrected identity is
        another document, too.

    Returns
    -------
    Provenance
    """
    inputs = tuple((found.source.series_uid, found.source.digest) for found in findings.series)
    model = findings.model.digest if findings.model is not None else ""
    set_aside = tuple((one.series_uid, one.reasons) for one in findings.set_aside)
    # An edited mask, or another version of a segmenter, outlines the same input differently.
    outlined_by = tuple(found.segmentation.method for found in findings.series)
    decisive: tuple[object, ...] = (
        *(inputs, model, findings.configuration_digest, findings.software, set_aside, outlined_by),
        # Left out where there are none, so that results made before there were any keep their UIDs.
        *((findings.remarks,) if findings.remarks else ()),
        *((("compared with", findings.prior.earlier.digest()),) if findings.prior is not None else ()),
        *((("scanner left", *map(str, findings.departures)),) if findings.departures else ()),
        # As a document in any character set gives it back.
        in_ascii(options.next_step),
    )
    return Provenance(
        software=findings.software,
        station=options.station,
        study_uid=study_uid,
        key=_key(study_uid, options, (patient, *decisive)),
    )


def refusal_provenance(
    refusal: Refusal, software: str, study_uid: str, options: ReportOptions, *, patient: str = ""
) -> Provenance:
    """Collect maker and inputs of a refusal, as `provenance_of` does for findings."""
    series = tuple((one.series_uid, one.reasons) for one in refusal.series)
    return Provenance(
        software=software,
        station=options.station,
        study_uid=study_uid,
        key=_key(study_uid, options, ("refused", patient, refusal.reasons, series, software)),
    )


def _key(study_uid: str, options: ReportOptions, decisive: tuple[object, ...]) -> str:
    """Digest all but `options.made`: the same result at another time has the same UIDs.

    Predecessors and storage classes concern single documents, which add them to their own UIDs.
    """
    presentation = (
        options.language,
        options.institution,
        options.station,
    )
    content = json.dumps([_CONTENT_REVISION, study_uid, presentation, decisive], sort_keys=True)
    return sha256(content.encode()).hexdigest()
