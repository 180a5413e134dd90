"""Make Enhanced MR objects from classic images, as a recent scanner would write them."""

from collections.abc import Callable, Sequence
from copy import deepcopy

from pydicom import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian

__all__ = ["enhanced_mr"]

_PATIENT_STUDY_SERIES = (
    "SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex",
    "PatientAge",
    "PatientComments", "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "AccessionNumber",
    "ReferringPhysicianName", "StudyDescription", "Modality", "SeriesInstanceUID", "SeriesNumber",
    "SeriesDescription", "ProtocolName", "FrameOfReferenceUID", "PositionReferenceIndicator",
    "PatientPosition", "Manufacturer", "ManufacturerModelName", "MagneticFieldStrength",
    "MRAcquisitionType", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "ContentDate", "ContentTime", "ImageComments",
)  # fmt: skip


def enhanced_mr(
    images: Sequence[Dataset],
    *,
    uid: str,
    frame_order: Sequence[int] | None = None,
    change: Callable[[int, Dataset], object] = lambda _number, _groups: None,
) -> Dataset:
    """Return one multi-frame object of the classic images of a series.

    Parameters
    ----------
    images : sequence of Dataset
        Images with pixel data; several echoes or stacks may follow each other.
    uid : str
        SOP Instance UID of the object.
    frame_order : sequence of int, optional
        Index of the image of each frame; by default the order of `images`.
    change : callable, optional
        Takes the number of each frame (from 0) and its functional groups, and may change these.
    """
    first = images[0]
    enhanced = Dataset()
    enhanced.file_meta = deepcopy(first.file_meta)
    enhanced.SOPClassUID = enhanced.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    enhanced.SOPInstanceUID = enhanced.file_meta.MediaStorageSOPInstanceUID = UID(uid)
    enhanced.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword in _PATIENT_STUDY_SERIES:
        if keyword in first:
            enhanced[keyword] = deepcopy(first[keyword])
    _set_module_attributes(enhanced, first)
    ordered = [images[index] for index in frame_order or range(len(images))]
    enhanced.NumberOfFrames = len(ordered)
    enhanced.SharedFunctionalGroupsSequence = [_shared(first)]
    groups = [_of_frame(image, number) for number, image in enumerate(ordered)]
    for number, group in enumerate(groups):
        change(number, group)
    enhanced.PerFrameFunctionalGroupsSequence = groups
    enhanced.PixelData = b"".join(bytes(image.PixelData) for image in ordered)
    return enhanced


def _set_module_attributes(enhanced: Dataset, first: Dataset) -> None:
    """Set the attributes of the Enhanced MR Image and MR Pulse Sequence modules (C.8.13.1, C.8.13.4)."""
    enhanced.ImageType = ["ORIGINAL", "PRIMARY", "SPINE", "NONE"]
    enhanced.InstanceNumber = 1
    enhanced.AcquisitionNumber = 1
    enhanced.AcquisitionDateTime = first.StudyDate + first.StudyTime
    enhanced.AcquisitionDuration = 180.0
    enhanced.DeviceSerialNumber, enhanced.SoftwareVersions = "1", "1"
    enhanced.ResonantNucleus, enhanced.KSpaceFiltering = "1H", "NONE"
    enhanced.ContentQualification = "RESEARCH"
    enhanced.ApplicableSafetyStandardAgency = "IEC"
    enhanced.PixelPresentation, enhanced.VolumetricProperties = "MONOCHROME", "VOLUME"
    enhanced.VolumeBasedCalculationTechnique = "NONE"
    enhanced.ComplexImageComponent, enhanced.AcquisitionContrast = "MAGNITUDE", "UNKNOWN"
    enhanced.BurnedInAnnotation, enhanced.LossyImageCompression = "NO", "00"
    enhanced.PresentationLUTShape = "IDENTITY"
    enhanced.EchoPulseSequence = "SPIN"
    enhanced.PulseSequenceName = "tse"
    for keyword in ("MultipleSpinEcho", "PhaseContrast", "TimeOfFlightContrast", "EchoPlanarPulseSequence"):
        setattr(enhanced, keyword, "NO")
    enhanced.MultiPlanarExcitation, enhanced.SteadyStatePulseSequence = "NO", "NONE"
    enhanced.SaturationRecovery, enhanced.SpectrallySelectedSuppression = "NO", "NONE"
    enhanced.OversamplingPhase, enhanced.GeometryOfKSpaceTraversal = "NONE", "RECTILINEAR"
    enhanced.RectilinearPhaseEncodeReordering, enhanced.SegmentedKSpaceTraversal = "LINEAR", "PARTIAL"
    enhanced.NumberOfKSpaceTrajectories = 1
    enhanced.AcquisitionContextSequence = None
    organisation = f"{enhanced.SOPInstanceUID}.9"
    enhanced.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organisation)]
    enhanced.DimensionIndexSequence = [
        _item(
            DimensionOrganizationUID=organisation,
            DimensionIndexPointer=Tag(keyword),
            FunctionalGroupPointer=Tag("FrameContentSequence"),
        )
        for keyword in ("StackID", "InStackPositionNumber")
    ]


