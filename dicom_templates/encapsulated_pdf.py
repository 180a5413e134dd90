"""The report as a document, for sites that file PDF: an Encapsulated PDF object.

References
----------
DICOM PS3.3 A.45.1 Encapsulated PDF IOD, C.24.2 Encapsulated Document Module.
"""

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from dicom_templates.codes import code_item
from dicom_templates.source_series import ImageReference, instance_item
from dicom_templates.study_report import StudyReport

__all__ = ["pdf_object"]


def pdf_object(
    document: bytes,
    report: StudyReport,
    images: Sequence[ImageReference],
    *,
    uid: str,
    series_uid: str,
    series_number: int,
    description: str,
) -> Dataset:
    """Wrap a PDF into a DICOM object.

    Parameters
    ----------
    document : bytes
        From `draw_pdf`.
    report : StudyReport
        What it says.
    images : sequence of ImageReference
        The slices that it rests on.
    uid, series_uid : str
        Of the object.
    series_number : int
        SeriesNumber.
    description : str
        SeriesDescription.

    Returns
    -------
    Dataset
    """
    wrapped = Dataset()
    wrapped.file_meta = FileMetaDataset()
    wrapped.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    wrapped.SOPClassUID = EncapsulatedPDFStorage
    wrapped.SOPInstanceUID = uid
    wrapped.SeriesInstanceUID = series_uid
    wrapped.SeriesNumber = series_number
    wrapped.SeriesDescription = description
    wrapped.InstanceNumber = 1
    wrapped.Modality = "DOC"
    wrapped.ConversionType = "WSD"
    wrapped.AcquisitionDateTime = ""
    # It shows images, their date and what was found in them; who de-identifies must look inside.
    wrapped.BurnedInAnnotation = "YES"
    wrapped.DocumentTitle = report.title
    wrapped.ConceptNameCodeSequence = [code_item(codes.LN.DiagnosticImagingReport)]
    wrapped.VerificationFlag = "UNVERIFIED"
    objects = dict.fromkeys((one.sop_class_uid, one.sop_instance_uid) for one in images)
    wrapped.SourceInstanceSequence = [instance_item(*one) for one in objects]
    wrapped.MIMETypeOfEncapsulatedDocument = "application/pdf"
    # An OB has an even length; the attribute says where the document ends.
    wrapped.EncapsulatedDocumentLength = len(document)
    wrapped.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    return wrapped
