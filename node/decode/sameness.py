"""Compare a received instance with the one that is kept under its SOP Instance UID.

An archive may send an instance again in another transfer syntax, with attributes of its own (Retrieve AE
Title, group lengths), or with the identity that its patient has after a merge. What decides is what a result
depends on: the identity of the instance, the geometry and meaning of its pixels, and the pixels.
"""

import unicodedata
from itertools import zip_longest
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.pixels.utils import pixel_array

from node.decode.apart import apart
from node.decode.codestream import check_frame
from node.decode.enhanced import MULTI_FRAME_CLASSES, frame_headers
from node.decode.header_values import number, numbers, text
from node.decode.reading import read_object
from node.domain.person import Person
from node.domain.records import Sameness

__all__ = ["compare_instances"]

_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_PLACE = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
_NUMBERS = (
    *("Rows", "Columns", "SamplesPerPixel", "BitsStored", "PixelRepresentation", "NumberOfFrames"),
    *("RescaleSlope", "RescaleIntercept", "SliceThickness", "SpacingBetweenSlices", "PixelPaddingValue"),
)
_TEXTS = ("PhotometricInterpretation", "PresentationLUTShape", "LossyImageCompression")
_WRITTEN_BY_ARCHIVES = {
    *("RetrieveAETitle", "InstanceAvailability", "StorageMediaFileSetUID", "StorageMediaFileSetID"),
    *("SpecificCharacterSet", "TimezoneOffsetFromUTC", "InstanceCoercionDateTime"),
}
_CPU_LIMIT_S = 60.0
_ENOUGH = 1e-6


def compare_instances(kept: Path, arrived: Path) -> Sameness:
    """Compare two files of one SOP Instance UID.

    Parameters
    ----------
    kept, arrived : Path
        The file in the storage, and the one that was received now.

    Returns
    -------
    Sameness
        `OTHER` also if one of them cannot be read, because then nothing shows that they are the same.
    """
    try:
        return _compare(read_object(kept), read_object(arrived))
    except Exception:  # noqa: BLE001 - whatever damaged bytes raise
        return Sameness.OTHER


def _compare(kept: Dataset, arrived: Dataset) -> Sameness:
    if any(text(kept, keyword) != text(arrived, keyword) for keyword in _UIDS):
        return Sameness.OTHER
    same = _same_image(kept, arrived) if "PixelData" in kept else _same_document(kept, arrived)
    if not same:
        return Sameness.OTHER
    return Sameness.SAME if _patient(kept) == _patient(arrived) else Sameness.OTHER_PATIENT


def _same_image(kept: Dataset, arrived: Dataset) -> bool:
    if not _alike(kept, arrived):
        return False
    if kept.SOPClassUID in MULTI_FRAME_CLASSES:
        frames = zip_longest(frame_headers(kept), frame_headers(arrived))
        if not all(one is not None and other is not None and _alike(one, other) for one, other in frames):
            return False
    if _syntax(kept) == _syntax(arrived) and kept.PixelData == arrived.PixelData:
        return True
    return bool(apart(lambda: _same_pixels(kept, arrived), cpu_limit_s=_CPU_LIMIT_S))


def _alike(kept: Dataset, arrived: Dataset) -> bool:
    return (
        all(text(kept, keyword) == text(arrived, keyword) for keyword in _TEXTS)
        and all(_close(number(kept, keyword), number(arrived, keyword)) for keyword in _NUMBERS)
        and all(
            _close(numbers(kept, keyword, count), numbers(arrived, keyword, count))
            for keyword, count in _PLACE.items()
        )
    )


def _close(one: list[float] | float | None, other: list[float] | float | None) -> bool:
    """Tell whether two values are the same, but for the digits that another program writes."""
    if one is None or other is None:
        return one is other
    return bool(np.allclose(one, other, rtol=_ENOUGH, atol=_ENOUGH))


def _syntax(dataset: Dataset) -> tuple[bool, bool, str]:
    """Return what decides how pixel data are encoded, which is the same for most uncompressed syntaxes."""
    syntax = dataset.file_meta.TransferSyntaxUID
    return syntax.is_compressed, syntax.is_little_endian, str(syntax) if syntax.is_compressed else ""


def _same_pixels(kept: Dataset, arrived: Dataset) -> bool:
    count = int(number(kept, "NumberOfFrames") or 1)
    for index in range(count):
        for dataset in (kept, arrived):
            check_frame(dataset, index)
        if not np.array_equal(pixel_array(kept, index=index), pixel_array(arrived, index=index)):
            return False
    return True


def _same_document(kept: Dataset, arrived: Dataset) -> bool:
    """Compare objects without pixel data, which no result depends on."""
    patient = {"PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex"}

    def content(dataset: Dataset) -> dict[int, object]:
        return {
            int(element.tag): element.value
            for element in dataset
            if element.tag.element != 0 and element.keyword not in _WRITTEN_BY_ARCHIVES | patient
        }

    return "PixelData" not in arrived and content(kept) == content(arrived)


def _patient(dataset: Dataset) -> tuple[str, str, str, Person]:
    """Return who the patient is, however that is encoded and padded."""
    name = unicodedata.normalize("NFC", text(dataset, "PatientName")).rstrip("^= ")
    person = Person.of(text(dataset, "PatientBirthDate"), text(dataset, "PatientSex"))
    return text(dataset, "PatientID"), text(dataset, "IssuerOfPatientID"), name, person