def _shared(first: Dataset) -> Dataset:
    groups = Dataset()
    groups.MRImagingModifierSequence = [_item(**_NO_MODIFIERS)]
    groups.MRModifierSequence = [_item(InversionRecovery="NO", SpectrallySelectedExcitation="NONE", **_PLAIN)]
    groups.MRTimingAndRelatedParametersSequence = [
        _item(
            RepetitionTime=first.RepetitionTime, FlipAngle=first.get("FlipAngle", 90), EchoTrainLength=8,
            RFEchoTrainLength=8, GradientEchoTrainLength=0, GradientOutputType="DB_DT", GradientOutput=20.0,
            OperatingModeSequence=[_item(OperatingModeType="STATIC FIELD", OperatingMode="IEC_NORMAL")],
            SpecificAbsorptionRateSequence=[
                _item(SpecificAbsorptionRateDefinition="IEC_WHOLE_BODY", SpecificAbsorptionRateValue=1.0)
            ],
        )
    ]  # fmt: skip
    spine = _item(CodeValue="421060004", CodingSchemeDesignator="SCT", CodeMeaning="Vertebral column")
    groups.FrameAnatomySequence = [_item(FrameLaterality="U", AnatomicRegionSequence=[spine])]
    groups.MRFOVGeometrySequence = [
        _item(
            InPlanePhaseEncodingDirection="ROW", MRAcquisitionFrequencyEncodingSteps=int(first.Columns),
            MRAcquisitionPhaseEncodingStepsInPlane=int(first.Rows), PercentSampling=100,
            PercentPhaseFieldOfView=100,
        )
    ]  # fmt: skip
    coil = {"ReceiveCoilName": "SPINE", "ReceiveCoilManufacturerName": "", "ReceiveCoilType": "SURFACE"}
    groups.MRReceiveCoilSequence = [_item(QuadratureReceiveCoil="NO", **coil)]
    body = {"TransmitCoilName": "BODY", "TransmitCoilManufacturerName": "", "TransmitCoilType": "BODY"}
    groups.MRTransmitCoilSequence = [_item(**body)]
    groups.PixelMeasuresSequence = [
        _item(
            PixelSpacing=first.PixelSpacing,
            SliceThickness=first.SliceThickness,
            SpacingBetweenSlices=first.SpacingBetweenSlices,
        )
    ]
    groups.PlaneOrientationSequence = [_item(ImageOrientationPatient=first.ImageOrientationPatient)]
    return groups


_PLAIN = {
    "FlowCompensation": "NONE", "Spoiling": "NONE", "T2Preparation": "NO", "SpatialPresaturation": "NONE",
    "PartialFourier": "NO", "ParallelAcquisition": "NO",
}  # fmt: skip
_NO_MODIFIERS = {
    "MagnetizationTransfer": "NONE", "BloodSignalNulling": "NO", "Tagging": "NONE",
    "TransmitterFrequency": 63.87, "PixelBandwidth": 200,
}  # fmt: skip


def _of_frame(image: Dataset, number: int) -> Dataset:
    groups = Dataset()
    moment = image.StudyDate + image.StudyTime
    groups.FrameContentSequence = [
        _item(
            StackID="1", InStackPositionNumber=number + 1, DimensionIndexValues=[1, number + 1],
            FrameAcquisitionNumber=1, FrameReferenceDateTime=moment, FrameAcquisitionDateTime=moment,
            FrameAcquisitionDuration=180000.0,
        )
    ]  # fmt: skip
    groups.PlanePositionSequence = [_item(ImagePositionPatient=image.ImagePositionPatient)]
    groups.MREchoSequence = [_item(EffectiveEchoTime=float(image.EchoTime))]
    groups.MRImageFrameTypeSequence = [
        _item(
            FrameType=["ORIGINAL", "PRIMARY", "SPINE", "NONE"], PixelPresentation="MONOCHROME",
            VolumetricProperties="VOLUME", VolumeBasedCalculationTechnique="NONE",
            ComplexImageComponent="MAGNITUDE", AcquisitionContrast="UNKNOWN",
        )
    ]  # fmt: skip
    groups.MRAveragesSequence = [_item(NumberOfAverages=1)]
    groups.PixelValueTransformationSequence = [
        _item(
            RescaleIntercept=image.get("RescaleIntercept", 0), RescaleSlope=image.get("RescaleSlope", 1),
            RescaleType="US",
        )
    ]  # fmt: skip
    groups.FrameVOILUTSequence = [_item(WindowCenter=image.WindowCenter, WindowWidth=image.WindowWidth)]
    return groups


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
