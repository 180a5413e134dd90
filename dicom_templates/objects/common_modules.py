"""What all result objects have in common: equipment, dates, patient and study, file meta information.

References
----------
DICOM PS3.3 C.7.5.1 General Equipment, C.7.5.2 Enhanced General Equipment, C.12.1 SOP Common.
"""

from dataclasses import dataclass

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
)

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
    "copy_source",
    "finish",
    "workstation_object",
]


@dataclass(frozen=True, slots=True)
class ObjectIdentity:
    """Identifiers and description of a result object, which is the only one of its series.

    Attributes
    ----------
    uid, series_uid : str
        SOP Instance UID and Series Instance UID.
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
    """Begin an object that was made on a workstation (Conversion Type WSD).

    Parameters
    ----------
    sop_class_uid : UID
        Its storage class.
    modality : str
        Modality of its series.
    identity : ObjectIdentity
        Its UIDs, series number and description.

    Returns
    -------
    Dataset
        Without content, and without what `finish` adds.
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
    return made


_GENERAL_SERIES = frozenset({SecondaryCaptureImageStorage, GrayscaleSoftcopyPresentationStateStorage})
"""Storage classes with the General Series module without exceptions."""


def finish(
    result: Dataset, source: Dataset, provenance: Provenance, options: ReportOptions, *, image: bool
) -> None:
    """Add to a result object, in place, what all of them have in common.

    Parameters
    ----------
    result : Dataset
        With its content and identifiers.
    source : Dataset
        Header of one source image.
    provenance : Provenance
        The maker.
    options : ReportOptions
        Date, time and institution.
    image : bool
        Whether it is an image or says how to show some; their series name a body part.
    """
    _add_equipment(result, provenance, options)
    _add_dates(result, options)
    result.CodingSchemeIdentificationSequence = [private_scheme()]
    copy_source(result, source, image=image)
    if result.SOPClassUID in _GENERAL_SERIES and not result.get("BodyPartExamined"):
        # Required, possibly empty, where the body part may be one of a pair (PS3.3 C.7.3.1).
        result.Laterality = ""
    result.file_meta = _file_meta(result)


def copy_source(result: Dataset, source: Dataset, *, image: bool) -> None:
    """Copy into a result, in place, what it has from its source: patient, study and scanner.

    Parameters
    ----------
    result : Dataset
        With its own text, which is fitted to the character set of the source.
    source : Dataset
        Header of one source image.
    image : bool
        Whether it is an image or says how to show some; their series name a body part.
    """
    _add_scanner(result, source)
    # In this order: our text is fitted to the character set of the source, whose own bytes must not change.
    fit_to_charset(result, source)
    copy_patient_and_study(source, result, series_keywords=("BodyPartExamined",) if image else ())


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
    """Name the scanner as contributing equipment.

    It replaces the entry of highdicom, which holds the time of day, so that no two results would be equal.
    """
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
