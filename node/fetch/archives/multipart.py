"""A multipart response of Part 10 files, read as it comes: nothing of a file is kept but its beginning.

References
----------
DICOM PS3.18 8.7.3, Media Types; PS3.10 7.1, DICOM File Meta Information; RFC 2046 5.1, Multipart Media Type.
"""

from collections.abc import Callable
from email.message import Message
from io import BytesIO
from struct import Struct
from struct import error as StructError  # noqa: N812 - an exception despite its name
from typing import TYPE_CHECKING

from pydicom.filereader import read_dataset
from python_multipart.exceptions import ParseError
from python_multipart.multipart import MultipartParser

from node.errors import PermanentError, TransientError
from node.ports import IncomingObject

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["FileParts"]

_START = Struct("<128x4sHH2sHI")
"""Preamble, "DICM", and the element (0002,0000), whose value is the length of the rest."""
_GROUP_LENGTH = (b"DICM", 2, 0, b"UL", 4)
_LONGEST_META = 64 * 1024
_NO_FILE = "a part of its answer is no DICOM file"

Begin = Callable[[str, str, str], IncomingObject]


class FileParts:
    """Reads the body of a response, and passes on the dataset of each file in it.

    Parameters
    ----------
    content_type : str
        Value of that header of the response.
    begin : callable
        Gets SOP Class UID, SOP Instance UID and transfer syntax of each file, and returns what takes its
        dataset.
    finish : callable
        Called when a file is complete.

    Raises
    ------
    PermanentError
        If the response is not multipart.
    """

    def __init__(self, content_type: str, begin: Begin, finish: Callable[[], object]) -> None:
        header = Message()
        header["content-type"] = content_type
        boundary = header.get_boundary()
        if header.get_content_maintype() != "multipart" or not boundary:
            raise PermanentError("its answer is not multipart")
        self._begin = begin
        self._finish = finish
        self._start = bytearray()
        self._incoming: IncomingObject | None = None
        self._has_ended = False
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin_part,
            "on_part_data": self._take,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }
        self._parser = MultipartParser(boundary.encode("latin-1", "replace"), callbacks)

    def feed(self, data: bytes) -> None:
        """Read the next bytes of the body.

        Raises
        ------
        PermanentError
            If they are no Part 10 files in a multipart body.
        """
        try:
            self._parser.write(data)
        except ParseError:
            raise PermanentError("its answer is not multipart as it says") from None

    def close(self) -> None:
        """Check that the body has ended as it should.

        Raises
        ------
        TransientError
            If it broke off.
        """
        if not self._has_ended:
            raise TransientError("its answer broke off")

    def _begin_part(self) -> None:
        self._start, self._incoming = bytearray(), None

    def _take(self, data: bytes, start: int, end: int) -> None:
        part = memoryview(data)[start:end]
        if self._incoming is not None:
            self._incoming.write(part)
            return
        self._start += part
        if len(self._start) < _START.size:
            return
        length = self._meta_length()
        if len(self._start) >= length:
            self._incoming = self._begin(*_read_meta(self._start[_START.size : length]))
            if len(self._start) > length:
                self._incoming.write(memoryview(bytes(self._start[length:])))
            self._start = bytearray()

    def _meta_length(self) -> int:
        """Return the length of everything before the dataset."""
        try:
            *named, length = _START.unpack_from(self._start)
        except StructError:
            raise PermanentError(_NO_FILE) from None
        if tuple(named) != _GROUP_LENGTH or length > _LONGEST_META:
            raise PermanentError(_NO_FILE)
        return int(_START.size + length)

    def _end_part(self) -> None:
        if self._incoming is None:
            raise PermanentError(_NO_FILE)
        self._incoming = None
        self._finish()

    def _end(self) -> None:
        self._has_ended = True


def _read_meta(encoded: bytearray) -> tuple[str, str, str]:
    """Return SOP Class UID, SOP Instance UID and transfer syntax of file meta information."""
    try:
        meta = read_dataset(BytesIO(encoded), is_implicit_VR=False, is_little_endian=True)
        found = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID
        return str(found[0]), str(found[1]), str(found[2])
    except Exception as error:
        raise PermanentError(_NO_FILE) from error
