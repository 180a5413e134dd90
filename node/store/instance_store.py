"""The files of instances and results: written once, never decoded, durable before the response."""

import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from itertools import count
from pathlib import Path
from uuid import uuid4

from node.domain.header import InstanceIdentity
from node.domain.identifiers import folder_name
from node.domain.person import UNKNOWN_PATIENT, Patient, Person
from node.domain.records import Instance, StagedFile
from node.errors import StorageFullError
from node.store.durable import SyncThreads, move_into, sync, sync_folder
from node.store.staging import DiskStagingFile, read_instance, read_stored_identity

__all__ = ["DiskInstanceStore"]

_SUFFIX = ".dcm"
_PARALLEL_SYNCS = 8


class DiskInstanceStore:
    """The `InstanceStore` port over one folder; names of folders and files are digests of UIDs.

    Parameters
    ----------
    root : Path
        Holds `incoming` (temporary), `instances/<study>/<series>/<instance>.dcm`, `quarantine` and `results`.
    watermark_bytes : int
        Free disk below which no further instance is taken in.
    """

    def __init__(self, root: Path, watermark_bytes: int = 0) -> None:
        self._incoming = root / "incoming"
        self._instances = root / "instances"
        self._quarantined = root / "quarantine"
        self.results = root / "results"
        self._watermark_bytes = watermark_bytes
        self._syncs = SyncThreads(_PARALLEL_SYNCS)
        # With each other, names that no other process gives; an UUID of each file costs a system call.
        self._own, self._numbers = uuid4().hex, count()
        for folder in (self._incoming, self._instances, self._quarantined, self.results):
            folder.mkdir(parents=True, exist_ok=True)
        sync_folder(root)

    def stage(self, header: bytes) -> DiskStagingFile:
        """See `node.ports.StagingArea`."""
        self._check_space()
        return DiskStagingFile(self._new_incoming(), header, self._check_space)

    def _new_incoming(self) -> Path:
        return self._incoming / f"{self._own}{next(self._numbers):x}.part"

    def _check_space(self) -> None:
        if shutil.disk_usage(self._incoming).free < self._watermark_bytes:
            raise StorageFullError("less disk is free than [storage] watermark_mb asks for")

    @contextmanager
    def committing(self, files: Sequence[tuple[StagedFile, Instance]]) -> Iterator[None]:
        """See `node.ports.StagingArea`.

        Files, the folders that hold their names, and what the block writes are synced at the same time: a
        journaling file system serves them all with one flush, where one after the other would each wait for
        a flush of its own.
        """
        placed: list[str] = []
        try:
            changed: set[Path] = set()
            targets: list[str] = []
            for staged, instance in files:
                folder = self._folder(instance)
                target = f"{folder}/{_name(instance)}"
                changed.update(move_into(staged.path, folder, target, self._instances))
                targets.append(target)
                # A file that an earlier process left behind has its name already.
                if target != str(staged.path):
                    placed.append(target)
            # The folders go with the first file, whose sync usually has written them too.
            first: list[Path | str] = [*targets[:1], *changed]
            wait = self._syncs.begin([first, *([target] for target in targets[1:])])
            try:
                yield
            finally:
                failure = wait()
            if failure is not None:
                raise failure  # noqa: TRY301 - what is placed is removed below
        except BaseException:
            for target in placed:
                Path(target).unlink(missing_ok=True)
            raise

    def quarantine(self, staged: StagedFile) -> str:
        """See `node.ports.StagingArea`."""
        sync(staged.path)
        target = self._quarantined / staged.path.with_suffix(_SUFFIX).name
        staged.path.replace(target)
        sync_folder(self._quarantined)
        return target.name

    def discard(self, staged: StagedFile) -> None:
        """See `node.ports.StagingArea`; a file that cannot be removed is removed at the next start."""
        with suppress(OSError):
            staged.path.unlink(missing_ok=True)

    def path(self, instance: Instance) -> Path:
        """See `node.ports.StoredFiles`."""
        return self._folder(instance) / _name(instance)

    def _folder(self, instance: Instance) -> Path:
        return _series_folder(self._instances, instance.study_uid, instance.series_uid)

    def _study_folder(self, study_uid: str) -> Path:
        return self._instances / folder_name(study_uid)

    def result_folder(self, study_uid: str) -> Path:
        """See `node.ports.StoredFiles`."""
        return self.results / folder_name(study_uid)

    def keep_results(self, study_uid: str, names: Collection[str]) -> None:
        """See `node.ports.StoredFiles`."""
        kept = {(self.results / name).parent for name in names}
        for folder in self.result_folder(study_uid).glob("*"):
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def takes_results(self) -> bool:
        """See `node.ports.StoredFiles`."""
        return os.access(self.results, os.W_OK | os.X_OK) and os.access(self._instances, os.R_OK | os.X_OK)

    def files(self) -> Iterator[Path]:
        """See `node.ports.FileRecovery`."""
        return self._instances.glob(f"*/*/*{_SUFFIX}")

    def clear_incoming(self) -> int:
        """See `node.ports.FileRecovery`."""
        left = list(self._incoming.glob("*.part"))
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def remove_study(self, study_uid: str, instances: Iterable[Instance]) -> None:
        """See `node.ports.FileRemoval`."""
        self.remove_instances(instances)
        study = self._study_folder(study_uid)
        for folder in (*study.glob("*"), study):
            with suppress(OSError):  # not empty: another instance has just arrived
                folder.rmdir()
        results = self.result_folder(study_uid)
        if results.exists():
            shutil.rmtree(results)
        for folder in (self._instances, self.results):
            sync_folder(folder)

    def remove_instances(self, instances: Iterable[Instance]) -> None:
        """See `node.ports.FileRemoval`."""
        for instance in instances:
            self.path(instance).unlink(missing_ok=True)

    def clear_quarantine(self, before: datetime) -> int:
        """See `node.ports.FileRemoval`."""
        old = self._old_quarantine(before)
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def count_quarantine(self, before: datetime) -> int:
        """See `node.ports.FileRemoval`."""
        return len(self._old_quarantine(before))

    def _old_quarantine(self, before: datetime) -> list[Path]:
        return [path for path in self._quarantined.iterdir() if path.stat().st_mtime < before.timestamp()]

    def read_quarantined(self, name: str) -> tuple[StagedFile, Instance, Person] | None:
        """See `node.ports.InstanceStore`."""
        path = self._quarantined / name
        try:
            staged, instance = read_instance(path)
            return staged, instance, read_stored_identity(path, instance.transfer_syntax_uid).patient.person
        except (OSError, ValueError):
            return None

    def patient(self, instance: Instance) -> Patient:
        """See `node.ports.StoredFiles`."""
        found = self._identity(instance)
        return UNKNOWN_PATIENT if found is None else found.patient

    def identifiers(self, instance: Instance) -> frozenset[str]:
        """See `node.ports.StoredFiles`."""
        found = self._identity(instance)
        return frozenset() if found is None else frozenset({found.patient_id, found.accession_number} - {""})

    def patient_name(self, instance: Instance) -> str:
        """See `node.ports.StoredFiles`."""
        found = self._identity(instance)
        return "" if found is None else found.patient_name

    def accession_number(self, instance: Instance) -> str:
        """See `node.ports.StoredFiles`."""
        found = self._identity(instance)
        return "" if found is None else found.accession_number

    def patient_id(self, instance: Instance) -> str:
        """See `node.ports.StoredFiles`."""
        found = self._identity(instance)
        return "" if found is None else found.patient_id

    def _identity(self, instance: Instance) -> InstanceIdentity | None:
        try:
            return read_stored_identity(self.path(instance), instance.transfer_syntax_uid)
        except (OSError, ValueError):
            return None

    def quarantine_stored(self, instance: Instance) -> str:
        """See `node.ports.InstanceStore`."""
        path = self._new_incoming()
        self.path(instance).replace(path)
        return self.quarantine(StagedFile(path, instance.size, instance.sha256))


def _name(instance: Instance) -> str:
    return f"{folder_name(instance.sop_uid)}{_SUFFIX}"


@lru_cache(maxsize=256)
def _series_folder(instances: Path, study_uid: str, series_uid: str) -> Path:
    """Return the folder of a series, which is the same for all of its images."""
    return instances / folder_name(study_uid) / folder_name(series_uid)
