"""MR images of a volume: one classic MR Image Storage object per slice.

For simulated patients, and for real image stacks without DICOM headers in the tests. The caller gives every
identifier, and equal arguments give equal datasets.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from analysis.domain.acquisition import AcquisitionFacts
from analysis.domain.volume import Grid, Volume
from dicom_templates.origin.uids import derive_uid

__all__ = ["ImageIdentity", "mr_images"]

_IMPLEMENTATION_UID = UID("2.25.300174829565093124718225076915318042337")
_LARGEST_STORED = 65535


@dataclass(frozen=True, slots=True)
class ImageIdentity:
    """Patient, study and series that the images belong to.

    Attributes
    ----------
    patient_id, patient_name, birth_date, sex, age : str
        As DICOM writes them ("SIMULATED^0001", "19610405", "F", "063Y"); empty where unknown.
    study_uid, series_uid, frame_of_reference_uid : str
        `derive_uid` makes them from words.
    study_date, study_time : str
        "20260105", "093000".
    study_id, accession_number, study_description : str
        Of the study.
    series_number : int
        Within the study.
    comments : str
        Image Comments and Patient Comments: where the images come from.
    station, institution : str
        Station name and institution.
    """

    patient_id: str
    patient_name: str
    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    study_date: str
    study_time: str
    birth_date: str = ""
    sex: str = ""
    age: str = ""
    study_id: str = "1"
    accession_number: str = ""
    study_description: str = ""
    series_number: int = 1
    comments: str = ""
    station: str = ""
    institution: str = ""


def mr_images(volume: Volume, facts: AcquisitionFacts, identity: ImageIdentity) -> Iterator[Dataset]:
    """Make the MR images of one series, slice by slice.

    Parameters
    ----------
    volume : Volume
        The signal. It is stored in 16 bits: whole numbers from 0 to 65535 exactly, others through Rescale
        Slope and Intercept.
    facts : AcquisitionFacts
        How it was acquired; unknown values are left out or empty, as the IOD allows.
    identity : ImageIdentity
        Patient, study and series.

    Yields
    ------
    Dataset
        With file meta information, ready to be written. The SOP Instance UID is derived from the Series
        Instance UID and the number of the slice.

    References
    ----------
    DICOM PS3.3 A.4, MR Image IOD.
    """
    slope, intercept = _rescale(volume)
    low, high = (float(level) for level in np.percentile(volume.voxels, (1.0, 99.5)))
    for number in range(volume.grid.shape[0]):
        image = _image(facts, identity, number)
        _add_geometry(image, volume.grid, facts, number)
        stored = np.rint((volume.voxels[number].astype(np.float64) - intercept) / slope).astype("<u2")
        image.SmallestImagePixelValue = int(stored.min())
        image.LargestImagePixelValue = int(stored.max())
        if (slope, intercept) != (1.0, 0.0):
            # Not in the MR Image IOD, though readers apply it: this makes it a Standard Extended SOP Class.
            image.RescaleSlope, image.RescaleIntercept = _decimal(slope), _decimal(intercept)
            image.RescaleType = "US"
        image.WindowCenter = _decimal(round((low + high) / 2))
        image.WindowWidth = _decimal(max(round(high - low), 2))
        image.PixelData = stored.tobytes()
        yield image


def _rescale(volume: Volume) -> tuple[float, float]:
    """Return slope and intercept for storage in 16 bits; 1 and 0 if all values are whole and fit."""
    low, high = float(volume.voxels.min()), float(volume.voxels.max())
    whole = bool(np.equal(volume.voxels, np.rint(volume.voxels)).all())
    if whole and low >= 0.0 and high <= _LARGEST_STORED:
        return 1.0, 0.0
    # Rounded to the 16 characters of the header, so that pixels are scaled with the values that readers get.
    slope = float(_decimal(max(high - low, 1e-6) / (_LARGEST_STORED - 1)))
    return slope, float(_decimal(low))


def _decimal(value: float) -> str:
    """Write a number in the 16 characters of a decimal string (PS3.5 6.2, VR DS)."""
    for digits in range(15, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    raise ValueError(f"{value} does not fit into 16 characters")


def _image(facts: AcquisitionFacts, identity: ImageIdentity, number: int) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.SpecificCharacterSet = "ISO_IR 192"
    image.SOPClassUID = MRImageStorage
    image.SOPInstanceUID = derive_uid("instance", identity.series_uid, str(number + 1))
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.ImplementationClassUID = _IMPLEMENTATION_UID
    _add_patient_and_study(image, identity)
    _add_series(image, facts, identity)
    _add_acquisition(image, facts)
    image.InstanceNumber = number + 1
    image.AcquisitionNumber = 1
    image.ImageType = list(facts.image_type) or ["ORIGINAL", "PRIMARY", "OTHER"]
    if len(image.ImageType) < 3:
        image.ImageType = [*image.ImageType, "OTHER"]
    image.ContentDate, image.ContentTime = identity.study_date, identity.study_time
    if identity.comments:
        image.ImageComments = identity.comments
    return image


def _add_patient_and_study(image: Dataset, identity: ImageIdentity) -> None:
    image.PatientName, image.PatientID = identity.patient_name, identity.patient_id
    image.PatientBirthDate, image.PatientSex = identity.birth_date, identity.sex
    if identity.age:
        image.PatientAge = identity.age
    if identity.comments:
        image.PatientComments = identity.comments
    image.StudyInstanceUID, image.StudyID = identity.study_uid, identity.study_id
    image.StudyDate, image.StudyTime = identity.study_date, identity.study_time
    image.AccessionNumber = identity.accession_number
    image.ReferringPhysicianName = ""
    if identity.study_description:
        image.StudyDescription = identity.study_description


def _add_series(image: Dataset, facts: AcquisitionFacts, identity: ImageIdentity) -> None:
    image.Modality = "MR"
    image.SeriesInstanceUID = identity.series_uid
    image.SeriesNumber = identity.series_number
    image.SeriesDate, image.SeriesTime = identity.study_date, identity.study_time
    image.FrameOfReferenceUID = identity.frame_of_reference_uid
    image.PositionReferenceIndicator = ""
    image.PatientPosition = "HFS"
    image.Manufacturer = facts.vendor
    optional = {
        "ManufacturerModelName": facts.model,
        "SeriesDescription": facts.series_description,
        "ProtocolName": facts.protocol_name,
        "BodyPartExamined": facts.body_part,
        "StationName": identity.station,
        "InstitutionName": identity.institution,
        "ContrastBolusAgent": facts.contrast_agent,
    }
    for keyword, value in optional.items():
        if value:
            setattr(image, keyword, value)
    if not facts.body_part:
        # Required, possibly empty, where the body part may be one of a pair (PS3.3 C.7.3.1).
        image.Laterality = ""


def _add_acquisition(image: Dataset, facts: AcquisitionFacts) -> None:
    """Set the attributes of the MR Image module (PS3.3 C.8.3.1)."""
    image.ScanningSequence = list(facts.scanning_sequence) or "RM"
    image.SequenceVariant = list(facts.sequence_variant) or "NONE"
    image.ScanOptions = list(facts.scan_options) or None
    image.MRAcquisitionType = facts.acquisition_type or None
    image.RepetitionTime = _optional_decimal(facts.repetition_time_ms)
    image.EchoTime = _optional_decimal(facts.echo_time_ms)
    image.EchoTrainLength = facts.echo_train_length
    if facts.inversion_time_ms is not None or "IR" in facts.scanning_sequence:
        image.InversionTime = _optional_decimal(facts.inversion_time_ms)
    if facts.flip_angle_deg is not None:
        image.FlipAngle = _decimal(facts.flip_angle_deg)
    if facts.field_strength_t is not None:
        image.MagneticFieldStrength = _decimal(facts.field_strength_t)
        image.ImagingFrequency = _decimal(round(42.577478 * facts.field_strength_t, 6))
        image.ImagedNucleus = "1H"
    if facts.sequence_name:
        image.SequenceName = facts.sequence_name


def _optional_decimal(value: float | None) -> str | None:
    return None if value is None else _decimal(value)


def _add_geometry(image: Dataset, grid: Grid, facts: AcquisitionFacts, number: int) -> None:
    """Set the attributes of the Image Plane and Image Pixel modules (PS3.3 C.7.6.2 and C.7.6.3)."""
    between_slices, between_rows, between_columns = grid.spacing_mm
    position = grid.to_mm((number, 0, 0))
    image.ImagePositionPatient = [_decimal(round(float(value), 6)) for value in position]
    # First the direction of increasing column index, then that of increasing row index.
    image.ImageOrientationPatient = [_decimal(round(float(v), 9)) for v in (*grid.axes[2], *grid.axes[1])]
    image.PixelSpacing = [_decimal(between_rows), _decimal(between_columns)]
    image.SliceThickness = _decimal(facts.slice_thickness_mm or between_slices)
    image.SpacingBetweenSlices = _decimal(between_slices)
    image.SliceLocation = _decimal(round(float(position @ grid.axes[0]), 6))
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = grid.shape[1], grid.shape[2]
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 0
