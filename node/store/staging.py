"""Part 10 files that are written while an instance is received, and that certify their own dataset."""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from struct import Struct
from typing import BinaryIO

from pydicom.filereader import read_file_meta_info

from node.domain.header import HEADER_BYTES, InstanceIdentity, UnreadableHeaderError, read_identity
from node.domain.records import Instance, StagedFile
from node.store.durable import reporting_full_disk, write_all

__all__ = [
    "CHECK_BYTES",
    "DiskStagingFile",
    "read_certified",
    "read_head",
    "read_instance",
    "read_stored_identity",
]

CHECK_BYTES = 16 * 1024 * 1024
"""How much of one object is written before the watermark is checked again."""
_PREAMBLE_BYTES = 128
_MAGIC = b"DICM"
_CERTIFICATE = b"OSTEONODE "
_GROUP_LENGTH = Struct("<HH2sHI")
"""The element (0002,0000), whose value is the length of the rest of the file meta information."""
_MOST_IN_MEMORY = 1024 * 1024
"""Bytes of one object that are kept in memory before its file is opened; an MR slice has half of that."""
_USUAL_HEADER_BYTES = 64 * 1024
_NONE = -1


class DiskStagingFile:
    """A Part 10 file that grows while its object is received; the `StagingFile` port.

    Once the dataset is complete, its SHA-256 and size are written to the preamble, which DICOM leaves to the
    application. So a file itself proves that it is complete (see `read_certified`), whatever became of the
    database.

    An object of ordinary size is written with one system call when it is complete, because with each call the
    interpreter's lock may change hands.

    Parameters
    ----------
    path : Path
        A new file.
    header : bytes
        File meta information.
    check_space : callable
        Raises `StorageFullError` if less disk is free than the watermark.

    References
    ----------
    DICOM PS3.10 7.1, DICOM File Meta Information.
    """

    def __init__(self, path: Path, header: bytes, check_space: Callable[[], None]) -> None:
        self._path = path
        self._header = header
        self._check_space = check_space
        self._size = 0
        self._hasher = sha256()
        self._kept = bytearray()
        self._descriptor = _NONE

    def write(self, part: bytes | memoryview) -> None:
        """See `node.ports.StagingFile`."""
        before = self._size
        self._size += len(part)
        if before // CHECK_BYTES != self._size // CHECK_BYTES:
            self._check_space()
        self._hasher.update(part)
        if self._descriptor == _NONE and self._size <= _MOST_IN_MEMORY:
            self._kept += part
            return
        self._spill(part)

    def head(self, most: int) -> bytes:
        """See `node.ports.StagingFile`."""
        if self._descriptor == _NONE:
            return bytes(self._kept[:most])
        return read_head(self._path, most)

    def finish(self) -> StagedFile:
        """See `node.ports.StagingFile`."""
        digest = self._hasher.hexdigest()
        certificate = _certificate(digest, self._size)
        if self._descriptor == _NONE:
            self._spill(preamble=certificate)
        else:
            with reporting_full_disk():
                os.pwrite(self._descriptor, certificate, 0)
        self._close()
        return StagedFile(self._path, self._size, digest)

    def discard(self) -> None:
        """See `node.ports.StagingFile`."""
        self._kept.clear()
        if self._descriptor != _NONE:
            self._close()
            self._path.unlink(missing_ok=True)

    def _spill(
        self, *parts: bytes | bytearray | memoryview, preamble: bytes = bytes(_PREAMBLE_BYTES)
    ) -> None:
        """Write what is kept in memory, and then more."""
        try:
            with reporting_full_disk():
                if self._descriptor == _NONE:
                    self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                    parts = (preamble, _MAGIC, self._header, self._kept, *parts)
                    self._kept = bytearray()
                write_all(self._descriptor, parts)
        except BaseException:
            self.discard()
            raise

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, _NONE
        with reporting_full_disk():
            os.close(descriptor)


def read_head(path: Path, most: int) -> bytes:
    """Return the first bytes of the dataset in a Part 10 file, at most this many.

    Raises
    ------
    ValueError
        If it is not a Part 10 file.
    """
    with path.open("rb") as file:
        _skip_header(file)
        return file.read(most)


def read_instance(path: Path) -> tuple[StagedFile, Instance]:
    """Tell from a file alone which instance it holds.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is not the complete Part 10 file that its preamble certifies, or names no instance
        (`UnreadableHeaderError`).
    """
    staged = read_certified(path)
    if staged is None:
        raise ValueError("the file is not whole")
    transfer_syntax = str(read_file_meta_info(path).TransferSyntaxUID)
    identity = read_identity(read_head(path, HEADER_BYTES), transfer_syntax)
    return staged, Instance.of(identity, transfer_syntax, size=staged.size, sha256=staged.sha256)


def read_stored_identity(path: Path, transfer_syntax_uid: str) -> InstanceIdentity:
    """Read the identity of the instance in a file.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is not a Part 10 file, or names no instance (`UnreadableHeaderError`).
    """
    try:
        # Nearly every header contains all that is needed, so the pixels need not be read.
        return read_identity(read_head(path, _USUAL_HEADER_BYTES), transfer_syntax_uid)
    except UnreadableHeaderError:
        return read_identity(read_head(path, HEADER_BYTES), transfer_syntax_uid)


def read_certified(path: Path) -> StagedFile | None:
    """Return the size and digest of a file's dataset; None if its preamble certifies another or none.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is not a Part 10 file.
    """
    hasher = sha256()
    size = 0
    with path.open("rb") as file:
        preamble = file.read(_PREAMBLE_BYTES)
        file.seek(0)
        _skip_header(file)
        while part := file.read(CHECK_BYTES):
            hasher.update(part)
            size += len(part)
    if preamble != _certificate(hasher.hexdigest(), size):
        return None
    return StagedFile(path, size, hasher.hexdigest())


def _certificate(sha256_hex: str, size: int) -> bytes:
    return (_CERTIFICATE + f"{sha256_hex} {size}".encode()).ljust(_PREAMBLE_BYTES, b"\0")


def _skip_header(file: BinaryIO) -> None:
    """Move to the beginning of the dataset."""
    start = file.read(_PREAMBLE_BYTES + len(_MAGIC) + _GROUP_LENGTH.size)
    if len(start) < _PREAMBLE_BYTES + len(_MAGIC) + _GROUP_LENGTH.size:
        raise ValueError("it is no Part 10 file")
    *_, length = _GROUP_LENGTH.unpack_from(start, _PREAMBLE_BYTES + len(_MAGIC))
    file.seek(length, os.SEEK_CUR)
