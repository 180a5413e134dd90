"""The kinds of result, and the DICOM storage class of each that is a DICOM object."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

__all__ = ["DICOM_KINDS", "DOCUMENT_KINDS", "STORAGE_CLASSES", "USUAL_KINDS", "ResultKind", "SrClass"]


class SrClass(StrEnum):
    """Storage class of the measurement report; its content is the same in each."""

    COMPREHENSIVE = "comprehensive"
    COMPREHENSIVE_3D = "comprehensive-3d"

    @property
    def storage(self) -> UID:
        """Its SOP Class UID."""
        return Comprehensive3DSRStorage if self is SrClass.COMPREHENSIVE_3D else ComprehensiveSRStorage


class ResultKind(StrEnum):
    """The kinds of result object, by their names in config.toml and in the database."""

    SR = "sr"
    SEG = "seg"
    TEXT = "text"
    SUMMARY = "summary"
    PDF = "pdf"
    GSPS = "gsps"
    FHIR = "fhir"
    """No DICOM object, so it has no storage class."""

    def storage(self, sr_class: SrClass) -> UID:
        """Return its SOP Class UID where the measurement report is written in a given class."""
        return sr_class.storage if self is ResultKind.SR else STORAGE_CLASSES[self][0]


STORAGE_CLASSES: Mapping[ResultKind, tuple[UID, ...]] = MappingProxyType(
    {
        ResultKind.SR: tuple(sr_class.storage for sr_class in SrClass),
        ResultKind.SEG: (SegmentationStorage,),
        ResultKind.TEXT: (EnhancedSRStorage,),
        ResultKind.SUMMARY: (SecondaryCaptureImageStorage,),
        ResultKind.PDF: (EncapsulatedPDFStorage,),
        ResultKind.GSPS: (GrayscaleSoftcopyPresentationStateStorage,),
    }
)
"""Every SOP class that objects of a kind may have."""

DICOM_KINDS = frozenset(STORAGE_CLASSES)
"""The kinds that are DICOM objects."""

USUAL_KINDS = (ResultKind.SR, ResultKind.SEG, ResultKind.TEXT, ResultKind.SUMMARY)
"""What is written for every study, and what a destination gets that does not say what it wants."""

DOCUMENT_KINDS = frozenset({ResultKind.SR, ResultKind.TEXT})
"""Kinds that can name what they replace; images have no PredecessorDocumentsSequence."""
