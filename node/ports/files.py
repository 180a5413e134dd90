"""The bytes of instances and results on disk, as their consumers see them.

Worker processes read stored files by path, so these ports speak of paths.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from node.domain.person import Patient, Person
from node.domain.records import Instance, StagedFile

__all__ = ["FileRecovery", "FileRemoval", "InstanceStore", "StagingArea", "StagingFile", "StoredFiles"]


class StagingFile(Protocol):
    """An open temporary file, to which the dataset of an instance is written while it is received."""

    def write(self, part: bytes | memoryview) -> None:
        """Append to the dataset.

        Raises
        ------
        StorageFullError
            If less disk is free than the watermark, or none.
        """
        ...

    def head(self, most: int) -> bytes:
        """Return the first bytes of the dataset, at most this many."""
        ...

    def finish(self) -> StagedFile:
        """Close the file, whose dataset is complete.

        Raises
        ------
        StorageFullError
            If the disk is full.
        """
        ...

    def discard(self) -> None:
        """Close and remove the file."""
        ...


class StagingArea(Protocol):
    """Takes in the bytes of instances, and never decodes them."""

    def stage(self, header: bytes) -> StagingFile:
        """Open a temporary file.

        Parameters
        ----------
        header : bytes
            File meta information.

        Raises
        ------
        StorageFullError
            If less disk is free than the watermark.
        """
        ...

    def committing(self, files: Sequence[tuple[StagedFile, Instance]]) -> AbstractContextManager[None]:
        """Make staged files permanent under their instances; after the block they survive a power cut.

        On entry the files get their permanent names. The block runs while they are synced. If the block or a
        sync fails, the files are removed.
        """
        ...

    def quarantine(self, staged: StagedFile) -> str:
        """Move a staged file to quarantine, durably, and return its name there."""
        ...

    def discard(self, staged: StagedFile) -> None:
        """Remove a staged file."""
        ...


class StoredFiles(Protocol):
    """Where the files of instances and results lie."""

    @property
    def results(self) -> Path:
        """The folder of all results; names of result files are relative to it."""
        ...

    def path(self, instance: Instance) -> Path:
        """Return the file of an instance."""
        ...

    def patient(self, instance: Instance) -> Patient:
        """Return what a stored instance says about its patient; nothing if its file cannot be read."""
        ...

    def identifiers(self, instance: Instance) -> frozenset[str]:
        """Return the Patient ID and the accession number in a stored instance, as far as it can be read.

        They are for comparing with what an operator typed, never for a log.
        """
        ...

    def patient_name(self, instance: Instance) -> str:
        """Return the name of the patient in a stored instance, as far as it can be read; as `identifiers`."""
        ...

    def accession_number(self, instance: Instance) -> str:
        """Return the accession number in a stored instance; empty if it cannot be read."""
        ...

    def patient_id(self, instance: Instance) -> str:
        """Return the Patient ID in a stored instance, for the audit trail; empty if it cannot be read."""
        ...

    def result_folder(self, study_uid: str) -> Path:
        """Return the folder of a study's results, which may not exist yet."""
        ...

    def keep_results(self, study_uid: str, names: Collection[str]) -> None:
        """Remove what is in the folder of the results of a study, except the folders of these files.

        A node that was killed leaves result files, some half-written, that no row names.
        """
        ...

    def takes_results(self) -> bool:
        """Tell whether this process may read instances and write results; not whether there is room."""
        ...


class FileRemoval(Protocol):
    """Removes files whose retention is over."""

    def remove_study(self, study_uid: str, instances: Iterable[Instance]) -> None:
        """Remove these instances of a study and all its results; other files of the study stay."""
        ...

    def remove_instances(self, instances: Iterable[Instance]) -> None:
        """Remove the files of these instances."""
        ...

    def count_quarantine(self, before: datetime) -> int:
        """Return how many files `clear_quarantine` would remove."""
        ...

    def clear_quarantine(self, before: datetime) -> int:
        """Remove files that have been in quarantine since before a moment; return how many."""
        ...


class FileRecovery(StagingArea, StoredFiles, Protocol):
    """What is asked of the files after a start."""

    def files(self) -> Iterator[Path]:
        """Iterate over every permanent instance file."""
        ...

    def clear_incoming(self) -> int:
        """Remove the temporary files of an earlier process; return how many.

        No sender was told that one of them is stored.
        """
        ...


class InstanceStore(FileRecovery, FileRemoval, Protocol):
    """All that is done with files."""

    def read_quarantined(self, name: str) -> tuple[StagedFile, Instance, Person] | None:
        """Return a file in quarantine, the instance that it holds and what that says about its patient.

        None if it is not a complete instance.
        """
        ...

    def quarantine_stored(self, instance: Instance) -> str:
        """Move the file of a stored instance to quarantine, under a name of its own, and return that name."""
        ...
