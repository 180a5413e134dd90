"""Read one DICOM file, also one that breaks the rules of the file format but whose content is certain."""

import os
from pathlib import Path
from typing import TypeAlias

from pydicom import Dataset, FileDataset, config, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import VR

from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from node.decode.inflated import check_inflated
from node.domain.header import HEADER_BYTES, CutOffHeaderError, InstanceIdentity, read_identity
from node.domain.identifiers import is_uid

__all__ = ["SeriesKey", "identity_of", "read_header", "read_object", "series_of"]

SeriesKey: TypeAlias = tuple[str, str]
"""Study and Series Instance UID."""

_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_FIRST_GROUPS = {b"\x02\x00", b"\x08\x00", b"\x00\x08"}
"""Group of the first element of an object without preamble: file meta information or the dataset itself."""
_META_LENGTH_AT, _META_AT = 140, 144
_VRS = {str(vr) for vr in VR}
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def read_header(path: Path) -> Dataset:
    """Read a file without its pixel data.

    Elements may stand in any order, and the preamble may be missing.

    Raises
    ------
    RefusedError
        If it is not a DICOM file, or lacks what identifies an image.
    Exception
        Whatever pydicom raises on damaged bytes.
    """
    header: Dataset = _read(path, stop_before_pixels=True)
    if not all(map(header.get, _UIDS)):
        header = _read(path, stop_before_pixels=False)  # they may stand behind the pixels
        for keyword in _PIXELS:
            if keyword in header:
                del header[keyword]
    if missing := [keyword for keyword in _UIDS if not header.get(keyword)]:
        code = "dicom_cut_off" if _is_cut_off(path) else "dicom_incomplete"
        raise RefusedError(Reason(code, missing=", ".join(missing)))
    if wrong := [keyword for keyword in _UIDS if not is_uid(str(header.get(keyword)))]:
        raise RefusedError(Reason("uid_invalid", keyword=", ".join(wrong)))
    return header


def read_object(path: Path) -> Dataset:
    """Read a whole file, as `read_header` does."""
    return _read(path, stop_before_pixels=False)


def series_of(path: Path) -> SeriesKey | None:
    """Tell to which series a file that cannot be read belongs; None if not even that can be read."""
    try:
        identity = identity_of(path)
    except Exception:  # noqa: BLE001 - the file is known to be damaged, in whatever way
        return None
    return identity.study_uid, identity.series_uid


def identity_of(path: Path, *, with_facts: bool = False) -> InstanceIdentity:
    """Read the identity of an object in a file of Part 10, as a receiver reads it from the dataset.

    Raises
    ------
    UnreadableHeaderError
        See `read_identity`.
    Exception
        Whatever pydicom raises on files of another kind.
    """
    syntax = str(read_file_meta_info(path).TransferSyntaxUID)
    with path.open("rb") as file:
        start = file.read(_META_AT)
        file.seek(int.from_bytes(start[_META_LENGTH_AT:], "little"), os.SEEK_CUR)
        return read_identity(file.read(HEADER_BYTES), syntax, with_facts=with_facts)


def _is_cut_off(path: Path) -> bool:
    try:
        identity_of(path)
    except CutOffHeaderError:
        return True
    except Exception:  # noqa: BLE001 - it is damaged in another way
        return False
    return False


def _read(path: Path, *, stop_before_pixels: bool) -> FileDataset:
    check_inflated(path)
    try:
        found = dcmread(path, stop_before_pixels=stop_before_pixels)
    except InvalidDicomError:
        with path.open("rb") as file:
            if file.read(2) not in _FIRST_GROUPS:
                raise RefusedError(Reason("no_dicom")) from None
        return _without_preamble(path, stop_before_pixels=stop_before_pixels)
    if not found.original_encoding[0] and any(_has_no_vr(found, tag) for tag in found.keys()):  # noqa: SIM118 - elements
        return _with_unknown_vrs(path, stop_before_pixels=stop_before_pixels)
    return found


def _has_no_vr(dataset: Dataset, tag: BaseTag) -> bool:
    element = dataset.get_item(tag)
    return isinstance(element, RawDataElement) and element.VR not in _VRS


def _with_unknown_vrs(path: Path, *, stop_before_pixels: bool) -> FileDataset:
    """Read a file with elements of explicit VR whose VR does not exist, such as the "??" of some writers.

    Their length has two bytes, as that of most VRs; pydicom would take them for elements of implicit VR, and
    lose all that follows. Their true VR is that of the dictionary.
    """
    switches = config.assume_implicit_vr_switch
    config.assume_implicit_vr_switch = False
    try:
        found = dcmread(path, stop_before_pixels=stop_before_pixels)
    finally:
        config.assume_implicit_vr_switch = switches
    for tag in list(found.keys()):
        if _has_no_vr(found, tag):
            raw = found.get_item(tag)
            found[tag] = RawDataElement(*raw)._replace(VR=None)  # type: ignore[misc]  # a raw element
    return found


def _without_preamble(path: Path, *, stop_before_pixels: bool) -> FileDataset:
    """Read a file that begins with its file meta information, or with the dataset."""
    found = dcmread(path, stop_before_pixels=stop_before_pixels, force=True)
    if not all(map(found.get, _UIDS)):
        raise RefusedError(Reason("no_dicom"))
    if "TransferSyntaxUID" not in found.file_meta:
        # pydicom has found out from the first element how the dataset is encoded.
        implicit, little = found.original_encoding
        plain = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        found.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else plain
    return found
