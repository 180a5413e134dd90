"""Objects on their way in: each fragment goes from the network straight to disk, and memory stays flat."""

from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from struct import Struct

from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE, DIMSEPrimitive
from pynetdicom.dsutils import create_file_meta
from pynetdicom.pdu_primitives import P_DATA

from node.domain.identifiers import UID_LENGTH
from node.domain.records import Staged
from node.errors import InstanceRejectedError
from node.ports import Staging

__all__ = ["Incoming", "StreamingDimse", "file_header", "store_answer"]

_OUT_OF_RESOURCES = 0xA700
_C_STORE_REQUEST = 0x0001
_GROUP_LENGTH, _INSTANCE_UID = (0x0002, 0x0000), (0x0002, 0x0003)
_SHORT = Struct("<HH2sH")
"""Tag, VR and length of an element with a short length."""
_COMMAND = Struct("<HHI")
"""Tag and length of an element of a command set."""
_LAST_FRAGMENT_OF_COMMAND = b"\x03"
_MOST_IN_MEMORY = 1024 * 1024


class Incoming:
    """One dataset as it arrives, in the place where pynetdicom has its temporary file.

    pynetdicom hands in fragments in the thread of the network, where nobody could answer the sender. So
    nothing is raised there: what goes wrong is kept, the rest of the dataset is let pass, and `finish` tells.

    Parameters
    ----------
    stage : callable
        Opens the file, at the first fragment; may raise `StorageFullError`.
    limit_bytes : int
        Size of the largest dataset that is taken.
    memory : callable
        Where a dataset goes that is no object, such as a report of storage commitment; None for an object.
    """

    name = ""
    """pynetdicom removes its temporary file by name; the one here is not for it to remove."""
    head = b""
    """The first fragment of an object."""

    def __init__(
        self, stage: Callable[[], Staging], limit_bytes: int, memory: Callable[[], BytesIO | None]
    ) -> None:
        self._stage = stage
        self._memory = memory
        self._limit_bytes = limit_bytes
        self._size = 0
        self._staging: Staging | None = None
        self._fault: Exception | None = None

    def write(self, fragment: bytes) -> None:
        """Take the next fragment."""
        self._size += len(fragment)
        if self._fault is not None:
            return
        try:
            memory = self._memory()
            if self._size > (self._limit_bytes if memory is None else _MOST_IN_MEMORY):
                raise InstanceRejectedError(_OUT_OF_RESOURCES, "larger than [node] max_instance_mb")  # noqa: TRY301 - kept like all others
            if memory is not None:
                memory.write(fragment)
                return
            if self._staging is None:
                self._staging = self._stage()
                self.head = fragment
            self._staging.write(fragment)
        except Exception as error:  # noqa: BLE001 - kept for `finish`, which raises it where it can be answered
            self._fault = error
            # At once: where the disk is full, half an object only keeps it full.
            self.close()

    @property
    def file(self) -> "Incoming":
        """What pynetdicom flushes after each fragment."""
        return self

    def flush(self) -> None:
        """Leave it to `finish`."""

    def finish(self) -> Staged:
        """Return the whole dataset on disk, now the caller's to commit or to discard.

        Raises
        ------
        Exception
            Whatever went wrong on the way.
        """
        if self._fault is not None:
            raise self._fault
        staging = self._staging or self._stage()
        self._staging = None
        return staging.finish()

    def close(self) -> None:
        """Discard what nobody took."""
        if self._staging is not None:
            self._staging.discard()
            self._staging = None

    def __del__(self) -> None:
        self.close()


