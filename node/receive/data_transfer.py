"""The state of one association while its peer sends messages: bytes in, events out, and no socket.

`DataTransfer` holds all state that decides how the next byte is interpreted. Two parts of it change only as
the tables in `transfer_states` say: which component reads the connection, and which part of a message the
peer is sending.

References
----------
DICOM PS3.8 9.3.5, P-DATA-TF.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from node.receive.limits import ConnectionLimits, LimitExceededError
from node.receive.pdata import (
    COMMAND,
    LAST,
    P_DATA_TF,
    PDU_HEADER,
    MalformedMessageError,
    StoreRequest,
    fragments,
    read_command,
)
from node.receive.transfer_states import (
    MESSAGE_TRANSITIONS,
    READING_TRANSITIONS,
    FragmentKind,
    Message,
    Reading,
    Step,
)

__all__ = [
    "DataTransfer",
    "DatasetFragment",
    "Event",
    "LimitExceeded",
    "Malformed",
    "OtherFragment",
    "OtherPdu",
    "StoreRequested",
]

_LONGEST_OTHER = 1024 * 1024
"""Maximum bytes of a command, and of a complete message other than C-STORE."""
_READ_AHEAD = 4 * 1024
"""Bytes that are asked for at the beginning of a PDU, so that a command and the header of the PDU after it
come with one system call. The rest of a longer PDU is read to its end and, for the same reason, one header
further, so that at most this many bytes are ever moved. And no more PDUs than fit into it, which may be tiny,
are processed before the other connections have their turn."""


@dataclass(frozen=True, slots=True)
class StoreRequested:
    """The peer has sent a C-STORE request, whose dataset follows.

    Attributes
    ----------
    context : int
        The presentation context.
    request : StoreRequest
        What the command says about the object.
    transfer_syntax_uid : str
        How the object is encoded.
    """

    context: int
    request: StoreRequest
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class DatasetFragment:
    """The next part of the dataset of a C-STORE request.

    Attributes
    ----------
    content : memoryview
        Its bytes; the memory is used again for the next PDU.
    is_last : bool
        Whether this completes the dataset; then its response is due.
    """

    content: memoryview
    is_last: bool


@dataclass(frozen=True, slots=True)
class OtherFragment:
    """A part of a message other than a C-STORE request; a command is one part.

    Attributes
    ----------
    context, control : int
        The presentation context and the message control header.
    content : memoryview
        Its bytes; the memory is used again for the next PDU.
    """

    context: int
    control: int
    content: memoryview


@dataclass(frozen=True, slots=True)
class OtherPdu:
    """A PDU other than P-DATA-TF has begun; see `DataTransfer.take_unread`."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """The peer violated the protocol; the last event of an association.

    Attributes
    ----------
    reason : str
        In words, without content of the message.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class LimitExceeded:
    """The peer exceeded a limit; the last event of an association.

    Attributes
    ----------
    error : LimitExceededError
        Its message names the limit.
    """

    error: LimitExceededError


Event: TypeAlias = StoreRequested | DatasetFragment | OtherFragment | OtherPdu | Malformed | LimitExceeded


