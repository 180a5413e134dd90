"""Constructors of the content items in our SR documents."""

from collections.abc import Iterable
from datetime import date

import numpy as np
import numpy.typing as npt
from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DateContentItem,
    GraphicTypeValues,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    ScoordContentItem,
    SourceImageForRegion,
    TextContentItem,
    UIDRefContentItem,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicom_templates.origin.provenance import MANUFACTURER, MODEL_NAME, Provenance
from dicom_templates.origin.source_series import ImageReference

__all__ = [
    "code",
    "container",
    "day",
    "device_observer",
    "image",
    "language_item",
    "number",
    "separate_containers",
    "shape",
    "text",
    "uid_reference",
]

CONTAINS = RelationshipTypeValues.CONTAINS
CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT
OBSERVATION = RelationshipTypeValues.HAS_OBS_CONTEXT
MODIFIER = RelationshipTypeValues.HAS_CONCEPT_MOD


def text(name: Code, value: str, relationship: RelationshipTypeValues = CONTAINS) -> ContentItem:
    """Write a TEXT item."""
    return TextContentItem(name=name, value=value, relationship_type=relationship)


def code(name: Code, value: Code, relationship: RelationshipTypeValues = CONTAINS) -> ContentItem:
    """Write a CODE item."""
    return CodeContentItem(name=name, value=value, relationship_type=relationship)


def number(
    name: Code, value: float, unit: Code, relationship: RelationshipTypeValues = CONTAINS
) -> ContentItem:
    """Write a NUM item."""
    return NumContentItem(name=name, value=float(value), unit=unit, relationship_type=relationship)


def day(name: Code, value: date, relationship: RelationshipTypeValues = CONTAINS) -> ContentItem:
    """Write a DATE item."""
    return DateContentItem(name=name, value=value, relationship_type=relationship)


def uid_reference(name: Code, value: str, relationship: RelationshipTypeValues = CONTAINS) -> ContentItem:
    """Write a UIDREF item."""
    return UIDRefContentItem(name=name, value=value, relationship_type=relationship)


def image(name: Code, reference: ImageReference) -> ContentItem:
    """Write an IMAGE item that refers to one slice."""
    return ImageContentItem(
        name=name,
        referenced_sop_class_uid=reference.sop_class_uid,
        referenced_sop_instance_uid=reference.sop_instance_uid,
        referenced_frame_numbers=reference.frame,
        relationship_type=CONTAINS,
    )


def container(name: Code, items: Iterable[ContentItem], *, template: str | None = None) -> ContentItem:
    """Write a CONTAINER item below the root."""
    item = ContainerContentItem(name=name, relationship_type=CONTAINS, template_id=template)
    item.ContentSequence = ContentSequence(items)
    return item


def shape(
    name: Code, kind: GraphicTypeValues, points: npt.NDArray[np.float64], reference: ImageReference
) -> ContentItem:
    """Write an SCOORD item, a point or a line on a slice.

    Parameters
    ----------
    name : Code
        What is drawn.
    kind : GraphicTypeValues
        POINT or POLYLINE.
    points : ndarray of shape (n, 2)
        (column, row), pixel centres at .5.
    reference : ImageReference
        The slice.

    Returns
    -------
    ContentItem
    """
    item = ScoordContentItem(name=name, graphic_type=kind, graphic_data=points, relationship_type=CONTAINS)
    item.ContentSequence = ContentSequence(
        [
            SourceImageForRegion(
                referenced_sop_class_uid=reference.sop_class_uid,
                referenced_sop_instance_uid=reference.sop_instance_uid,
                referenced_frame_numbers=None if reference.frame is None else [reference.frame],
            )
        ]
    )
    return item


def language_item(tag: str, meaning: str) -> ContentItem:
    """Write the item that names the language of a document (TID 1204)."""
    return code(codes.DCM.LanguageOfContentItemAndDescendants, Code(tag, "RFC5646", meaning), MODIFIER)


def device_observer(provenance: Provenance) -> list[ContentItem]:
    """Write the items that name a device as the observer (TID 1001, 1004)."""
    return [
        code(codes.DCM.ObserverType, codes.DCM.Device, OBSERVATION),
        uid_reference(codes.DCM.DeviceObserverUID, provenance.device_uid, OBSERVATION),
        text(codes.DCM.DeviceObserverName, provenance.station, OBSERVATION),
        text(codes.DCM.DeviceObserverManufacturer, MANUFACTURER, OBSERVATION),
        text(codes.DCM.DeviceObserverModelName, MODEL_NAME, OBSERVATION),
        text(codes.DCM.DeviceObserverSerialNumber, provenance.station, OBSERVATION),
    ]


def separate_containers(item: Dataset) -> None:
    """Mark every container as SEPARATE, at every depth.

    highdicom writes CONTINUOUS, which means running text: dsr2html and OHIF then show the values of a group
    without their names.
    """
    if item.get("ValueType") == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence", ()):
        separate_containers(child)
