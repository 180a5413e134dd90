"""Reads the identity of an object from its encoded dataset, without decoding the rest.

The bytes are untrusted, so this walk looks at tags and lengths only. It never allocates what a length claims,
never follows a nesting deeper than `_DEPTH`, and ends at the Series Instance UID or after `HEADER_BYTES`. If
it has not found all UIDs and the Patient ID by then, the dataset may be out of order: it goes on for a while.
All elements that it looks at are counted, nested ones too: a few kilobytes can inflate to half a million.
"""

import zlib
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from struct import Struct
from struct import error as StructError  # noqa: N812 - an exception despite its name
from typing import NamedTuple

from node.domain.character_set import decode_text
from node.domain.facts import LONGEST_BYTES as _LONGEST_FACT
from node.domain.facts import TAGS as _FACTS
from node.domain.identifiers import clean_uid
from node.domain.person import Patient, Person

__all__ = [
    "HEADER_BYTES",
    "USUAL_BYTES",
    "USUAL_ELEMENTS",
    "CutOffHeaderError",
    "InstanceIdentity",
    "TooManyElementsError",
    "UnreadableHeaderError",
    "read_identity",
]

HEADER_BYTES = 4 * 1024 * 1024
"""Private groups before group 0020 can be large, but no genuine header is larger than this."""
USUAL_BYTES = 64 * 1024
"""Nearly every header names its instance within so many bytes."""
USUAL_ELEMENTS = 1000
"""And within so many elements, nested ones too; to look at them takes less than a millisecond."""
_DEPTH = 16
_UNDEFINED = 0xFFFFFFFF

_CHARACTER_SET = 0x00080005
_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018
_ACCESSION_NUMBER = 0x00080050
_NAME, _PATIENT_ID, _ISSUER = 0x00100010, 0x00100020, 0x00100021
_BIRTH_DATE, _SEX = 0x00100030, 0x00100040
_STUDY, _SERIES = 0x0020000D, 0x0020000E
_WANTED = {
    *(_CHARACTER_SET, _SOP_CLASS, _SOP_INSTANCE, _ACCESSION_NUMBER, _STUDY, _SERIES),
    *(_NAME, _PATIENT_ID, _ISSUER, _BIRTH_DATE, _SEX),
}
_WANTED_AND_FACTS = _WANTED | _FACTS
_ENOUGH = {_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES, _PATIENT_ID}
_MOST_BEHIND = 2000
"""Elements that are looked at behind the Series Instance UID."""
_MOST_ELEMENTS = 20_000
"""Elements that are looked at in all; a genuine header has some hundreds before its Series Instance UID."""
_BETWEEN_PAUSES = 1000
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_ITEM_GROUP = 0xFFFE
_UNKNOWN_VR = b"??"
"""What DCMTK writes for a VR that it does not know, with a length of two bytes."""
_LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}

_IMPLICIT_LITTLE = "1.2.840.10008.1.2"
_EXPLICIT_BIG = "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"


class _Layouts(NamedTuple):
    """Encoding of an element: group, element, VR and short length together, and a length of four bytes."""

    explicit: Struct
    length: Struct


_LITTLE = _Layouts(Struct("<HH2sH"), Struct("<I"))
_BIG = _Layouts(Struct(">HH2sH"), Struct(">I"))


class UnreadableHeaderError(ValueError):
    """The identity cannot be read from these bytes; the message quotes none of them."""


class CutOffHeaderError(UnreadableHeaderError):
    """The bytes end within an element before the Series Instance UID."""


class TooManyElementsError(UnreadableHeaderError):
    """There are more elements than any genuine header has; more bytes of it would not change that."""


