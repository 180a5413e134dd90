"""The bytes of instances on disk: written once, never decoded, safe before anyone is told so."""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from node.domain.identifiers import folder_name
from node.domain.records import Instance, Staged
from node.errors import StorageFullError

__all__ = ["DiskInstanceStore", "digest", "sync_folder"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SUFFIX = ".dcm"


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
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
        for folder in (self.incoming, self.instances, self.quarantined, self.results):
            folder.mkdir(parents=True, exist_ok=True)
        sync_folder(root)

    def stage(self, parts: Iterable[bytes | memoryview]) -> Staged:
        """Write bytes to a temporary file.

        Raises
        ------
        StorageFullError
            If less than the watermark is free, or the disk fills up while writing.
        """
        if shutil.disk_usage(self.incoming).free < self._watermark_bytes:
            raise StorageFullError("less disk is free than [storage] watermark_mb asks for")
        path = self.incoming / f"{uuid4().hex}.part"
        try:
            with path.open("xb") as file:
                size = sum(file.write(part) for part in parts)
        except OSError as error:
            path.unlink(missing_ok=True)
            if error.errno in _FULL:
                raise StorageFullError("the disk is full") from error
            raise
        return Staged(path, size)

    def commit(self, files: Sequence[tuple[Staged, Instance]]) -> None:
        """Make staged files permanent: bytes first, then names, then the folders that hold the names."""
        changed: set[Path] = set()
        for staged, _ in files:
            _sync_file(staged.path)
        for staged, instance in files:
            target = self.path(instance)
            changed.update(_make_folders(target.parent, self.instances))
            staged.path.replace(target)
        for folder in sorted(changed, key=lambda folder: len(folder.parts), reverse=True):
            sync_folder(folder)

    def quarantine(self, staged: Staged) -> str:
        """Put a staged file aside, durably, and return its name there."""
        _sync_file(staged.path)
        target = self.quarantined / staged.path.with_suffix(_SUFFIX).name
        staged.path.replace(target)
        sync_folder(self.quarantined)
        return target.name

    def discard(self, staged: Staged) -> None:
        """Forget a staged file."""
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

    def remove_study(self, study_uid: str) -> None:
        """Remove the originals and results of a study."""
        for folder in (self.study_folder(study_uid), self.result_folder(study_uid)):
            if folder.exists():
                shutil.rmtree(folder)
                sync_folder(folder.parent)


def digest(parts: Iterable[bytes | memoryview]) -> str:
    """SHA-256 (hex) over the parts in their order."""
    hasher = sha256()
    for part in parts:
        hasher.update(part)
    return hasher.hexdigest()


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folders(folder: Path, root: Path) -> list[Path]:
    """Create a folder below a root, and return every folder whose names have changed thereby."""
    changed = [folder]
    missing = folder
    while missing != root and not missing.exists():
        changed.append(missing.parent)
        missing = missing.parent
    folder.mkdir(parents=True, exist_ok=True)
    return changed
