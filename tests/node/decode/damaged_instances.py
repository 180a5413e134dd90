"""Instances damaged in every element and in their compressed pixels, from one seed each."""

from random import Random
from struct import pack
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite
from pydicom.tag import BaseTag

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IDENTITY", "damaged"]

IDENTITY = {"PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID"}
"""What they say of patient and study concerns every other series, too."""

_VALUES = (
    b"", b" ", b"\0", b"\\", b"\xb2\xb3\xb9Y", b"inf", b"-inf", b"nan", b"1e999", b"-1", b"0", b"9" * 40,
    b"1e38\\1e38", b"\xff\xfe", b"\x1b$B\x1b(J", b"A" * 5000, b"2005.01.05", b"00000000", b"99999999",
    b"\xfe\xff\x00\xe0\x00\x00\x00\x00", b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
    b"\xfe\xff\xdd\xe0\x00\x00\x00\x00",
    pack("<H", 0), pack("<H", 1), pack("<H", 65535), pack("<d", float("inf")), pack("<d", float("nan")),
)  # fmt: skip
_VRS = (
    "AE",
    "AS",
    "AT",
    "CS",
    "DA",
    "DS",
    "FD",
    "IS",
    "LO",
    "OB",
    "OW",
    "PN",
    "SQ",
    "SS",
    "UI",
    "UN",
    "US",
    "UT",
)


def damaged(dataset: Dataset, seed: int) -> bytes:
    """Return the file of an instance with one fault, which the seed chooses.

    The elements take turns, so that as many seeds as there are elements damage each of them.
    """
    random = Random(seed)
    ways: list[Callable[[Dataset, Random, int], bytes]] = [_element, _element, _element, _bytes]
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        ways += [_pixels, _pixels]
    return ways[seed % len(ways)](dataset, random, seed // len(ways))


def _element(dataset: Dataset, random: Random, turn: int) -> bytes:
    """Change, retype, empty or remove one element, nested ones included."""
    places = [place for place in _places(dataset) if place[0][place[1]].keyword not in IDENTITY]
    inner, tag = places[turn % len(places)]
    element = inner[tag]
    match random.randrange(4):
        case 0:
            del inner[tag]
        case 1:
            content = random.choice(_VALUES)
            inner._dict[tag] = _raw(tag, random.choice(_VRS), content)
        case _:
            inner._dict[tag] = _raw(tag, element.VR, random.choice(_VALUES))
    try:
        return _written(dataset)
    except Exception:  # noqa: BLE001 - pydicom does not write every fault
        del inner[tag]
        return _written(dataset)


def _raw(tag: BaseTag, vr: str, content: bytes) -> RawDataElement:
    return RawDataElement(tag, vr, len(content), content, 0, is_implicit_VR=False, is_little_endian=True)


def _places(dataset: Dataset) -> list[tuple[Dataset, BaseTag]]:
    found = []
    for element in dataset:
        found.append((dataset, element.tag))
        if element.VR == "SQ":
            found += [place for item in element.value for place in _places(item)]
    return found


def _bytes(dataset: Dataset, random: Random, _turn: int) -> bytes:
    """Cut the file, or change bytes of its header behind the identity of patient and study."""
    content = bytearray(_written(dataset))
    if random.random() < 0.4:
        return bytes(content[: random.randrange(150, len(content))])
    header = min(len(content), 2500)
    for _ in range(random.randint(1, 8)):
        content[random.randrange(700, header)] = random.randrange(256)
    return bytes(content)


def _pixels(dataset: Dataset, random: Random, _turn: int) -> bytes:
    """Change, cut or prolong the compressed frame; changes are mostly in its own header."""
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    changed = bytearray(frame)
    match random.randrange(4):
        case 0:
            del changed[random.randrange(len(changed)) :]
        case 1:
            changed += random.randbytes(random.randrange(1, 200))
        case _:
            for _ in range(random.randint(1, 6)):
                changed[random.randrange(min(len(changed), random.choice([8, 64, 200, 10**6])))] = (
                    random.randrange(256)
                )
    dataset.PixelData = encapsulate([bytes(changed)])
    return _written(dataset)


def _written(dataset: Dataset) -> bytes:
    stream = DicomBytesIO()
    dataset.set_original_encoding(is_implicit_vr=False, is_little_endian=True, character_encoding="latin-1")
    dcmwrite(stream, dataset, enforce_file_format=False)
    return stream.getvalue()