@dataclass(frozen=True, slots=True)
class InstanceIdentity:
    """The identity of an object, as its dataset states it.

    Attributes
    ----------
    sop_class_uid, sop_instance_uid, study_uid, series_uid : str
        Valid UIDs.
    patient_key : str
        SHA-256 (hex) of PatientID and its issuer without padding: the same for every instance of a patient,
        and not to be traced back to the patient. Empty if there is no PatientID.
    patient_id : str
        PatientID, for the audit trail and to find a study.
    birth_date, sex : str
        As they stand in the header; see `patient`.
    accession_number : str
        AccessionNumber, by which an operator finds a study.
    patient_name : str
        PatientName, by which an operator finds a study.
    naming : tuple of bytes
        PatientID, IssuerOfPatientID and PatientName as they stand in the header; see `patient`.
    raw_facts : tuple of (int, bytes)
        What `node.domain.facts` reads, by tag, as it stands in the header; empty if it was not asked for.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    patient_key: str
    patient_id: str = ""
    birth_date: str = ""
    sex: str = ""
    accession_number: str = ""
    patient_name: str = ""
    naming: tuple[bytes, bytes, bytes] = (b"", b"", b"")
    raw_facts: tuple[tuple[int, bytes], ...] = ()

    @property
    def patient(self) -> Patient:
        """What it says of its patient; receiving does not need it.

        Its texts are only for comparing: each byte is a character, whatever the character set.
        """
        patient_id, issuer, name = (value.strip(b"\0 ").decode("latin-1") for value in self.naming)
        return Patient(patient_id, issuer, name, Person.of(self.birth_date, self.sex))


def read_identity(
    dataset: bytes | memoryview,
    transfer_syntax_uid: str,
    *,
    most_bytes: int = HEADER_BYTES,
    most_elements: int = _MOST_ELEMENTS,
    pause: Callable[[], None] | None = None,
    with_facts: bool = False,
) -> InstanceIdentity:
    """Read the identity of an encoded dataset.

    Parameters
    ----------
    dataset : bytes or memoryview
        As received, without file meta information; its first `HEADER_BYTES` are enough.
    transfer_syntax_uid : str
        The transfer syntax in which it is encoded.
    most_bytes, most_elements : int
        How much is looked at, inflated and nested elements too.
    pause : callable, optional
        Called after each thousand of elements, so that other threads get their turn.
    with_facts : bool, optional
        Whether `raw_facts` is filled, which costs no further pass.

    Raises
    ------
    UnreadableHeaderError
        If it is damaged before its Series Instance UID, or one of the four UIDs is missing or invalid.
        `TooManyElementsError` if too many elements precede it.

    References
    ----------
    DICOM PS3.5 7, The Data Set; Annex A, Transfer Syntax Specifications.
    """
    if transfer_syntax_uid == _DEFLATED:
        data = memoryview(_inflate(dataset, most_bytes))
    else:
        data = memoryview(dataset)[:most_bytes]
    values = _Walk(
        data,
        explicit=transfer_syntax_uid != _IMPLICIT_LITTLE,
        little=transfer_syntax_uid != _EXPLICIT_BIG,
        wanted=_WANTED_AND_FACTS if with_facts else _WANTED,
        most_elements=most_elements,
        pause=pause,
    ).collect()
    patient_id, issuer = values.get(_PATIENT_ID, b"").strip(b"\0 "), values.get(_ISSUER, b"").strip(b"\0 ")
    character_set = values.get(_CHARACTER_SET, b"")
    return InstanceIdentity(
        sop_class_uid=_uid(values, _SOP_CLASS, "SOPClassUID"),
        sop_instance_uid=_uid(values, _SOP_INSTANCE, "SOPInstanceUID"),
        study_uid=_uid(values, _STUDY, "StudyInstanceUID"),
        series_uid=_uid(values, _SERIES, "SeriesInstanceUID"),
        patient_key=sha256(b"\\".join((patient_id, issuer))).hexdigest() if patient_id else "",
        patient_id=decode_text(patient_id, character_set),
        birth_date=values.get(_BIRTH_DATE, b"").decode("ascii", "replace"),
        sex=values.get(_SEX, b"").decode("ascii", "replace"),
        accession_number=decode_text(values.get(_ACCESSION_NUMBER, b""), character_set),
        patient_name=decode_text(values.get(_NAME, b""), character_set),
        naming=(patient_id, issuer, values.get(_NAME, b"")),
        raw_facts=_raw_facts(values) if with_facts else (),
    )


def _raw_facts(values: dict[int, bytes]) -> tuple[tuple[int, bytes], ...]:
    return tuple(
        (tag, value) for tag, value in values.items() if tag in _FACTS and len(value) <= _LONGEST_FACT
    )


def _inflate(dataset: bytes | memoryview, most_bytes: int) -> bytes:
    # Limited, because a few bytes can inflate to gigabytes.
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(dataset, most_bytes)
    except zlib.error:
        raise UnreadableHeaderError("the deflated dataset is damaged") from None


def _uid(values: dict[int, bytes], tag: int, name: str) -> str:
    raw = values.get(tag, b"")
    if not raw.strip(b"\0 "):
        raise UnreadableHeaderError(f"it has no {name}")
    try:
        return clean_uid(raw)
    except ValueError:
        raise UnreadableHeaderError(f"its {name} is not a UID") from None


class _Walk:
    """One pass over the top-level elements of a dataset."""

    def __init__(
        self,
        data: memoryview,
        *,
        explicit: bool,
        little: bool,
        wanted: AbstractSet[int],
        most_elements: int,
        pause: Callable[[], None] | None,
    ) -> None:
        self._data = data
        self._wanted = wanted
        self._explicit = explicit
        self._layouts = _LITTLE if little else _BIG
        self._is_past_series = False
        self._most = self._left = most_elements
        self._pause = pause

    def collect(self) -> dict[int, bytes]:
        """Return the raw values of the wanted elements that are present."""
        values: dict[int, bytes] = {}
        try:
            for _ in islice(self._walk(values), _MOST_BEHIND):
                if values.keys() >= _ENOUGH:
                    break
        except UnreadableHeaderError:
            if not self._is_past_series:
                raise
        return values

    def _walk(self, values: dict[int, bytes]) -> Iterator[None]:
        """Collect values, and stop after each element behind the Series Instance UID."""
        data, explicit = self._data, self._explicit
        position, end = 0, len(data)
        while position < end:
            tag, start, length = self._element(position, explicit=explicit)
            if tag > _SERIES:
                self._is_past_series = True
                yield
            if length == _UNDEFINED:
                position = self._after_sequence(start, _DEPTH, explicit=self._nested(position, explicit))
                continue
            position = self._end(start, length)
            if tag in self._wanted:
                values[tag] = bytes(data[start:position])

    def _element(self, position: int, *, explicit: bool) -> tuple[int, int, int]:
        """Return tag, start of the value and length of the element at a position."""
        layouts = self._layouts
        self._left -= 1
        if self._left < 0:
            raise TooManyElementsError(f"it has more than {self._most} elements before its SeriesInstanceUID")
        if self._pause is not None and self._left % _BETWEEN_PAUSES == 0:
            self._pause()
        try:
            group, element, vr, length = layouts.explicit.unpack_from(self._data, position)
            if not explicit or group == _ITEM_GROUP:
                (length,) = layouts.length.unpack_from(self._data, position + 4)
            elif vr in _LONG_VRS:
                (length,) = layouts.length.unpack_from(self._data, position + 8)
                return group << 16 | element, position + 12, length
            elif not (vr == _UNKNOWN_VR or (vr.isalpha() and vr.isupper())):
                raise UnreadableHeaderError("it is not encoded as its transfer syntax says")
        except StructError:
            raise CutOffHeaderError("it ends in the middle of an element") from None
        return group << 16 | element, position + 8, length

    def _nested(self, position: int, explicit: bool) -> bool:  # noqa: FBT001 - passed on unchanged
        """Tell whether the items of the sequence at a position are encoded with explicit VR."""
        # PS3.5 6.2.2 note 2: the items of a sequence with VR UN are implicit, even in an explicit dataset.
        return explicit and bytes(self._data[position + 4 : position + 6]) != b"UN"

    def _end(self, start: int, length: int) -> int:
        if start + length > len(self._data):
            raise CutOffHeaderError("an element claims more bytes than there are")
        return start + length

    def _after_sequence(self, position: int, depth: int, *, explicit: bool) -> int:
        """Return the end of a sequence of undefined length."""
        if depth == 0:
            raise UnreadableHeaderError(f"its sequences are nested deeper than {_DEPTH}")
        while True:
            tag, start, length = self._element(position, explicit=explicit)
            if tag == _SEQUENCE_END:
                return start
            if tag != _ITEM:
                raise UnreadableHeaderError("a sequence holds something that is no item")
            if length == _UNDEFINED:
                position = self._after_item(start, depth, explicit=explicit)
            else:
                position = self._end(start, length)

    def _after_item(self, position: int, depth: int, *, explicit: bool) -> int:
        while True:
            tag, start, length = self._element(position, explicit=explicit)
            if tag == _ITEM_END:
                return start
            if length == _UNDEFINED:
                position = self._after_sequence(start, depth - 1, explicit=self._nested(position, explicit))
            else:
                position = self._end(start, length)
