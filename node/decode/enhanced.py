"""Enhanced (multi-frame) MR: every frame as the header that a classic image of it would have.

One object may hold several stacks, echoes or phases, so its frames are sorted into stacks first; from there
on a stack of frames is read, identified and refused by the same code as a series of classic images.

References
----------
DICOM PS3.3 A.36 Enhanced MR Image IOD, C.7.6.16 Multi-frame Functional Groups, C.8.13.5 MR functional groups;
A.71 Legacy Converted Enhanced MR Image IOD.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items
from pydicom.uid import EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage

__all__ = ["MULTI_FRAME_CLASSES", "frame_headers", "stacks"]

MULTI_FRAME_CLASSES = frozenset({EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage})

_MOST_FRAMES = 10_000
"""A spine has some tens; a header with more is not walked through."""

_OF_OBJECT = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "PatientID", "IssuerOfPatientID", "Modality", "ImageType", "Manufacturer", "ManufacturerModelName",
    "BodyPartExamined", "SeriesDescription", "ProtocolName", "MRAcquisitionType", "MagneticFieldStrength",
    "Rows", "Columns", "ContrastBolusAgentSequence", "EchoPulseSequence", "EchoPlanarPulseSequence",
    "PulseSequenceName", "SpectrallySelectedSuppression", "ComplexImageComponent", "AcquisitionContrast",
)  # fmt: skip
"""What is told once for all frames; the first ones are what makes a classic header too."""

_UNTOLD = {"", "UNKNOWN", "MIXED", "NONE"}


def frame_headers(header: Dataset) -> tuple[Dataset, ...]:
    """Write the header of every frame, in the terms of a classic MR image.

    Parameters
    ----------
    header : Dataset
        Of an Enhanced or Legacy Converted Enhanced MR object.

    Returns
    -------
    tuple of Dataset
        One per frame, in their order; empty if the object does not describe its frames one by one.
    """
    per_frame = _items(header, "PerFrameFunctionalGroupsSequence")
    told = _value(header, "NumberOfFrames")
    if not 0 < len(per_frame) <= _MOST_FRAMES or told != len(per_frame):
        return ()
    shared = _items(header, "SharedFunctionalGroupsSequence")[:1]
    common = Dataset()
    for keyword in _OF_OBJECT:
        if keyword in header:
            common[keyword] = header.get_item(keyword)  # as it was encoded, read when somebody asks
    for groups in shared:
        _take_over(common, groups)
    return tuple(_in_classic_terms(common, groups) for groups in per_frame)


def stacks(frames: Sequence[Dataset]) -> tuple[tuple[int, ...], ...]:
    """Sort frames into stacks: what one sequence acquired in one place under the same conditions.

    Parameters
    ----------
    frames : sequence of Dataset
        From `frame_headers`, of one or of several objects of a series.

    Returns
    -------
    tuple of tuple of int
        Indices of the frames of each stack, in their order; stacks in the order of their first frames.
    """
    found: dict[tuple[str, ...], list[int]] = {}
    for index, frame in enumerate(frames):
        found.setdefault(_conditions(frame), []).append(index)
    return tuple(tuple(indices) for indices in found.values())


def _conditions(frame: Dataset) -> tuple[str, ...]:
    """Return what the frames of one stack have in common and those of another have not."""
    place = _value(frame, "StackID") or [round(float(x), 2) for x in _all(frame, "ImageOrientationPatient")]
    alike = (
        *("ImageType", "EchoTime", "InversionTime", "ContrastBolusAgent", "TemporalPositionIndex"),
        *("DiffusionBValue", "MRAcquisitionType", "Rows", "Columns"),
    )
    return tuple(str(value) for value in (place, *(_value(frame, keyword) for keyword in alike)))


def _in_classic_terms(common: Dataset, groups: Dataset) -> Dataset:
    frame = Dataset()
    frame.update(common)
    _take_over(frame, groups)
    frame.ImageType = _image_type(frame)
    frame.ScanningSequence = list(_scanning_sequence(frame))
    frame.ScanOptions = list(_scan_options(frame))
    frame.ContrastBolusAgent = _agent(frame)
    for classic, enhanced in _RENAMED:
        if classic not in frame and (values := _all(frame, enhanced)):
            setattr(frame, classic, values[0])
    if _value(frame, "InversionRecovery") == "NO" and "InversionTime" in frame:
        del frame.InversionTime
    if regions := _items(frame, "AnatomicRegionSequence"):
        frame.BodyPartExamined = _value(frame, "BodyPartExamined") or str(
            _value(regions[0], "CodeMeaning") or ""
        )
    return frame


_RENAMED = (
    ("EchoTime", "EffectiveEchoTime"),
    ("EchoTrainLength", "RFEchoTrainLength"),
    ("InversionTime", "InversionTimes"),
    ("SequenceName", "PulseSequenceName"),
)
"""Classic attributes and those that tell the same in functional groups."""


def _take_over(frame: Dataset, groups: Dataset) -> None:
    """Copy the attributes of every functional group macro; each holds one item (PS3.3 C.7.6.16.2)."""
    for element in groups:
        if element.VR == "SQ" and element.value:
            frame.update(element.value[0])


def _image_type(frame: Dataset) -> list[str]:
    """Frame Type, and from PS3.3 C.8.13.3.1.1 what a classic Image Type would have to say beside it."""
    told = [str(word) for word in _all(frame, "FrameType") or _all(frame, "ImageType")]
    component = str(_value(frame, "ComplexImageComponent") or "")
    contrast = str(_value(frame, "AcquisitionContrast") or "")
    if component not in _UNTOLD | {"MAGNITUDE"}:
        told.append("PHASE")  # or a real or imaginary part, which is no picture of the anatomy either
    if contrast not in _UNTOLD:
        told.append(contrast)
    return told


def _scanning_sequence(frame: Dataset) -> Iterator[str]:
    pulse = _value(frame, "EchoPulseSequence")
    if pulse in {"SPIN", "BOTH"}:
        yield "SE"
    if pulse in {"GRADIENT", "BOTH"}:
        yield "GR"
    if _value(frame, "InversionRecovery") == "YES":
        yield "IR"
    if _value(frame, "EchoPlanarPulseSequence") == "YES":
        yield "EP"
    if pulse is None:  # a converted object still has the classic words
        yield from (str(word) for word in _all(frame, "ScanningSequence"))


def _scan_options(frame: Dataset) -> Iterator[str]:
    yield from (str(word) for word in _all(frame, "ScanOptions"))
    suppressed = str(_value(frame, "SpectrallySelectedSuppression") or "")
    excited = str(_value(frame, "SpectrallySelectedExcitation") or "")
    if suppressed.startswith("FAT") or excited == "WATER":
        yield "FS"


def _agent(frame: Dataset) -> str:
    """Name the contrast agent that was in the patient when this frame was acquired."""
    usage = [
        _value(item, "ContrastBolusAgentAdministered") for item in _items(frame, "ContrastBolusUsageSequence")
    ]
    if not usage and (told := _value(frame, "ContrastBolusAgentAdministered")) is not None:
        usage = [told]
    agents = _items(frame, "ContrastBolusAgentSequence")
    if not agents or (usage and set(usage) == {"NO"}):
        return str(_value(frame, "ContrastBolusAgent") or "")
    return str(_value(agents[0], "CodeMeaning") or "contrast agent")


def _value(header: Dataset, keyword: str) -> Any:  # noqa: ANN401 - a header may hold anything
    # pydicom parses values when they are first asked for, and damaged ones fail only then.
    try:
        return header.get(keyword)
    except (TypeError, ValueError):
        return None


def _all(header: Dataset, keyword: str) -> list[Any]:
    value = _value(header, keyword)
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, MultiValue) else [value]


def _items(header: Dataset, keyword: str) -> list[Dataset]:
    value = _value(header, keyword)
    return list(value) if isinstance(value, Items) else []
