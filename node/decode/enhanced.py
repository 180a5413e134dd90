"""Enhanced (multi-frame) MR: each frame gets the header that a classic image of it would have.

One object may hold several stacks, echoes or phases, so its frames are first sorted into stacks. Each stack
is then handled by the same code as a series of classic images.

References
----------
DICOM PS3.3 A.36 Enhanced MR Image IOD, C.7.6.16 Multi-frame Functional Groups, C.8.13.5 MR functional groups;
A.71 Legacy Converted Enhanced MR Image IOD.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from pydicom import Dataset
from pydicom.uid import EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage

from node.decode.header_values import items, numbers, text, value, values

__all__ = ["MULTI_FRAME_CLASSES", "frame_headers", "frames_between", "stacks"]

MULTI_FRAME_CLASSES = frozenset({EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage})

_MOST_FRAMES = 10_000
"""A study of the spine has tens of frames; an object with more than this is not read."""

_COMMON = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "PatientID", "IssuerOfPatientID", "Modality", "ImageType", "Manufacturer", "ManufacturerModelName",
    "BodyPartExamined", "StudyDescription", "SeriesDescription", "ProtocolName", "MRAcquisitionType",
    "MagneticFieldStrength", "Rows", "Columns", "ContrastBolusAgentSequence", "EchoPulseSequence",
    "EchoPlanarPulseSequence",
    "PulseSequenceName", "SpectrallySelectedSuppression", "ComplexImageComponent", "AcquisitionContrast",
    "PatientPosition", "PixelPresentation", "AcquisitionDateTime", "AcquisitionDate", "SeriesDate",
    "StudyDate", "DeviceSerialNumber",
)  # fmt: skip
"""Attributes that an object states once for all its frames."""

_PARALLEL = 1e-3
_NEXT = 1.5
"""Frames within this many spacings of the end of a stack continue it."""

_UNSPECIFIC = {"", "UNKNOWN", "MIXED", "NONE"}


def frame_headers(header: Dataset) -> tuple[Dataset, ...]:
    """Return for each frame the header that a classic MR image of it would have.

    Parameters
    ----------
    header : Dataset
        Header of an Enhanced or Legacy Converted Enhanced MR object.

    Returns
    -------
    tuple of Dataset
        One per frame, in the order of the frames; empty if the object does not describe each frame.
    """
    per_frame = items(header, "PerFrameFunctionalGroupsSequence")
    if not 0 < len(per_frame) <= _MOST_FRAMES or value(header, "NumberOfFrames") != len(per_frame):
        return ()
    shared = items(header, "SharedFunctionalGroupsSequence")[:1]
    common = Dataset()
    for keyword in _COMMON:
        if keyword in header:
            common[keyword] = header.get_item(keyword)  # still encoded; pydicom decodes it on access
    for groups in shared:
        _copy_macros(common, groups)
    return tuple(_classic_header(common, groups) for groups in per_frame)


def stacks(frames: Sequence[Dataset]) -> tuple[tuple[int, ...], ...]:
    """Sort frames into stacks: those of one orientation that were acquired under the same conditions.

    Parameters
    ----------
    frames : sequence of Dataset
        Headers from `frame_headers`, of one or several objects of a series.

    Returns
    -------
    tuple of tuple of int
        Indices of the frames of each stack, in ascending order; stacks are ordered by their first frames.
    """
    found: dict[tuple[str, ...], list[int]] = {}
    for index, frame in enumerate(frames):
        found.setdefault(_conditions(frame), []).append(index)
    return tuple(tuple(indices) for indices in found.values())


def frames_between(frames: Sequence[Dataset], stack: Sequence[int]) -> tuple[int, ...]:
    """Return the frames that were acquired otherwise and lie where slices of a stack are missing.

    A stack of one echo beside one of another echo is whole, because both have a frame at each place. If one
    frame in two, or one in the middle, was acquired otherwise, the rest is not a stack.

    Parameters
    ----------
    frames : sequence of Dataset
        All frames of a series.
    stack : sequence of int
        Indices of the frames of one stack, from `stacks`.

    Returns
    -------
    tuple of int
        Indices of frames of other stacks.
    """
    places = [numbers(frame, "ImagePositionPatient", 3) for frame in frames]
    orientation = numbers(frames[stack[0]], "ImageOrientationPatient", 6)
    own = [place for index in stack if (place := places[index]) is not None]
    if orientation is None or len(own) < 2:
        return ()
    normal = np.cross(orientation[:3], orientation[3:])
    depths = np.sort(np.array(own) @ normal)
    gap = float(np.median(np.diff(depths)))

    def lies_between(index: int) -> bool:
        place, cosines = places[index], numbers(frames[index], "ImageOrientationPatient", 6)
        if place is None or cosines is None or np.abs(np.subtract(cosines, orientation)).max() > _PARALLEL:
            return False
        depth = float(np.dot(place, normal))
        across = np.subtract(place, own[0]) - (depth - float(np.dot(own[0], normal))) * normal
        near = depths[0] - _NEXT * gap < depth < depths[-1] + _NEXT * gap
        return bool(near and np.abs(across).max() < gap and np.abs(depths - depth).min() > gap / 4)

    own_frames = set(stack)
    first = frames[stack[0]]
    return tuple(
        index
        for index, frame in enumerate(frames)
        if index not in own_frames and _may_be_one_stack(frame, first) and lies_between(index)
    )


def _may_be_one_stack(frame: Dataset, other: Dataset) -> bool:
    return len({text(frame, "StackID"), text(other, "StackID")} - {""}) < 2


def _conditions(frame: Dataset) -> tuple[str, ...]:
    """Return the values that the frames of a stack share and by which stacks differ."""
    stack = value(frame, "StackID") or [round(float(x), 2) for x in values(frame, "ImageOrientationPatient")]
    alike = (
        *("ImageType", "EchoTime", "InversionTime", "ContrastBolusAgent", "TemporalPositionIndex"),
        *("DiffusionBValue", "MRAcquisitionType", "Rows", "Columns"),
    )
    return tuple(str(one) for one in (stack, *(value(frame, keyword) for keyword in alike)))


def _classic_header(common: Dataset, groups: Dataset) -> Dataset:
    frame = Dataset()
    frame.update(common)
    _copy_macros(frame, groups)
    frame.ImageType = _image_type(frame)
    frame.ScanningSequence = list(_scanning_sequence(frame))
    frame.ScanOptions = list(_scan_options(frame))
    frame.ContrastBolusAgent = _agent(frame)
    if "ContrastBolusAgentSequence" in frame:  # it stands for the object, the agent for this frame
        del frame.ContrastBolusAgentSequence
    for classic, enhanced in _RENAMED:
        if classic not in frame and (found := values(frame, enhanced)):
            setattr(frame, classic, found[0])
    if value(frame, "InversionRecovery") == "NO" and "InversionTime" in frame:
        del frame.InversionTime
    if regions := items(frame, "AnatomicRegionSequence"):
        frame.BodyPartExamined = value(frame, "BodyPartExamined") or str(
            value(regions[0], "CodeMeaning") or ""
        )
    return frame


_RENAMED = (
    ("EchoTime", "EffectiveEchoTime"),
    ("EchoTrainLength", "RFEchoTrainLength"),
    ("InversionTime", "InversionTimes"),
    ("SequenceName", "PulseSequenceName"),
)
"""Classic attributes and the equivalent attributes in functional groups."""


def _copy_macros(frame: Dataset, groups: Dataset) -> None:
    """Copy the attributes of every functional group macro; each holds one item (PS3.3 C.7.6.16.2).

    The Real World Value Mapping alone may hold several, and a classic image has it as the same sequence.
    """
    for element in groups:
        if element.keyword == "RealWorldValueMappingSequence":
            frame[element.tag] = element
        elif element.VR == "SQ" and element.value:
            frame.update(element.value[0])


def _image_type(frame: Dataset) -> list[str]:
    """Return the Frame Type, with the values of PS3.3 C.8.13.3.1.1 that a classic Image Type includes."""
    words = [str(word) for word in values(frame, "FrameType") or values(frame, "ImageType")]
    component = str(value(frame, "ComplexImageComponent") or "")
    contrast = str(value(frame, "AcquisitionContrast") or "")
    if component not in _UNSPECIFIC | {"MAGNITUDE"}:
        words.append("PHASE")  # or a real or imaginary part, which does not show the anatomy either
    if contrast not in _UNSPECIFIC:
        words.append(contrast)
    return words


def _scanning_sequence(frame: Dataset) -> Iterator[str]:
    pulse = value(frame, "EchoPulseSequence")
    if pulse in {"SPIN", "BOTH"}:
        yield "SE"
    if pulse in {"GRADIENT", "BOTH"}:
        yield "GR"
    if value(frame, "InversionRecovery") == "YES":
        yield "IR"
    if value(frame, "EchoPlanarPulseSequence") == "YES":
        yield "EP"
    if pulse is None:  # a converted object still has the classic attribute
        yield from (str(word) for word in values(frame, "ScanningSequence"))


def _scan_options(frame: Dataset) -> Iterator[str]:
    yield from (str(word) for word in values(frame, "ScanOptions"))
    suppressed = str(value(frame, "SpectrallySelectedSuppression") or "")
    excited = str(value(frame, "SpectrallySelectedExcitation") or "")
    if suppressed.startswith("FAT") or excited == "WATER":
        yield "FS"


def _agent(frame: Dataset) -> str:
    """Return the contrast agent that was present when the frame was acquired; empty if there was none."""
    usage = [
        value(item, "ContrastBolusAgentAdministered") for item in items(frame, "ContrastBolusUsageSequence")
    ]
    if not usage and (administered := value(frame, "ContrastBolusAgentAdministered")) is not None:
        usage = [administered]
    agents = items(frame, "ContrastBolusAgentSequence")
    if not agents or (usage and set(usage) == {"NO"}):
        return str(value(frame, "ContrastBolusAgent") or "")
    return str(value(agents[0], "CodeMeaning") or "contrast agent")
