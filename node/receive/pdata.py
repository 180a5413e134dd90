"""P-DATA-TF and the two messages of C-STORE, by the byte.

Every fragment of every image passes here. pynetdicom makes objects and datasets of each PDU, request and
answer, which costs an image more than its way to disk; the tests hold this to what it would have made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError  # noqa: N812 - an exception, whatever its name

from node.domain.identifiers import UID_LENGTH

__all__ = [
    "COMMAND",
    "LAST",
    "PDU_HEADER",
    "P_DATA_TF",
    "MalformedMessageError",
    "StoreRequest",
    "fragments",
    "padded_uid",
    "read_store_request",
    "store_answer",
]

P_DATA_TF = 0x04
"""Type of the PDU."""
COMMAND, LAST = 0x01, 0x02
"""Bits of the message control header: a fragment of the command, not of the dataset; the last of its kind."""

PDU_HEADER = Struct(">BxL")
"""Type of a PDU, and length of what follows."""
_ITEM = Struct(">LBB")
"""Length of a presentation data value without these four bytes, its context, its control header."""
_COUNTED = 2
"""Bytes of the item's header that its length counts."""
_ELEMENT = Struct("<HHL")
"""Tag and length of an element of a command set, which is in implicit VR little endian."""
_SHORT = Struct("<H")
_CLASS, _FIELD, _MESSAGE, _ANSWERED, _DATASET, _STATUS, _INSTANCE = (
    0x0002, 0x0100, 0x0110, 0x0120, 0x0800, 0x0900, 0x1000,
)  # fmt: skip
"""Elements of group 0000."""
_C_STORE_RQ, _C_STORE_RSP = 0x0001, 0x8001
_NO_DATASET = 0x0101


class MalformedMessageError(ValueError):
    """The bytes are no message that the Standard knows; the text holds no value of it."""


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """What a C-STORE-RQ says of the dataset that follows it.

    Attributes
    ----------
    message_id : int
        Names the request in its answer.
    sop_class_uid, sop_instance_uid : str
        As they came, without padding; perhaps no UIDs.
    """

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str


def fragments(content: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Part what follows the header of a P-DATA-TF PDU into (context, control header, fragment).

    Raises
    ------
    MalformedMessageError
        If an item is cut off, or claims more than there is.

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
            raise MalformedMessageError("the length of a presentation data value lies")
        yield context, control, content[start + _ITEM.size : end]
        start = end


def read_store_request(command: bytes | bytearray) -> StoreRequest | None:
    """Read a command set; None where it is another than C-STORE-RQ.

    Raises
    ------
    MalformedMessageError
        If it is damaged, or a C-STORE-RQ without what it must have.

    References
    ----------
    DICOM PS3.7 9.3.1.1, C-STORE-RQ; 6.3.1, Command Set Structure.
    """
    values = dict(_elements(command))
    if _short(values, _FIELD) != _C_STORE_RQ:
        return None
    if _short(values, _DATASET) == _NO_DATASET:
        raise MalformedMessageError("a C-STORE request has no dataset")
    return StoreRequest(_short(values, _MESSAGE), _uid(values, _CLASS), _uid(values, _INSTANCE))


def _elements(command: bytes | bytearray) -> Iterator[tuple[int, bytes]]:
    """Part a command set into its elements of group 0000, each with its raw value."""
    start = 0
    while start < len(command):
        try:
            group, element, length = _ELEMENT.unpack_from(command, start)
        except StructError:
            raise MalformedMessageError("a command ends in the middle of an element") from None
        start += _ELEMENT.size
        if start + length > len(command):
            raise MalformedMessageError("an element of a command claims more than there is")
        if group == 0:
            yield element, bytes(command[start : start + length])
        start += length


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


def store_answer(context: int, request: StoreRequest, status: int) -> bytes:
    """Return the PDU of a C-STORE-RSP.

    References
    ----------
    DICOM PS3.7 9.3.1.2, C-STORE-RSP; E.1, Command Dictionary.
    """
    elements = b"".join(
        _ELEMENT.pack(0x0000, element, len(value)) + value
        for element, value in (
            (_CLASS, padded_uid(request.sop_class_uid)),
            (_FIELD, _SHORT.pack(_C_STORE_RSP)),
            (_ANSWERED, _SHORT.pack(request.message_id)),
            (_DATASET, _SHORT.pack(_NO_DATASET)),
            (_STATUS, _SHORT.pack(status)),
            (_INSTANCE, padded_uid(request.sop_instance_uid)),
        )
    )
    command = _ELEMENT.pack(0x0000, 0x0000, 4) + len(elements).to_bytes(4, "little") + elements
    item = _ITEM.pack(_COUNTED + len(command), context, COMMAND | LAST) + command
    return PDU_HEADER.pack(P_DATA_TF, len(item)) + item


def padded_uid(uid: str) -> bytes:
    r"""Encode a UID; what none can be is cut or replaced, since such an object is turned away in any case.

    Examples
    --------
    >>> padded_uid("1.2"), padded_uid("1.20")
    (b'1.2\x00', b'1.20')
    """
    value = uid.encode("ascii", errors="replace")[:UID_LENGTH]
    return value + b"\0" * (len(value) % 2)
