import time
import zlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
)

from node.domain.header import TooManyElementsError, UnreadableHeaderError, read_identity
from node.domain.person import Person
from tests.node.nodes import encode

SYNTAXES = [
    ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
]  # fmt: skip


def nested(depth: int) -> Dataset:
    inner = Dataset()
    inner.CodeValue = "T-11505"
    for _ in range(depth):
        outer = Dataset()
        outer.AnatomicRegionSequence = Sequence([inner])
        outer["AnatomicRegionSequence"].is_undefined_length = True
        outer.AnatomicRegionSequence[0].is_undefined_length_sequence_item = True
        inner = outer
    return inner


def whole(depth: int = 2) -> Dataset:
    dataset = nested(depth)
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.StudyInstanceUID = "1.2.3"
    dataset.SeriesInstanceUID = "1.2.33"
    dataset.PatientName = "A^B"
    dataset.PatientID = "17"
    dataset.AccessionNumber = "A 00017"
    dataset.PatientBirthDate, dataset.PatientSex = "19400229", "M"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.add_new(0x00090010, "LO", "SOMEBODY")
    dataset.add_new(0x00091001, "UN", b"\xfe\xff\x00\xe0" * 9)
    dataset.PixelData = b"\0" * 64
    dataset["PixelData"].VR = "OW"
    return dataset


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("depth", [0, 1, 5])
def test_the_identity_is_read_in_every_encoding_and_past_every_nesting(syntax: str, depth: int) -> None:
    identity = read_identity(encode(whole(depth), syntax), syntax)
    assert identity.patient.person == Person("19400229", "M")
    assert (identity.patient_id, identity.accession_number) == ("17", "A 00017")
    assert identity.sop_class_uid == MRImageStorage
    assert (identity.sop_instance_uid, identity.study_uid, identity.series_uid) == (
        "1.2.3.4",
        "1.2.3",
        "1.2.33",
    )


def test_one_patient_has_one_key_and_another_has_another() -> None:
    first, padded, other = whole(), whole(), whole()
    padded.PatientID = "17 "
    other.PatientID = "18"
    keys = [
        read_identity(encode(dataset, ImplicitVRLittleEndian), ImplicitVRLittleEndian).patient_key
        for dataset in (first, padded, other)
    ]
    assert keys[0] == keys[1] != keys[2]


def test_the_issuer_is_part_of_the_identity() -> None:
    issued = whole()
    issued.IssuerOfPatientID = "HOSPITAL"
    assert (
        read_identity(encode(issued, ExplicitVRLittleEndian), ExplicitVRLittleEndian).patient_key
        != read_identity(encode(whole(), ExplicitVRLittleEndian), ExplicitVRLittleEndian).patient_key
    )


@pytest.mark.parametrize(
    "keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
)
def test_a_missing_uid_is_named(keyword: str) -> None:
    dataset = whole()
    delattr(dataset, keyword)
    with pytest.raises(UnreadableHeaderError, match=keyword):
        read_identity(encode(dataset, ExplicitVRLittleEndian), ExplicitVRLittleEndian)


def test_a_hostile_uid_is_refused_and_not_quoted() -> None:
    dataset = whole()
    dataset["StudyInstanceUID"]._value = "../../../etc/passwd"
    with pytest.raises(UnreadableHeaderError) as caught:
        read_identity(encode(dataset, ExplicitVRLittleEndian), ExplicitVRLittleEndian)
    assert "passwd" not in str(caught.value)


def test_a_length_that_lies_is_refused() -> None:
    data = bytearray(encode(whole(0), ImplicitVRLittleEndian))
    data[4:8] = (0x7FFFFFFF).to_bytes(4, "little")
    with pytest.raises(UnreadableHeaderError, match="claims more bytes"):
        read_identity(bytes(data), ImplicitVRLittleEndian)


