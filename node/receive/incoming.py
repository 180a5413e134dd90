"""Objects on their way in: small ones are kept until they are whole, large ones go straight to disk."""

from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import Protocol

from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dsutils import create_file_meta
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class

from node.domain.header import InstanceIdentity, UnreadableHeaderError, read_identity
from node.domain.records import StagedFile
from node.errors import InstanceRejectedError
from node.ports import StagingFile
from node.receive.pdata import (
    COMMAND,
    LAST,
    MalformedMessageError,
    StoreRequest,
    fragments,
    padded_uid,
    read_store_request,
    store_answer,
)

__all__ = ["Incoming", "Inflow", "Serve", "file_header"]

_OUT_OF_RESOURCES = 0xA700
_GROUP_LENGTH, _INSTANCE_UID = (0x0002, 0x0000), (0x0002, 0x0003)
_SHORT = Struct("<HH2sH")
"""Tag, VR and length of an element with a short length."""
_LONGEST_OTHER = 1024 * 1024
"""Commands and whatever is no object, such as a report of storage commitment."""


class Incoming:
    """One object as it arrives.

    Fragments come in the middle of a message, where nobody could answer the sender. So nothing is raised
    there: what goes wrong is kept, the rest of the dataset is let pass, and `check` tells.

    Parameters
    ----------
    open_file : callable
        From the Part 10 header to a file that grows; may raise `StorageFullError`.
    limit_bytes : int
        Size of the largest dataset that is taken.
    request : StoreRequest
        What it is said to be.
    transfer_syntax_uid : str
        How it is encoded.

    Attributes
    ----------
    identity : InstanceIdentity or None
        Who it says it is, where its first fragment tells.
    size : int
        Of the dataset so far, in bytes.
    """

    def __init__(
        self,
        open_file: Callable[[bytes], StagingFile],
        limit_bytes: int,
        request: StoreRequest,
        transfer_syntax_uid: str,
    ) -> None:
        self.request = request
        self.transfer_syntax_uid = transfer_syntax_uid
        self.identity: InstanceIdentity | None = None
        self._open_file = open_file
        self._limit_bytes = limit_bytes
        self.size = 0
        self._staging: StagingFile | None = None
        self._fault: Exception | None = None

    def write(self, fragment: memoryview) -> None:
        """Take the next fragment, whose memory is the caller's again afterwards."""
        self.size += len(fragment)
        if self._fault is not None:
            return
        try:
            if self.size > self._limit_bytes:
                raise InstanceRejectedError(_OUT_OF_RESOURCES, "larger than [node] max_instance_mb")  # noqa: TRY301 - kept like all others
            if self._staging is None:
                self.identity = _identity_in(fragment, self.transfer_syntax_uid)
            self._file.write(fragment)
        except Exception as error:  # noqa: BLE001 - kept for `finish`, which raises it where it can be answered
            self._fault = error
            # At once: where the disk is full, half an object only keeps it full.
            self.close()

    def check(self) -> None:
        """Raise whatever went wrong on the way."""
        if self._fault is not None:
            raise self._fault

    def head(self, most: int) -> bytes:
        """Return the first bytes of the dataset."""
        return self._file.head(most)

    def finish(self) -> StagedFile:
        """Return the whole dataset on disk, now the caller's to commit or to discard.

        Raises
        ------
        Exception
            Whatever went wrong on the way or now.
        """
        self.check()
        staging, self._staging = self._file, None
        return staging.finish()

    def close(self) -> None:
        """Discard what nobody took."""
        if self._staging is not None:
            self._staging.discard()
            self._staging = None

    def __del__(self) -> None:
        self.close()

    @property
    def _file(self) -> StagingFile:
        if self._staging is None:
            said = self.request
            header = file_header(said.sop_class_uid, said.sop_instance_uid, self.transfer_syntax_uid)
            self._staging = self._open_file(header)
        return self._staging


def _identity_in(fragment: memoryview, transfer_syntax_uid: str) -> InstanceIdentity | None:
    try:
        return read_identity(fragment, transfer_syntax_uid)
    except UnreadableHeaderError:
        return None


class Serve(Protocol):
    """Serves C-STORE requests."""

    def __call__(self, association: Association, incoming: Incoming, answer: Callable[[int], None]) -> None:
        """Take an object that came whole over an association, and answer with a status now or later.

        The answer may be given by any thread; until then nothing more is read of the association.
        """
        ...


