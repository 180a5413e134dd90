"""What result objects share: how one begins, and the last touches: who made it, when, and for whom."""

from dataclasses import dataclass

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_templates.codes.concepts import code_item, private_scheme
from dicom_templates.options import ReportOptions
from dicom_templates.origin.patient_study import copy_patient_and_study, fit_to_charset
from dicom_templates.origin.provenance import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    MANUFACTURER,
    MODEL_NAME,
    Provenance,
)

__all__ = [
    "ObjectIdentity",
    "finish",
    "workstation_object",
]


@dataclass(frozen=True, slots=True)
class ObjectIdentity:
    """What an object that is alone in its series is called.

    Attributes
    ----------
    uid, series_uid : str
        Of the object.
    series_number : int
        SeriesNumber.
    description : str
        SeriesDescription.
    """

    uid: str
    series_uid: str
    series_number: int
    description: str


def workstation_object(sop_class_uid: UID, modality: str, identity: ObjectIdentity) -> Dataset:
    """Begin an object that a workstation made of images, their date and what was found in them.

    Parameters
    ----------
    sop_class_uid : UID
        Its storage class.
    modality : str
        Modality of its series.
    identity : ObjectIdentity
        What it is called.

    Returns
    -------
    Dataset
        Without content yet, and without what `finish` adds.
    """
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = sop_class_uid
    made.SOPInstanceUID = identity.uid
    made.SeriesInstanceUID = identity.series_uid
    made.SeriesNumber = identity.series_number
    made.SeriesDescription = identity.description
    made.InstanceNumber = 1
    made.Modality = modality
    made.ConversionType = "WSD"
    # Who de-identifies must look inside.
    made.BurnedInAnnotation = "YES"
    return made


def finish(
    result: Dataset, source: Dataset, provenance: Provenance, options: ReportOptions, *, image: bool
) -> None:
    """Complete a result object in place.

    Parameters
    ----------
    result : Dataset
        With its own content and identifiers.
    source : Dataset
        Header of one source image.
    provenance : Provenance
        Who made it.
    options : ReportOptions
        When and where.
    image : bool
        Whether it is an image, whose series names a body part.
    """
    _add_equipment(result, provenance, options)
    _add_dates(result, options)
    _add_scanner(result, source)
    result.CodingSchemeIdentificationSequence = [private_scheme()]
    # Our words adapt to the character set of the source, then its bytes are copied as they are.
    fit_to_charset(result, source)
    copy_patient_and_study(source, result, series_keywords=("BodyPartExamined",) if image else ())
    if result.SOPClassUID == SecondaryCaptureImageStorage and not result.get("BodyPartExamined"):
        # Without a body part a paired one is not ruled out, and the attribute must be there (PS3.3 C.7.3.1).
        result.Laterality = ""
    result.file_meta = _file_meta(result)


def _add_equipment(result: Dataset, provenance: Provenance, options: ReportOptions) -> None:
    result.Manufacturer = MANUFACTURER
    result.ManufacturerModelName = MODEL_NAME
    result.DeviceSerialNumber = provenance.station
    result.DeviceUID = provenance.device_uid
    result.SoftwareVersions = provenance.software
    result.StationName = provenance.station
    if options.institution:
        result.InstitutionName = options.institution


def _add_dates(result: Dataset, options: ReportOptions) -> None:
    for prefix in ("Content", "InstanceCreation", "Series"):
        setattr(result, f"{prefix}Date", options.date)
        setattr(result, f"{prefix}Time", options.time)


def _add_scanner(result: Dataset, source: Dataset) -> None:
    """Name the scanner; highdicom's entry holds the time of day, so no two results would be equal."""
    if "ContributingEquipmentSequence" in result:
        del result.ContributingEquipmentSequence
    if not source.get("Manufacturer"):
        return
    scanner = Dataset()
    scanner.PurposeOfReferenceCodeSequence = [code_item(codes.DCM.AcquisitionEquipment)]
    for keyword in ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions"):
        if source.get(keyword):
            setattr(scanner, keyword, source[keyword].value)
    result.ContributingEquipmentSequence = [scanner]


def _file_meta(result: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = result.SOPClassUID
    meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    meta.TransferSyntaxUID = result.file_meta.TransferSyntaxUID
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta
