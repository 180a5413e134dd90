"""The bytes of instances on disk: written once, never decoded, safe before anyone is told so."""

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from struct import Struct
from typing import BinaryIO
from uuid import uuid4

from pydicom.filereader import read_file_meta_info

from node.domain.header import HEADER_BYTES, read_identity
from node.domain.identifiers import folder_name
from node.domain.records import Instance, StagedFile
from node.errors import StorageFullError

__all__ = ["DiskInstanceStore", "certified", "read_head", "read_instance", "sync_folder"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SUFFIX = ".dcm"
_PREAMBLE_BYTES = 128
_MAGIC = b"DICM"
_CERTIFICATE = b"OSTEONODE "
_GROUP_LENGTH = Struct("<HH2sHI")
"""The element (0002,0000): how long the rest of the file meta information is."""
_PARALLEL_SYNCS = 8
_CHECK_BYTES = 16 * 1024 * 1024
"""How much of one object is written before the watermark is looked at again."""
_MOST_IN_MEMORY = 1024 * 1024
"""Of one object; an MR slice of 512² is half of that."""
_NONE = -1
_Bytes = bytes | bytearray | memoryview


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


class DiskStagingFile:
    """A Part 10 file that grows as its object arrives; the `StagingFile` port.

    Its preamble, which DICOM leaves to the application, gets the SHA-256 and the size of the dataset once
    that is whole. So a file proves by itself that it is (`certified`), whatever became of the database.

    An object of ordinary size is written in one go when it is whole: with each call of the system the
    interpreter's lock may change hands.

    Parameters
    ----------
    path : Path
        A new file.
    header : bytes
        File meta information.
    check_space : callable
        Raises `StorageFullError` below the watermark.

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
        """Add to the dataset.

        Raises
        ------
        StorageFullError
            If the disk is full, or nearly so.
        """
        before = self._size
        self._size += len(part)
        if before // _CHECK_BYTES != self._size // _CHECK_BYTES:
            self._check_space()
        self._hasher.update(part)
        if self._descriptor == _NONE and self._size <= _MOST_IN_MEMORY:
            self._kept += part
            return
        self._spill(part)

    def head(self, most: int) -> bytes:
        """Return the first bytes of the dataset."""
        if self._descriptor == _NONE:
            return bytes(self._kept[:most])
        return read_head(self._path, most)

    def finish(self) -> StagedFile:
        """Write what is still to be written, and close the file, whole.

        Raises
        ------
        StorageFullError
            If the disk is full.
        """
        digest = self._hasher.hexdigest()
        certificate = _certificate(digest, self._size)
        if self._descriptor == _NONE:
            self._spill(preamble=certificate)
        else:
            with _full_disk_told():
                os.pwrite(self._descriptor, certificate, 0)
        self._close()
        return StagedFile(self._path, self._size, digest)

    def discard(self) -> None:
        """Close and remove the file."""
        self._kept.clear()
        if self._descriptor != _NONE:
            self._close()
            self._path.unlink(missing_ok=True)

    def _spill(self, *parts: _Bytes, preamble: bytes = bytes(_PREAMBLE_BYTES)) -> None:
        """Write what was kept, and more."""
        try:
            with _full_disk_told():
                if self._descriptor == _NONE:
                    self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
                    parts = (preamble, _MAGIC, self._header, self._kept, *parts)
                    self._kept = bytearray()
                _write_all(self._descriptor, parts)
        except BaseException:
            self.discard()
            raise

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, _NONE
        with _full_disk_told():
            os.close(descriptor)


class DiskInstanceStore:
    """Instances below one folder, at places made of digests of their UIDs.

    Parameters
    ----------
    root : Path
        Holds `incoming` (temporary), `instances/<study>/<series>/<instance>.dcm`, `quarantine` and `results`.
    watermark_bytes : int
        Free disk below which nothing new is taken in.
    """

    def __init__(self, root: Path, watermark_bytes: int = 0) -> None:
        self.incoming = root / "incoming"
        self.instances = root / "instances"
        self.quarantined = root / "quarantine"
        self.results = root / "results"
        self._watermark_bytes = watermark_bytes
        self._pool = ThreadPoolExecutor(_PARALLEL_SYNCS, thread_name_prefix="sync")
        for folder in (self.incoming, self.instances, self.quarantined, self.results):
            folder.mkdir(parents=True, exist_ok=True)
        sync_folder(root)

    def stage(self, header: bytes) -> DiskStagingFile:
        """Begin a temporary file.

        Raises
        ------
        StorageFullError
            If less than the watermark is free.
        """
        self._check_space()
        return DiskStagingFile(self.incoming / f"{uuid4().hex}.part", header, self._check_space)

    def _check_space(self) -> None:
        if shutil.disk_usage(self.incoming).free < self._watermark_bytes:
            raise StorageFullError("less disk is free than [storage] watermark_mb asks for")

    @contextmanager
    def committing(self, files: Sequence[tuple[StagedFile, Instance]]) -> Iterator[None]:
        """Make staged files permanent: see `node.ports.InstanceStore`.

        Files, the folders that hold their names, and whatever is done inside are synced side by side: a
        journaling file system answers them all with one flush, where one after the other would each wait for
        a flush of its own.
        """
        placed: list[Path] = []
        syncs: list[Future[None]] = []
        try:
            changed: set[Path] = set()
            targets = []
            for staged, instance in files:
                target = self.path(instance)
                changed.update(_move(staged.path, target, self.instances))
                targets.append(target)
                if target != staged.path:  # one that was left behind has its name already
                    placed.append(target)
            # The folders go with the first file, whose sync most often has written them along.
            shares = [[*targets[:1], *changed], *([target] for target in targets[1:])]
            syncs = [self._pool.submit(_sync_each, share) for share in shares]
            try:
                yield
            finally:
                for sync in syncs:
                    sync.exception()  # waits for it
            for sync in syncs:
                sync.result()
        except BaseException:
            for target in placed:
                target.unlink(missing_ok=True)
            raise

    def quarantine(self, staged: StagedFile) -> str:
        """Put a staged file aside, durably, and return its name there."""
        _sync(staged.path)
        target = self.quarantined / staged.path.with_suffix(_SUFFIX).name
        staged.path.replace(target)
        sync_folder(self.quarantined)
        return target.name

    def discard(self, staged: StagedFile) -> None:
        """Forget a staged file; one that cannot be removed is cleared at the next start."""
        with suppress(OSError):
            staged.path.unlink(missing_ok=True)

    def path(self, instance: Instance) -> Path:
        """Return where an instance lies."""
        folder = self.series_folder(instance.study_uid, instance.series_uid)
        return folder / f"{folder_name(instance.sop_uid)}{_SUFFIX}"

    def study_folder(self, study_uid: str) -> Path:
        """Return the folder of a study's originals."""
        return self.instances / folder_name(study_uid)

    def series_folder(self, study_uid: str, series_uid: str) -> Path:
        """Return the folder of a series."""
        return self.study_folder(study_uid) / folder_name(series_uid)

    def result_folder(self, study_uid: str) -> Path:
        """Return the folder of a study's results."""
        return self.results / folder_name(study_uid)

    def files(self) -> Iterator[Path]:
        """Iterate over every permanent instance file."""
        return self.instances.glob(f"*/*/*{_SUFFIX}")

    def clear_incoming(self) -> int:
        """Remove what an earlier process left half written; nobody was promised it. Return how many files."""
        left = list(self.incoming.glob("*.part"))
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def remove_study(self, study_uid: str, instances: Iterable[Instance]) -> None:
        """Remove originals of a study, and its results; whatever else is in its folder stays."""
        for instance in instances:
            self.path(instance).unlink(missing_ok=True)
        study = self.study_folder(study_uid)
        for folder in (*study.glob("*"), study):
            with suppress(OSError):  # not empty: something has just come
                folder.rmdir()
        results = self.result_folder(study_uid)
        if results.exists():
            shutil.rmtree(results)
        for folder in (self.instances, self.results):
            sync_folder(folder)

    def clear_quarantine(self, before: datetime) -> int:
        """Remove what has been in quarantine since before a moment; return how many files."""
        old = [path for path in self.quarantined.iterdir() if path.stat().st_mtime < before.timestamp()]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)


