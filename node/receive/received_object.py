"""The dataset of one C-STORE request while it is received."""

from collections.abc import Callable
from functools import lru_cache
from struct import Struct

from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom.dsutils import create_file_meta

from node.domain.dimse_status import OUT_OF_RESOURCES
from node.domain.header import (
    USUAL_BYTES,
    USUAL_ELEMENTS,
    InstanceIdentity,
    TooManyElementsError,
    UnreadableHeaderError,
    read_identity,
)
from node.domain.records import StagedFile
from node.errors import InstanceRejectedError
from node.ports import StagingFile
from node.receive.pdata import StoreRequest, padded_uid
from node.receive.selection import Selection

__all__ = ["ReceivedObject", "file_header"]

_GROUP_LENGTH, _INSTANCE_UID = (0x0002, 0x0000), (0x0002, 0x0003)
_SHORT = Struct("<HH2sH")
"""Tag, VR and length of an element with a short length."""


class ReceivedObject:
    """The dataset of one C-STORE request, written to a staged file while it is received.

    The sender cannot be answered in the middle of a message. So `write` does not raise: the first error is
    kept, the rest of the dataset is skipped, and `check` raises the error.

    pynetdicom can write datasets to disk too (`STORE_RECV_CHUNKED_DATASET`), but to the system's temporary
    folder, which may be on another file system, so that the file could not be renamed into our storage; and a
    full disk there ends the association without an answer.

    Parameters
    ----------
    open_file : callable
        Opens a staging file, given the Part 10 file meta information; may raise `StorageFullError`.
    limit_bytes : int
        Maximum size of the dataset.
    request : StoreRequest
        The command of the request.
    transfer_syntax_uid : str
        Its encoding.
    selection : Selection, optional
        What of its association is discarded.

    Attributes
    ----------
    identity : InstanceIdentity or None
        Its UIDs, once they are known: at once if they stand near the beginning of its first fragment.
    discarded_by : str
        Name of the rule that discards it, from the moment on at which its identity is known; nothing more of
        it is written then. Empty if it is taken.
    is_long : bool
        Whether they stand behind so many elements that it takes long to find them.
    size : int
        Bytes of the dataset received so far.
    """

    def __init__(
        self,
        open_file: Callable[[bytes], StagingFile],
        limit_bytes: int,
        request: StoreRequest,
        transfer_syntax_uid: str,
        selection: Selection | None = None,
    ) -> None:
        self.request = request
        self.transfer_syntax_uid = transfer_syntax_uid
        self._selection = selection or Selection()
        self.discarded_by = ""
        self.identity: InstanceIdentity | None = None
        self.is_long = False
        self._open_file = open_file
        self._limit_bytes = limit_bytes
        self.size = 0
        self._staging: StagingFile | None = None
        self._fault: Exception | None = None

    def write(self, fragment: memoryview) -> None:
        """Write the next fragment; its memory may be reused afterwards."""
        self.size += len(fragment)
        if self._fault is not None or self.discarded_by:
            return
        try:
            if self.size > self._limit_bytes:
                raise InstanceRejectedError(OUT_OF_RESOURCES, "larger than [node] max_instance_mb")  # noqa: TRY301 - kept like all others
            if self._staging is None:
                self._read_identity(fragment)
            if not self.discarded_by:
                self._file.write(fragment)
        except Exception as error:  # noqa: BLE001 - kept for `check`, which raises it when the sender can be answered
            self._fault = error
            # Closed at once, because an incomplete object would keep a full disk full.
            self.close()

    def check(self) -> None:
        """Raise the error of an earlier `write`, if there was one."""
        if self._fault is not None:
            raise self._fault

    @property
    def needs_facts(self) -> bool:
        """Whether its identity must be read with what rules can ask for."""
        return self._selection.needs_facts

    def look_for_identity(self) -> None:
        """Read its identity if it stands near the beginning, though not in its first fragment."""
        if self.identity is None and not self.is_long:
            self._read_identity(self.head(USUAL_BYTES))

    def note_identity(self, identity: InstanceIdentity) -> None:
        """Note its identity; one that its request contradicts is never discarded, so that it is refused."""
        self.identity = identity
        named = self.request.sop_class_uid, self.request.sop_instance_uid
        if named == (identity.sop_class_uid, identity.sop_instance_uid):
            self.discarded_by = self._selection.discarded_by(identity)

    def head(self, most: int) -> bytes:
        """Return the first bytes of the dataset."""
        return self._file.head(most)

    def finish(self) -> StagedFile:
        """Return the complete file, for the caller to commit or to discard.

        Raises
        ------
        Exception
            The error of an earlier `write`, or of the disk now.
        """
        self.check()
        staging, self._staging = self._file, None
        return staging.finish()

    def close(self) -> None:
        """Discard the file, unless `finish` has returned it."""
        if self._staging is not None:
            self._staging.discard()
            self._staging = None

    def __del__(self) -> None:
        self.close()

    def _read_identity(self, beginning: bytes | memoryview) -> None:
        # A little only: this runs in the thread that reads all connections. It may stand further behind.
        try:
            identity = read_identity(
                beginning,
                self.transfer_syntax_uid,
                most_bytes=USUAL_BYTES,
                most_elements=USUAL_ELEMENTS,
                with_facts=self.needs_facts,
            )
        except TooManyElementsError:
            self.is_long = True
        except UnreadableHeaderError:
            return  # it may be in the fragments that follow
        else:
            self.note_identity(identity)

    @property
    def _file(self) -> StagingFile:
        if self._staging is None:
            said = self.request
            header = file_header(said.sop_class_uid, said.sop_instance_uid, self.transfer_syntax_uid)
            self._staging = self._open_file(header)
        return self._staging


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
    """Encode what precedes and follows the SOP Instance UID, which is the same for a series.

    Without the cache this would take longer than any other step of receiving an image.
    """
    meta = create_file_meta(
        sop_class_uid=UID(sop_class_uid), sop_instance_uid=UID(""), transfer_syntax=UID(transfer_syntax)
    )
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta, enforce_standard=False)
    before, after = buffer.getvalue().split(_SHORT.pack(*_INSTANCE_UID, b"UI", 0), maxsplit=1)
    return before[_SHORT.size + 4 :], after
