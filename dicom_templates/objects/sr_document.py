"""SR documents around a content tree."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from highdicom.sr import Comprehensive3DSR, ComprehensiveSR, ContentItem, EnhancedSR
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from dicom_templates.objects.common_modules import ObjectIdentity
from dicom_templates.objects.content_items import separate_containers
from dicom_templates.options import Predecessor
from dicom_templates.origin.patient_study import nameless_header
from dicom_templates.origin.provenance import MANUFACTURER
from dicom_templates.origin.source_series import SourceSeries

__all__ = ["evidence", "sr_document"]

_IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")

_DOCUMENTS: Mapping[UID, type] = MappingProxyType(
    {
        ComprehensiveSRStorage: ComprehensiveSR,
        Comprehensive3DSRStorage: Comprehensive3DSR,
        EnhancedSRStorage: EnhancedSR,
    }
)


def sr_document(
    storage: UID,
    root: ContentItem,
    documents: Iterable[Dataset],
    identity: ObjectIdentity,
    *,
    procedure: Code = codes.LN.MRIUnspecifiedBodyRegion,
    predecessors: Iterable[Predecessor] = (),
) -> Dataset:
    """Write an SR document, complete but neither verified nor final, because no person has read it.

    Parameters
    ----------
    storage : UID
        Comprehensive SR, Comprehensive 3D SR or Enhanced SR Storage.
    root : ContentItem
        The content tree.
    documents : iterable of Dataset
        Headers of the objects it refers to, from `evidence`.
    identity : ObjectIdentity
        UIDs, series number and description of the document.
    procedure : Code
        The procedure that was performed; by default the region of the MRI is not told.
    predecessors : iterable of Predecessor
        Earlier documents of the same storage class, which this one replaces.

    Returns
    -------
    Dataset
    """
    separate_containers(root)
    children = root.ContentSequence
    earlier = [_reference(one) for one in predecessors]
    # highdicom copies the tree, reads it back and searches it: a third of the time that all objects take. Its
    # constructor gets the root alone. The tree is put in whole; the search for evidence is left to a test.
    root.ContentSequence = []
    document: Dataset = _DOCUMENTS[storage](
        evidence=list(documents),
        content=root,
        series_instance_uid=identity.series_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
        series_description=identity.description,
        previous_versions=earlier or None,
        performed_procedure_codes=[procedure],
    )
    document.ContentSequence = root.ContentSequence = children
    return document


def evidence(sources: Iterable[SourceSeries], own: Iterable[Dataset] = ()) -> list[Dataset]:
    """List the objects that a document refers to.

    Parameters
    ----------
    sources : iterable of SourceSeries
        The analysed series; each of their objects is listed once.
    own : iterable of Dataset
        Other objects of the same study, such as a SEG.

    Returns
    -------
    list of Dataset
        Headers with identifiers only; `finish` copies patient and study.
    """
    listed = [
        nameless_header(str(source.header.StudyInstanceUID), source.series_uid, *one)
        for source in sources
        for one in dict.fromkeys((one.sop_class_uid, one.sop_instance_uid) for one in source.images)
    ]
    listed += [nameless_header(*(str(one[keyword].value) for keyword in _IDENTIFIERS)) for one in own]
    return listed


def _reference(predecessor: Predecessor) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = predecessor.study_uid
    item.SeriesInstanceUID = predecessor.series_uid
    item.SOPClassUID = predecessor.sop_class_uid
    item.SOPInstanceUID = predecessor.sop_instance_uid
    return item