def read_head(path: Path, most: int) -> bytes:
    """Return the first bytes of the dataset in a Part 10 file.

    Raises
    ------
    ValueError
        If the file is none.
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
        If it is not the whole Part 10 file that its preamble certifies, or names no instance
        (`UnreadableHeaderError`).
    """
    staged = certified(path)
    if staged is None:
        raise ValueError("the file is not whole")
    transfer_syntax = str(read_file_meta_info(path).TransferSyntaxUID)
    identity = read_identity(read_head(path, HEADER_BYTES), transfer_syntax)
    return staged, Instance.of(identity, transfer_syntax, size=staged.size, sha256=staged.sha256)


def certified(path: Path) -> StagedFile | None:
    """Return what a file is, if its dataset is the one that its preamble certifies, whole."""
    hasher = sha256()
    size = 0
    with path.open("rb") as file:
        preamble = file.read(_PREAMBLE_BYTES)
        file.seek(0)
        _skip_header(file)
        while part := file.read(_CHECK_BYTES):
            hasher.update(part)
            size += len(part)
    if preamble != _certificate(hasher.hexdigest(), size):
        return None
    return StagedFile(path, size, hasher.hexdigest())


def _certificate(sha256_hex: str, size: int) -> bytes:
    return (_CERTIFICATE + f"{sha256_hex} {size}".encode()).ljust(_PREAMBLE_BYTES, b"\0")


def _skip_header(file: BinaryIO) -> None:
    """Go to where the dataset begins."""
    start = file.read(_PREAMBLE_BYTES + len(_MAGIC) + _GROUP_LENGTH.size)
    if len(start) < _PREAMBLE_BYTES + len(_MAGIC) + _GROUP_LENGTH.size:
        raise ValueError("it is no Part 10 file")
    *_, length = _GROUP_LENGTH.unpack_from(start, _PREAMBLE_BYTES + len(_MAGIC))
    file.seek(length, os.SEEK_CUR)


def _write_all(descriptor: int, parts: Sequence[_Bytes]) -> None:
    left = [memoryview(part) for part in parts if part]
    while left:
        written = os.writev(descriptor, left)
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = left[0][written:]


@contextmanager
def _full_disk_told() -> Iterator[None]:
    """Raise `StorageFullError` where the system says that there is no room."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError("the disk is full") from error
        raise


def _sync_each(paths: Iterable[Path]) -> None:
    for path in paths:
        _sync(path)


def _sync(path: Path, flags: int = os.O_RDONLY) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move(file: Path, target: Path, root: Path) -> list[Path]:
    """Give a file its place, in folders below a root, and return every folder whose names have changed."""
    changed = [target.parent]
    try:
        file.replace(target)
    except FileNotFoundError:
        changed += _make_folders(target.parent, root)
        file.replace(target)
    return changed


def _make_folders(folder: Path, root: Path) -> list[Path]:
    """Create a folder below a root, and return every folder whose names have changed thereby."""
    changed = []
    missing = folder
    while missing != root and not missing.exists():
        changed.append(missing.parent)
        missing = missing.parent
    if missing != folder:
        folder.mkdir(parents=True, exist_ok=True)
    return changed