class Inflow:
    """What comes over one association: C-STORE requests are served here, all others go to pynetdicom.

    pynetdicom can write datasets to disk too (`STORE_RECV_CHUNKED_DATASET`), but into the system's temporary
    folder, from which no rename leads to ours, and a full disk there ends the association without an answer.

    Parameters
    ----------
    association : Association
        An acceptor.
    open_file : callable
        From the Part 10 header to a file that grows.
    limit_bytes : int
        Size of the largest dataset that is taken.
    serve : Serve
        Serves the requests.

    Attributes
    ----------
    is_serving : bool
        Whether a request waits for its answer; whoever sends that says so.
    """

    def __init__(
        self,
        association: Association,
        open_file: Callable[[bytes], StagingFile],
        limit_bytes: int,
        serve: Serve,
    ) -> None:
        self._association = association
        self._open_file = open_file
        self._limit_bytes = limit_bytes
        self._serve = serve
        self.is_serving = False
        self._command = bytearray()
        self._context = 0
        self._incoming: Incoming | None = None
        self._elsewhere_bytes = 0
        self._syntaxes: dict[int, str] = {}

    @property
    def is_midway(self) -> bool:
        """Whether a message has begun that is not whole."""
        return self._incoming is not None or bool(self._command) or self._is_elsewhere

    @property
    def _is_elsewhere(self) -> bool:
        """Whether pynetdicom has the half of a message."""
        return self._association.dimse.message is not None

    def take(self, content: memoryview) -> None:
        """Take the content of a P-DATA-TF PDU, whose memory is the caller's again afterwards.

        Raises
        ------
        MalformedMessageError
            If it is no part of a message that may come next.
        """
        for context, control, fragment in fragments(content):
            if self._incoming is not None:
                self._take_dataset(context, control, fragment)
            elif self._is_elsewhere:
                self._hand_over(context, control, fragment)
            else:
                self._take_command(context, control, fragment)

    def abandon(self) -> None:
        """Drop what an association that ended had sent the half of."""
        if self._incoming is not None:
            self._incoming.close()

    def _take_command(self, context: int, control: int, fragment: memoryview) -> None:
        if not control & COMMAND:
            raise MalformedMessageError("a dataset comes without its command")
        self._command += fragment
        if len(self._command) > _LONGEST_OTHER:
            raise MalformedMessageError("a command is longer than any can be")
        if not control & LAST:
            return
        command, self._command = self._command, bytearray()
        request = read_store_request(command)
        if request is None:
            self._elsewhere_bytes = 0
            self._hand_over(context, control, memoryview(command))
            return
        self._context = context
        syntax = self._syntax_of(context)
        self._incoming = Incoming(self._open_file, self._limit_bytes, request, syntax)

    def _take_dataset(self, context: int, control: int, fragment: memoryview) -> None:
        incoming = self._incoming
        assert incoming is not None  # noqa: S101 - for the type checker; `take` has looked
        if self.is_serving:
            raise MalformedMessageError("an object comes before the one before it is answered")
        if control & COMMAND or context != self._context:
            raise MalformedMessageError("another message begins within one")
        incoming.write(fragment)
        if not control & LAST:
            return
        self._incoming = None
        self.is_serving = True
        line = self._association.dul.socket
        self._serve(
            self._association,
            incoming,
            lambda status: line.answer(store_answer(context, incoming.request, status)),
        )

    def _hand_over(self, context: int, control: int, fragment: memoryview) -> None:
        """Give pynetdicom a fragment of any other message."""
        self._elsewhere_bytes += len(fragment)
        if self._elsewhere_bytes > _LONGEST_OTHER:
            raise MalformedMessageError("a message that is no object is as long as one")
        primitive = P_DATA()
        primitive.presentation_data_value_list = [[context, bytes([control]) + fragment]]
        self._association.dimse.receive_primitive(primitive)

    def _syntax_of(self, context: int) -> str:
        """Return the transfer syntax of a context, if it was accepted and is one for objects."""
        known = self._syntaxes.get(context)
        if known is not None:
            return known
        accepted = self._association._accepted_cx.get(context)  # noqa: SLF001 - as pynetdicom itself asks
        if accepted is None or uid_to_service_class(accepted.abstract_syntax) is not StorageServiceClass:
            raise MalformedMessageError("an object comes in a context that is none for objects")
        return self._syntaxes.setdefault(context, str(accepted.transfer_syntax[0]))


def file_header(sop_class_uid: str, sop_instance_uid: str, transfer_syntax: str) -> bytes:
    """Return the file meta information of a Part 10 file, which follows its preamble and "DICM".

    References
    ----------
    DICOM PS3.10 7.1, DICOM File Meta Information.
    """
    before, after = _around_instance_uid(sop_class_uid, transfer_syntax)
    value = padded_uid(sop_instance_uid)
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