class DataTransfer:
    """Turns the bytes of one association into events, while it is in the state for data transfer.

    Read into `next_buffer`, then call `received` with the number of bytes read. Bytes that follow an object
    wait until that is answered (`has_read_ahead`). Not thread-safe.

    Parameters
    ----------
    limits : ConnectionLimits
        Limits of size and time.
    storage_syntax : callable
        Returns the transfer syntax of a presentation context, or None if it was not accepted for storage.

    Attributes
    ----------
    reading : Reading
        Which component reads the connection.
    message : Message
        Which part of a message the peer is sending.
    """

    def __init__(self, limits: ConnectionLimits, storage_syntax: Callable[[int], str | None]) -> None:
        self._limits = limits
        self._storage_syntax = storage_syntax
        self.reading = Reading.PYNETDICOM
        self.message = Message.NONE
        self._context = 0
        self._command = bytearray()
        self._other_bytes = 0
        self._unread = b""
        self._buffer = memoryview(bytearray(_READ_AHEAD))
        self._start = self._end = 0  # of what has been read and not processed
        self._pdu_bytes = 0  # of the PDU at `_start`, with its header; 0 if that has not been read
        self._has_read_ahead = False

    # Which component reads

    def step(self, step: Step) -> None:
        """Change which component reads the connection.

        Raises
        ------
        ValueError
            If the step is not allowed in this state.
        """
        try:
            self.reading = READING_TRANSITIONS[self.reading, step]
        except KeyError:
            raise ValueError(
                f"step {step.name} is not allowed while reading is {self.reading.name}"
            ) from None

    @property
    def is_ours(self) -> bool:
        """Whether pynetdicom must not read the connection."""
        return self.reading is Reading.DATA_TRANSFER or self.is_answering

    @property
    def is_answering(self) -> bool:
        """Whether the peer waits for our response to an object."""
        return self.reading is Reading.ANSWERING or self.reading is Reading.PAUSED

    @property
    def has_unread(self) -> bool:
        """Whether bytes have been read that are for pynetdicom, from the beginning of a PDU."""
        return bool(self._unread)

    def take_unread(self, most: int) -> bytes:
        """Return the first of these bytes; pynetdicom reads them before those still in the connection."""
        taken, self._unread = self._unread[:most], self._unread[most:]
        return taken

    # What is received

    @property
    def is_within_pdu(self) -> bool:
        """Whether a PDU has been read in part."""
        return self._start < self._end

    @property
    def has_read_ahead(self) -> bool:
        """Whether `received` must be called again because an object has been answered meanwhile."""
        return self._has_read_ahead and self.reading is Reading.DATA_TRANSFER

    @property
    def is_within_message(self) -> bool:
        """Whether a message has begun and is not complete."""
        return self.message is not Message.NONE

    def next_buffer(self) -> memoryview:
        """Return the memory to read into, never empty; what it held before is used no more."""
        start, end = self._start, self._end
        most = self._pdu_bytes + PDU_HEADER.size if self._pdu_bytes else _READ_AHEAD
        if start or most > len(self._buffer):
            unprocessed = self._buffer[start:end]
            if most > len(self._buffer):
                self._buffer = memoryview(bytearray(most))
            self._start, self._end = 0, end - start
            self._buffer[: self._end] = unprocessed
        return self._buffer[self._end : most]

    def received(self, count: int) -> Sequence[Event]:
        """Process this number of bytes in `next_buffer`; return the events that they complete, in order.

        With 0, process what has been read ahead.
        """
        self._end += count
        events: list[Event] = []
        try:
            while self.reading is Reading.DATA_TRANSFER:
                content = self._next_content(events)
                if content is None:
                    break
                self._take_content(content, events)
        except LimitExceededError as error:
            self.step(Step.ENDED)
            events.append(LimitExceeded(error))
        self._has_read_ahead = self.is_answering and self.is_within_pdu
        return events

    def _next_content(self, events: list[Event]) -> memoryview | None:
        """Return what follows the header of the next P-DATA-TF PDU, once it has been read completely."""
        start = self._start
        available = self._end - start
        if not self._pdu_bytes:
            if available < PDU_HEADER.size:
                return None
            kind, length = PDU_HEADER.unpack_from(self._buffer, start)
            self._limits.begin_pdu(requested=True, within_message=self.is_within_message)
            if kind != P_DATA_TF:
                self._leave(Step.HANDED_BACK)
                events.append(OtherPdu())
                return None
            self._limits.expect(length, requested=True)
            self._pdu_bytes = PDU_HEADER.size + length
        if available < self._pdu_bytes:
            return None
        self._start, self._pdu_bytes = start + self._pdu_bytes, 0
        return self._buffer[start + PDU_HEADER.size : self._start]

    def _take_content(self, content: memoryview, events: list[Event]) -> None:
        try:
            for context, control, fragment in fragments(content):
                event = self._take_fragment(context, control, fragment)
                if event is not None:
                    events.append(event)
        except MalformedMessageError as error:
            self._leave(Step.ENDED)
            events.append(Malformed(str(error)))

    def _leave(self, step: Step) -> None:
        """Leave the PDUs that have been read and not processed to pynetdicom."""
        self._unread = bytes(self._buffer[self._start : self._end])
        self._start = self._end = 0
        self.step(step)

    def _take_fragment(self, context: int, control: int, fragment: memoryview) -> Event | None:
        if control & COMMAND:
            return self._take_command(context, control, fragment)
        is_last = bool(control & LAST)
        before = self.message
        self._advance(FragmentKind.DATASET_END if is_last else FragmentKind.DATASET)
        if before is Message.OTHER_DATASET:
            return self._other(context, control, fragment)
        if context != self._context:
            raise MalformedMessageError("an object continues in another presentation context")
        if self.is_answering:
            raise MalformedMessageError("an object is sent before the previous one is answered")
        if is_last:
            self.step(Step.OBJECT_COMPLETE)
        return DatasetFragment(fragment, is_last)

    def _take_command(self, context: int, control: int, fragment: memoryview) -> Event | None:
        self._command += fragment
        if len(self._command) > _LONGEST_OTHER:
            raise MalformedMessageError("a command exceeds 1 MiB")
        if not control & LAST:
            self._advance(FragmentKind.COMMAND)
            return None
        complete, self._command = self._command, bytearray()
        command = read_command(complete)
        if isinstance(command, StoreRequest):
            self._advance(FragmentKind.STORE_REQUEST)
            return self._begin_object(context, command)
        self._advance(FragmentKind.OTHER_WITH_DATASET if command.has_dataset else FragmentKind.OTHER_ALONE)
        self._other_bytes = 0
        return self._other(context, control, memoryview(complete))

    def _begin_object(self, context: int, request: StoreRequest) -> Event:
        syntax = self._storage_syntax(context)
        if syntax is None:
            raise MalformedMessageError("a C-STORE request uses a context not accepted for storage")
        self._context = context
        return StoreRequested(context, request, syntax)

    def _other(self, context: int, control: int, content: memoryview) -> Event:
        self._other_bytes += len(content)
        if self._other_bytes > _LONGEST_OTHER:
            raise MalformedMessageError("a non-storage message exceeds 1 MiB")
        return OtherFragment(context, control, content)

    def _advance(self, kind: FragmentKind) -> None:
        try:
            self.message = MESSAGE_TRANSITIONS[self.message, kind]
        except KeyError:
            raise MalformedMessageError("unexpected fragment") from None
