"""The measured voxels as a Segmentation object (SEG) on the grid of its source.

References
----------
DICOM PS3.3 A.51 Segmentation IOD, C.8.20.4 Segment Description Macro; PS3.16 CID 7150, CID 7602.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from highdicom import AlgorithmIdentificationSequence, PlanePositionSequence
from highdicom.color import CIELabColor
from highdicom.content import PixelMeasuresSequence, PlaneOrientationSequence
from highdicom.seg import Segmentation, SegmentDescription
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from analysis.domain.findings import SeriesFindings
from analysis.domain.segmentation import Level
from dicom_templates.codes.concepts import structure_of
from dicom_templates.objects.common_modules import ObjectIdentity
from dicom_templates.origin.patient_study import nameless_header
from dicom_templates.origin.provenance import MANUFACTURER, MODEL_NAME, Provenance
from dicom_templates.origin.source_series import ImageReference, SourceSeries, instance_item
from dicom_templates.origin.uids import derive_uid
from dicom_templates.words.levels import level_names
from dicom_templates.words.texts import Texts

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

__all__ = ["LEVEL_COLOURS", "SegmentNumbers", "segmentation_object"]

SegmentNumbers = Mapping[Level, int]
"""Segment number of each level in a SEG."""

LEVEL_COLOURS: Mapping[Level, tuple[int, int, int]] = MappingProxyType(
    {
        Level.T11: (240, 228, 66),
        Level.T12: (204, 121, 167),
        Level.L1: (86, 180, 233),
        Level.L2: (230, 159, 0),
        Level.L3: (0, 158, 115),
        Level.L4: (204, 121, 167),
        Level.L5: (0, 114, 178),
        Level.S1: (213, 94, 0),
    }
)
"""sRGB; neighbouring levels differ for every kind of colour vision (Okabe and Ito 2008)."""

_CSF_COLOUR = (240, 228, 66)
_ENGLISH = Texts("en")
"""Segment labels are the same in results of every language."""


def segmentation_object(
    found: SeriesFindings,
    source: SourceSeries,
    provenance: Provenance,
    identity: ObjectIdentity,
) -> tuple[Dataset, SegmentNumbers]:
    """Write the labelled bodies of one series, and the CSF that the VBQ refers to, as a SEG.

    Parameters
    ----------
    found : SeriesFindings
        An analysed series with at least one region.
    source : SourceSeries
        The images it was made from.
    provenance : Provenance
        The maker.
    identity : ObjectIdentity
        Its UIDs, series number and description.

    Returns
    -------
    Dataset
        With a frame for every segment and slice, empty ones too, so that readers get the grid of the source.
    SegmentNumbers
        Segment number of each level.
    """
    contrast = found.identification.contrast.value
    segments, numbers = _segments(found, source, provenance)
    seg = Segmentation(
        source_images=[_stand_in(source, one, found.source.volume.grid.shape) for one in source.images],
        pixel_array=_pixels(found, numbers),
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=identity.series_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL_NAME,
        software_versions=provenance.software,
        device_serial_number=provenance.station,
        content_description=f"Vertebral bodies in the {contrast} series",
        content_label="VERTEBRAL_BODIES",
        series_description=identity.description,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        pixel_measures=PixelMeasuresSequence(
            pixel_spacing=[float(x) for x in source.pixel_spacing_mm],
            slice_thickness=float(source.thickness_mm),
            spacing_between_slices=round(source.spacing_mm, 6),
        ),
        plane_orientation=PlaneOrientationSequence(
            "PATIENT", image_orientation=[float(x) for x in source.orientation]
        ),
        plane_positions=[
            PlanePositionSequence("PATIENT", image_position=[float(x) for x in one.position])
            for one in source.images
        ],
        omit_empty_frames=False,
    )
    _refer_to_frames(seg, source)
    _fix_dimensions(seg, provenance.uid("seg", contrast, "dimensions"))
    return seg, numbers


def _pixels(found: SeriesFindings, numbers: SegmentNumbers) -> npt.NDArray[np.uint8]:
    """Return the segment number of each voxel; a mask for each segment, if fluid and bodies overlap.

    All masks together are as large as two images of single precision, and highdicom copies them.
    """
    segmentation = found.segmentation
    number_of = np.zeros(max(Level) + 1, np.uint8)
    for level, number in numbers.items():
        number_of[level] = number
    voxels = np.zeros(segmentation.labels.shape, np.uint8)
    voxels[segmentation.box] = number_of[segmentation.labels[segmentation.box]]
    if segmentation.csf is None or not segmentation.csf.part.mask.any():
        return voxels
    fluid = segmentation.csf.part
    if (voxels[fluid.box][fluid.mask] > 0).any():
        masks = [voxels == number for number in numbers.values()]
        return np.stack([*masks, segmentation.csf.mask], axis=-1).astype(np.uint8)
    voxels[fluid.box][fluid.mask] = len(numbers) + 1
    return voxels


def _segments(
    found: SeriesFindings, source: SourceSeries, provenance: Provenance
) -> tuple[list[SegmentDescription], dict[Level, int]]:
    segmentation = found.segmentation
    name, _, version = segmentation.method.rpartition(" ")
    algorithm = AlgorithmIdentificationSequence(
        name=name or segmentation.method,
        # Mandatory; an outline from elsewhere is taken to be at least partly drawn by a person.
        family=(
            codes.DCM.ArtificialIntelligence if segmentation.automatic else codes.cid7162.ManualProcessing
        ),
        version=version or provenance.version,
    )
    names = level_names(found, _ENGLISH)
    structures: list[tuple[str, str, Code, tuple[int, int, int]]] = [
        (
            region.level.name,
            f"{names[region.level]} vertebral body",
            structure_of(region.level, certain=segmentation.levels_certain),
            LEVEL_COLOURS[region.level],
        )
        for region in segmentation.regions
    ]
    if segmentation.csf is not None and segmentation.csf.part.mask.any():
        structures.append(("csf", "CSF behind L3", codes.SCT.CerebrospinalFluid, _CSF_COLOUR))
    described = [
        SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=(
                codes.SCT.BodySubstance if key == "csf" else codes.SCT.AnatomicalStructure
            ),
            segmented_property_type=structure,
            algorithm_type="AUTOMATIC" if segmentation.automatic else "SEMIAUTOMATIC",
            algorithm_identification=algorithm,
            tracking_uid=provenance.tracking_uid(source.series_uid, key),
            tracking_id=f"{label} {found.identification.contrast.value}",
            display_color=CIELabColor.from_rgb(*colour),
        )
        for number, (key, label, structure, colour) in enumerate(structures, start=1)
    ]
    numbers = {region.level: number for number, region in enumerate(segmentation.regions, start=1)}
    return described, numbers


def _refer_to_frames(seg: Dataset, source: SourceSeries) -> None:
    """Make references to stand-in objects refer to the frames of the enhanced object."""
    if all(one.frame is None for one in source.images):
        return
    by_stand_in = {_stand_in_uid(one): one for one in source.images}
    for groups in seg.PerFrameFunctionalGroupsSequence:
        item = groups.DerivationImageSequence[0].SourceImageSequence[0]
        reference = by_stand_in.get(item.ReferencedSOPInstanceUID)
        if reference is None:
            # Already replaced: in highdicom the frames of all segments at one slice share this item.
            continue
        item.ReferencedSOPClassUID = reference.sop_class_uid
        item.ReferencedSOPInstanceUID = reference.sop_instance_uid
        item.ReferencedFrameNumber = reference.frame
    series = seg.ReferencedSeriesSequence[0]
    instances = dict.fromkeys((one.sop_class_uid, one.sop_instance_uid) for one in source.images)
    series.ReferencedInstanceSequence = [instance_item(*one) for one in instances]


def _fix_dimensions(seg: Dataset, uid: str) -> None:
    """Replace the random Dimension Organization UID of highdicom, so that equal inputs give equal objects."""
    seg.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
    for item in seg.DimensionIndexSequence:
        item.DimensionOrganizationUID = uid


def _stand_in_uid(reference: ImageReference) -> str:
    if reference.frame is None:
        return reference.sop_instance_uid
    return derive_uid(reference.sop_instance_uid, str(reference.frame))


def _stand_in(source: SourceSeries, reference: ImageReference, shape: tuple[int, int, int]) -> Dataset:
    """Make a header of one slice that holds what highdicom reads and no more.

    Real headers may lack or misspell what it needs, and `finish` copies patient and study.
    """
    header = nameless_header(
        str(source.header.StudyInstanceUID), source.series_uid, MRImageStorage, _stand_in_uid(reference)
    )
    header.FrameOfReferenceUID = source.frame_of_reference_uid
    header.Modality = "MR"
    header.Rows, header.Columns = shape[1], shape[2]
    header.ImagePositionPatient = list(reference.position)
    header.ImageOrientationPatient = list(source.orientation)
    header.PixelSpacing = list(source.pixel_spacing_mm)
    header.SliceThickness = source.thickness_mm
    return header