class StreamingDimse(DIMSEServiceProvider):  # type: ignore[misc]  # pynetdicom has no types
    """pynetdicom's message service, whose datasets go to disk as they come.

    pynetdicom can do so too (`STORE_RECV_CHUNKED_DATASET`), but into the system's temporary folder, from
    which no rename leads to ours, and a full disk there ends the association without an answer.

    Parameters
    ----------
    association : Association
        Whose messages.
    open_file : callable
        From the Part 10 header to a file that grows.
    limit_bytes : int
        Size of the largest dataset that is taken.
    """

    def __init__(
        self, association: Association, open_file: Callable[[bytes], Staging], limit_bytes: int
    ) -> None:
        super().__init__(association)
        self.message: DIMSEMessage | None = None
        self._open_file = open_file
        self._limit_bytes = limit_bytes

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take what one PDU brought."""
        if self.message is None:
            message = DIMSEMessage()
            message._data_set_file = Incoming(  # noqa: SLF001 - there it looks for a file
                lambda: self._stage(message), self._limit_bytes, lambda: _memory_of(message)
            )
            self.message = message
        super().receive_primitive(primitive)

    def send_msg(self, primitive: DIMSEPrimitive, context_id: int) -> None:
        """Send a message; the answer to a C-STORE request, which is the same but for three values, at once.

        pynetdicom makes a dataset of each answer and encodes that, twice for its length; it took a seventh of
        the time that an image took.
        """
        if not isinstance(primitive, C_STORE) or primitive.MessageIDBeingRespondedTo is None:
            super().send_msg(primitive, context_id)
            return
        answer = P_DATA()
        command = _LAST_FRAGMENT_OF_COMMAND + store_answer(
            str(primitive.AffectedSOPClassUID),
            str(primitive.AffectedSOPInstanceUID),
            primitive.MessageIDBeingRespondedTo,
            primitive.Status,
        )
        answer.presentation_data_value_list.append([context_id, command])
        self.dul.send_pdu(answer)

    def abandon(self) -> None:
        """Drop what an association that ended had sent the half of."""
        if self.message is not None:
            self.message._data_set_file.close()  # noqa: SLF001 - our own `Incoming`

    def _stage(self, message: DIMSEMessage) -> Staging:
        command = message.command_set
        context = self.assoc._accepted_cx[message.context_id]  # noqa: SLF001 - as pynetdicom itself asks
        return self._open_file(
            file_header(
                str(command.get("AffectedSOPClassUID", "")),
                str(command.get("AffectedSOPInstanceUID", "")),
                str(context.transfer_syntax[0]),
            )
        )


def _memory_of(message: DIMSEMessage) -> BytesIO | None:
    """Return where pynetdicom looks for the dataset of any message but a C-STORE request."""
    memory: BytesIO = message.data_set
    return None if message.command_set.get("CommandField") == _C_STORE_REQUEST else memory


def store_answer(sop_class_uid: str, sop_instance_uid: str, message_id: int, status: int) -> bytes:
    """Return the command set of a C-STORE-RSP, in implicit VR little endian.

    References
    ----------
    DICOM PS3.7 9.3.1.2, C-STORE-RSP; E.1, Command Dictionary.
    """
    elements = b"".join(
        _COMMAND.pack(0x0000, element, len(value)) + value
        for element, value in (
            (0x0002, _padded(sop_class_uid)),
            (0x0100, b"\x01\x80"),
            (0x0120, message_id.to_bytes(2, "little")),
            (0x0800, b"\x01\x01"),
            (0x0900, status.to_bytes(2, "little")),
            (0x1000, _padded(sop_instance_uid)),
        )
    )
    return _COMMAND.pack(0x0000, 0x0000, 4) + len(elements).to_bytes(4, "little") + elements


def _padded(uid: str) -> bytes:
    """Encode a UID; what none can be is cut or replaced, since such an object is turned away in any case."""
    value = uid.encode("ascii", errors="replace")[:UID_LENGTH]
    return value + b"\0" * (len(value) % 2)


def file_header(sop_class_uid: str, sop_instance_uid: str, transfer_syntax: str) -> bytes:
    """Return the file meta information of a Part 10 file, which follows its preamble and "DICM".

    References
    ----------
    DICOM PS3.10 7.1, DICOM File Meta Information.
    """
    before, after = _around_instance_uid(sop_class_uid, transfer_syntax)
    value = _padded(sop_instance_uid)
    element = _SHORT.pack(*_INSTANCE_UID, b"UI", len(value)) + value
    length = len(before) + len(element) + len(after)
    return _SHORT.pack(*_GROUP_LENGTH, b"UL", 4) + length.to_bytes(4, "little") + before + element + after


@lru_cache(maxsize=64)
def _around_instance_uid(sop_class_uid: str, transfer_syntax: str) -> tuple[bytes, bytes]:
    """Encode all but the group length and the instance UID, which is the same for a whole series.

    Encoding it anew would cost an image more than anything else that its arrival costs.
    """
    meta = create_file_meta(
        sop_class_uid=UID(sop_class_uid), sop_instance_uid=UID(""), transfer_syntax=UID(transfer_syntax)
    )
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta, enforce_standard=False)
    before, after = buffer.getvalue().split(_SHORT.pack(*_INSTANCE_UID, b"UI", 0), maxsplit=1)
    return before[_SHORT.size + 4 :], after
