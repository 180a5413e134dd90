"""The report as an Encapsulated PDF object, for sites that file PDF.

References
----------
DICOM PS3.3 A.45.1 Encapsulated PDF IOD, C.24.2 Encapsulated Document Module.
"""

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import EncapsulatedPDFStorage

from dicom_templates.codes.concepts import code_item
from dicom_templates.objects.common_modules import ObjectIdentity, workstation_object
from dicom_templates.origin.source_series import ImageReference, instance_item
from dicom_templates.words.study_report import StudyReport

__all__ = ["pdf_object"]


def pdf_object(
    document: bytes,
    report: StudyReport,
    images: Sequence[ImageReference],
    identity: ObjectIdentity,
    *,
    annotated: bool,
) -> Dataset:
    """Wrap a PDF into a DICOM object.

    Parameters
    ----------
    document : bytes
        From `draw_pdf`.
    report : StudyReport
        The words of the document.
    images : sequence of ImageReference
        The slices that were analysed.
    identity : ObjectIdentity
        Its UIDs, series number and description.
    annotated : bool
        Whether the source images are said to have annotation in their pixels.

    Returns
    -------
    Dataset
    """
    wrapped = workstation_object(EncapsulatedPDFStorage, "DOC", identity)
    # As PS3.3 C.24.2 defines it: whether the document identifies the patient.
    identified = report.whom is not None and report.whom.identified
    wrapped.BurnedInAnnotation = "YES" if identified or annotated else "NO"
    wrapped.AcquisitionDateTime = ""
    wrapped.DocumentTitle = report.title
    wrapped.ConceptNameCodeSequence = [code_item(codes.LN.DiagnosticImagingReport)]
    wrapped.VerificationFlag = "UNVERIFIED"
    objects = dict.fromkeys((one.sop_class_uid, one.sop_instance_uid) for one in images)
    wrapped.SourceInstanceSequence = [instance_item(*one) for one in objects]
    wrapped.MIMETypeOfEncapsulatedDocument = "application/pdf"
    # An OB value has an even length; EncapsulatedDocumentLength is that of the document without padding.
    wrapped.EncapsulatedDocumentLength = len(document)
    wrapped.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    return wrapped
