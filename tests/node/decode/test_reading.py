"""Files that break the rules of DICOM are read where their content is certain, or refused in true words."""

from collections.abc import Sequence
from pathlib import Path
from struct import unpack
from zlib import decompress as inflate

import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from node.decode import decode, inflated, scan
from node.domain.header import read_identity
from tests.node.decode.test_damaged_instances import HEALTHY, encoded, images

pytestmark = pytest.mark.filterwarnings("ignore")

STUDY_UID, SOP_CLASS, PATIENT_ID = b"\x20\x00\x0d\x00", b"\x08\x00\x16\x00", b"\x10\x00\x20\x00"
REPETITION_TIME, STUDY_DATE, ROWS = b"\x18\x00\x80\x00", b"\x08\x00\x20\x00", b"\x28\x00\x10\x00"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.dcm" for number in range(3)]
    for path, image in zip(paths, images(HEALTHY), strict=True):
        image.save_as(path, enforce_file_format=True)
    return paths


def parts(path: Path) -> tuple[bytes, list[bytes]]:
    """Return what precedes the dataset, and its elements."""
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    elements, position = [], start
    while position < len(content):
        is_long = content[position + 4 : position + 6] in {b"OB", b"OW", b"SQ", b"UN", b"UT"}
        (length,) = (
            unpack("<I", content[position + 8 : position + 12])
            if is_long
            else unpack("<H", content[position + 6 : position + 8])
        )
        end = position + (12 if is_long else 8) + length
        elements.append(content[position:end])
        position = end
    return content[:start], elements


def moved_last(elements: Sequence[bytes], tag: bytes) -> list[bytes]:
    return sorted(elements, key=lambda one: one[:4] == tag)


def with_unknown_vr(elements: Sequence[bytes], tag: bytes) -> list[bytes]:
    return [one[:4] + b"??" + one[6:] if one[:4] == tag else one for one in elements]


def check_whole(files: list[Path]) -> None:
    (series,), unreadable = scan(files)
    assert not unreadable
    assert series.facts.repetition_time_ms == 600
    assert decode(series)[0].volume.voxels.shape[0] == 3


@pytest.mark.parametrize("tag", [STUDY_UID, PATIENT_ID, SOP_CLASS])
def test_elements_may_stand_in_any_order(files: list[Path], tag: bytes) -> None:
    head, elements = parts(files[1])
    body = b"".join(moved_last(elements, tag))
    files[1].write_bytes(head + body)
    check_whole(files)
    identity = read_identity(body, ExplicitVRLittleEndian)
    assert (identity.study_uid, identity.patient_id) == ("1.2.3", "1")


@pytest.mark.parametrize("tag", [STUDY_DATE, REPETITION_TIME, ROWS])
def test_an_element_of_a_vr_that_does_not_exist_is_read_by_its_tag(files: list[Path], tag: bytes) -> None:
    head, elements = parts(files[1])
    body = b"".join(with_unknown_vr(elements, tag))
    files[1].write_bytes(head + body)
    check_whole(files)
    assert read_identity(body, ExplicitVRLittleEndian).study_uid == "1.2.3"


@pytest.mark.parametrize("skipped", [132, None], ids=["no preamble", "no file meta information"])
def test_a_preamble_may_be_missing(files: list[Path], skipped: int | None) -> None:
    head, elements = parts(files[1])
    files[1].write_bytes((head + b"".join(elements))[len(head) if skipped is None else skipped :])
    check_whole(files)


@pytest.mark.parametrize(("tag", "keyword"), [(SOP_CLASS, "SOPClassUID"), (STUDY_UID, "StudyInstanceUID")])
def test_what_is_missing_is_named_and_not_called_truncated(
    files: list[Path], tag: bytes, keyword: str
) -> None:
    head, elements = parts(files[1])
    files[1].write_bytes(head + b"".join(one for one in elements if one[:4] != tag))
    _, (file,) = scan(files)
    assert file.reason == f"the DICOM object has no {keyword}"


def test_what_is_cut_off_is_called_so(files: list[Path]) -> None:
    files[1].write_bytes(files[1].read_bytes()[:600])
    _, (file,) = scan(files)
    assert file.reason == "the DICOM object is cut off before its StudyInstanceUID, SeriesInstanceUID"


def test_what_is_no_uid_is_called_so(files: list[Path]) -> None:
    head, elements = parts(files[1])
    files[1].write_bytes(head + b"".join(elements).replace(b"1.2.3.10", b"../../ab"))
    _, (file,) = scan(files)
    assert file.reason == "the SeriesInstanceUID of the DICOM object is no UID"


def inflating(path: Path, zeros: int) -> None:
    """Write a deflated file like another, with so many zeros in a private element before the pixels."""
    image = dcmread(path)
    image.add_new(0x00110010, "LO", "PADDING")
    image.add_new(0x00111001, "OB", bytes(zeros))
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    image.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize(
    ("memory", "free", "told"),
    [
        (2**40, 2**21, "an instance inflates to more than 2 MB and is not read"),
        (2**22, 2**30, "an instance inflates to more than 1 MB and is not read"),
        (2**40, 2**22, None),
    ],
    ids=["a hundred times its size", "its part of the memory", "neither"],
)
def test_a_deflated_bomb_costs_its_series_and_is_never_inflated_whole(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, memory: int, free: int, told: str | None
) -> None:
    inflating(files[1], 3 * 2**20)
    monkeypatch.setattr(inflated, "_FREE_BYTES", free)
    monkeypatch.setattr("resource.getrlimit", lambda _which: (memory, memory))
    whole: list[int] = []

    def decompress(data: bytes, bits: int) -> bytes:
        content = inflate(data, bits)
        whole.append(len(content))
        return content

    monkeypatch.setattr("pydicom.filereader.zlib.decompress", decompress)
    (series,), unreadable = scan(files)
    assert not unreadable
    assert series.faults == ((told,) if told else ())
    assert bool(whole) is (told is None)


def test_a_cut_deflated_image_costs_its_series(files: list[Path]) -> None:
    encoded(files[1], DeflatedExplicitVRLittleEndian)
    files[1].write_bytes(files[1].read_bytes()[:-200])
    (series,), unreadable = scan(files)
    assert not unreadable
    assert series.faults == ("damaged DICOM file (zlib.error)",)