def test_endless_nesting_is_refused() -> None:
    with pytest.raises(UnreadableHeaderError, match="nested deeper"):
        read_identity(encode(whole(40), ExplicitVRLittleEndian), ExplicitVRLittleEndian)


def test_a_deflated_bomb_is_inflated_only_in_part() -> None:
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = BytesIO()
    for _ in range(64):
        bomb.write(compressor.compress(b"\0" * 1024 * 1024))
    bomb.write(compressor.flush())
    with pytest.raises(UnreadableHeaderError):
        read_identity(bomb.getvalue(), DeflatedExplicitVRLittleEndian)


def empty_elements(count: int, *, nested: bool = False) -> bytes:
    """Encode many empty elements that precede every UID, if `nested` in an item of undefined length."""
    elements = b"\x08\0\x08\0CS\0\0" * count
    if not nested:
        return elements
    sequence = b"\x08\0\x06\0SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
    return sequence + elements + b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("nested", [False, True], ids=["top level", "nested"])
def test_too_many_elements_before_the_uids_are_refused_before_they_cost_much(
    syntax: str, *, nested: bool
) -> None:
    deflated = syntax == DeflatedExplicitVRLittleEndian

    def encoded(count: int) -> bytes:
        data = empty_elements(count, nested=nested) + encode(whole(), ExplicitVRLittleEndian)
        compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        return compressor.compress(data) + compressor.flush() if deflated else data

    sound, hostile = encoded(15_000), encoded(500_000)
    began = time.process_time()
    assert read_identity(sound, syntax).study_uid == "1.2.3"
    told = time.process_time()
    with pytest.raises(TooManyElementsError, match="more than 20000 elements before its SeriesInstanceUID"):
        read_identity(hostile, syntax)
    assert time.process_time() - told < 10 * (told - began), "all of them are more than thirty times as many"


def test_of_a_hostile_text_only_the_beginning_is_decoded() -> None:
    dataset = whole()
    dataset.PatientName = "A" * 60_000
    encoded = encode(dataset, ExplicitVRLittleEndian).replace(b"AAAA", b"\x1b$B!")
    encoded = encoded.replace(b"CS\x0a\0ISO_IR 100", b"CS\x0e\0ISO 2022 IR 87")
    assert 0 < len(read_identity(encoded, ExplicitVRLittleEndian).patient_name) <= 1024


@given(
    st.binary(max_size=40), st.sampled_from(["", "ISO_IR 100", "ISO 2022 IR 87", "ISO_IR 192", "../..", "\\"])
)
def test_text_in_a_wrong_character_set_makes_no_header_unreadable(text: bytes, character_set: str) -> None:
    dataset = whole()
    encoded = encode(dataset, ExplicitVRLittleEndian)
    charset = character_set.encode().ljust(16)
    encoded = encoded.replace(b"CS\x0a\0ISO_IR 100", b"CS\x10\0" + charset)
    assert charset in encoded
    even = text + b" " * (len(text) % 2)
    encoded = encoded.replace(b"LO\x02\x0017", b"LO" + len(even).to_bytes(2, "little") + even)
    identity = read_identity(encoded, ExplicitVRLittleEndian)
    assert isinstance(identity.patient_id, str)
    assert identity.study_uid == "1.2.3"


@given(st.binary(max_size=400), st.sampled_from(SYNTAXES))
def test_any_bytes_are_refused_in_words(data: bytes, syntax: str) -> None:
    with pytest.raises(UnreadableHeaderError):
        read_identity(data, syntax)


@given(st.data(), st.sampled_from(SYNTAXES))
def test_a_damaged_header_is_read_or_refused_and_never_crashes(data: st.DataObject, syntax: str) -> None:
    encoded = bytearray(encode(whole(), syntax))
    for _ in range(data.draw(st.integers(1, 6))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(encoded)))
    try:
        identity = read_identity(bytes(encoded[:cut]), syntax)
    except UnreadableHeaderError:
        return
    assert "/" not in identity.study_uid
