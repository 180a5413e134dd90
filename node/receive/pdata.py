"""The encoding of P-DATA-TF PDUs and of the two messages of C-STORE.

Every fragment of every image is read here. pynetdicom makes objects and datasets of each PDU, request and
response, which takes longer than writing the image to disk. Tests compare these bytes with pynetdicom's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from struct import error as StructError  # noqa: N812 - an exception despite its name

from node.domain.identifiers import UID_LENGTH

__all__ = [
    "COMMAND",
    "LAST",
    "PDU_HEADER",
    "P_DATA_TF",
    "MalformedMessageError",
    "OtherCommand",
    "StoreRequest",
    "fragments",
    "padded_uid",
    "read_command",
    "store_response",
]

P_DATA_TF = 0x04
"""PDU type of P-DATA-TF."""
COMMAND, LAST = 0x01, 0x02
"""Bits of the message control header. COMMAND: part of the command, not the dataset. LAST: last fragment."""

PDU_HEADER = Struct(">BxL")
"""PDU type, and length of the rest of the PDU."""
_ITEM = Struct(">LBB")
"""Header of a presentation data value: item length, presentation context, message control header."""
_COUNTED = 2
"""Header bytes included in the item length."""
_ELEMENT = Struct("<HHL")
"""Tag and length of an element of a command set, which is in implicit VR little endian."""
_SHORT = Struct("<H")
_RESPONSE = Struct("<" + 4 * "HHLH" + "HHL")
"""Four elements with a short value, and the tag and length of one more."""
_SOP_CLASS, _COMMAND_FIELD, _MESSAGE_ID, _RESPONDED_TO, _DATASET_TYPE, _STATUS, _SOP_INSTANCE = (
    0x0002, 0x0100, 0x0110, 0x0120, 0x0800, 0x0900, 0x1000,
)  # fmt: skip
"""Elements of group 0000, PS3.7 E.1."""
_C_STORE_RQ, _C_STORE_RSP = 0x0001, 0x8001
_NO_DATASET = 0x0101


class MalformedMessageError(ValueError):
    """The peer violated the protocol; the text of the error quotes none of its bytes."""


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """What a C-STORE-RQ says about the dataset that follows it.

    Attributes
    ----------
    message_id : int
        Its response repeats this.
    sop_class_uid, sop_instance_uid : str
        As received, without padding; not checked to be valid UIDs.
    """

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class OtherCommand:
    """A command other than C-STORE-RQ.

    Attributes
    ----------
    has_dataset : bool
        Whether a dataset follows it.
    """

    has_dataset: bool


def fragments(content: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Split what follows the header of a P-DATA-TF PDU into (context, message control header, fragment).

    Raises
    ------
    MalformedMessageError
        If an item is cut off, or its length exceeds the PDU.

    References
    ----------
    DICOM PS3.8 9.3.5, P-DATA-TF PDU Structure; E.2, Message Control Header Encoding.
    """
    start = 0
    while start < len(content):
        try:
            length, context, control = _ITEM.unpack_from(content, start)
        except StructError:
            raise MalformedMessageError("a presentation data value is cut off") from None
        end = start + _ITEM.size - _COUNTED + length
        if length < _COUNTED or end > len(content):
            raise MalformedMessageError("the length of a presentation data value is wrong")
        yield context, control, content[start + _ITEM.size : end]
        start = end


def read_command(command: bytes | bytearray) -> StoreRequest | OtherCommand:
    """Read a command set.

    Raises
    ------
    MalformedMessageError
        If it is damaged, or lacks a required element.

    References
    ----------
    DICOM PS3.7 9.3.1.1, C-STORE-RQ; 6.3.1, Command Set Structure.
    """
    values = _elements(command)
    field = _short(values, _COMMAND_FIELD)
    has_dataset = _short(values, _DATASET_TYPE) != _NO_DATASET
    if field != _C_STORE_RQ:
        return OtherCommand(has_dataset)
    if not has_dataset:
        raise MalformedMessageError("a C-STORE request has no dataset")
    return StoreRequest(_short(values, _MESSAGE_ID), _uid(values, _SOP_CLASS), _uid(values, _SOP_INSTANCE))


def _elements(command: bytes | bytearray) -> dict[int, bytes]:
    """Split a command set into its elements of group 0000, each with its raw value."""
    values = {}
    start, whole = 0, len(command)
    while start < whole:
        try:
            group, element, length = _ELEMENT.unpack_from(command, start)
        except StructError:
            raise MalformedMessageError("a command ends in the middle of an element") from None
        start += _ELEMENT.size
        end = start + length
        if end > whole:
            raise MalformedMessageError("an element of a command is longer than the command")
        if group == 0:
            values[element] = bytes(command[start:end])
        start = end
    return values


def _short(values: dict[int, bytes], element: int) -> int:
    value = values.get(element, b"")
    if len(value) != _SHORT.size:
        raise MalformedMessageError("a command lacks what it must have")
    return int.from_bytes(value, "little")


def _uid(values: dict[int, bytes], element: int) -> str:
    value = values.get(element, b"").rstrip(b"\0 ")
    if not value:
        raise MalformedMessageError("a command lacks what it must have")
    return value.decode("ascii", errors="replace")


def store_response(context: int, request: StoreRequest, status: int) -> bytes:
    """Return the PDU of a C-STORE-RSP.

    References
    ----------
    DICOM PS3.7 9.3.1.2, C-STORE-RSP; E.1, Command Dictionary.
    """
    uid = padded_uid(request.sop_instance_uid)
    elements = _sop_class_element(request.sop_class_uid) + _RESPONSE.pack(
        *(0x0000, _COMMAND_FIELD, _SHORT.size, _C_STORE_RSP),
        *(0x0000, _RESPONDED_TO, _SHORT.size, request.message_id),
        *(0x0000, _DATASET_TYPE, _SHORT.size, _NO_DATASET),
        *(0x0000, _STATUS, _SHORT.size, status),
        *(0x0000, _SOP_INSTANCE, len(uid)),
    )
    length = len(elements) + len(uid)
    command = _ELEMENT.pack(0x0000, 0x0000, 4) + length.to_bytes(4, "little") + elements + uid
    item = _ITEM.pack(_COUNTED + len(command), context, COMMAND | LAST) + command
    return PDU_HEADER.pack(P_DATA_TF, len(item)) + item


@lru_cache(maxsize=64)
def _sop_class_element(uid: str) -> bytes:
    """Encode the element of the SOP class, which is the same for all images of a series."""
    value = padded_uid(uid)
    return _ELEMENT.pack(0x0000, _SOP_CLASS, len(value)) + value


def padded_uid(uid: str) -> bytes:
    r"""Encode a UID; invalid text is cut to length, because its object is refused anyway.

    Examples
    --------
    >>> padded_uid("1.2"), padded_uid("1.20")
    (b'1.2\x00', b'1.20')
    """
    value = uid.encode("ascii", errors="replace")[:UID_LENGTH]
    return value + b"\0" * (len(value) % 2)
