"""The headers of a series, and files that cannot be read."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from analysis.domain.acquisition import AcquisitionFacts
from analysis.domain.reason import Reason

__all__ = ["SeriesHeaders", "UnreadableFile", "faults_of"]


@dataclass(frozen=True, slots=True)
class UnreadableFile:
    """A file that is not a complete DICOM object.

    Attributes
    ----------
    path : Path
        Where the file is.
    reason : Reason
        Why it cannot be read, without its name.
    """

    path: Path
    reason: Reason


def faults_of(files: Iterable[UnreadableFile]) -> tuple[Reason, ...]:
    """Return why files cannot be read, with the name of the first of those with one reason and their number.

    Examples
    --------
    >>> faults_of(UnreadableFile(Path(name), Reason("no_dicom")) for name in ("a.txt", "b.txt", "c.txt"))
    ('a.txt and 2 more: not a DICOM file',)
    """
    names: dict[Reason, list[str]] = {}
    for file in files:
        names.setdefault(file.reason, []).append(file.path.name)
    return tuple(
        Reason("of_file", file=first, reason=reason)
        if not others
        else Reason("of_files", file=first, more=len(others), reason=reason)
        for reason, (first, *others) in names.items()
    )


@dataclass(frozen=True, slots=True, eq=False)
class SeriesHeaders:
    """The headers of one series, or of one stack of a series of multi-frame objects.

    Attributes
    ----------
    study_uid, series_uid : str
        Study and Series Instance UID.
    facts : AcquisitionFacts
        How the series was acquired; see `node.decode.facts.facts_of`.
    paths : tuple of Path
        The file of each slice, in the order of SOP Instance UIDs.
    headers : tuple of Dataset
        The header of each slice without pixel data; for a frame of a multi-frame object, the header that a
        classic image of it would have.
    objects : tuple of Dataset
        The object that each slice is part of, without pixel data; for classic images the same as `headers`.
    frames : tuple of int
        Frame number of each slice in its object, from 1; empty for classic images.
    frames_between : tuple of int
        Numbers of frames that were acquired otherwise and lie where frames of this stack are missing.
    faults : tuple of Reason
        Why files of this series cannot be read; nothing is measured on a series without all of its images.
    """

    study_uid: str
    series_uid: str
    facts: AcquisitionFacts
    paths: tuple[Path, ...]
    headers: tuple[Dataset, ...]
    objects: tuple[Dataset, ...]
    frames: tuple[int, ...] = ()
    frames_between: tuple[int, ...] = ()
    faults: tuple[Reason, ...] = ()

    @property
    def description(self) -> Reason:
        """Modality and number of images, without patient data ("MR, 15 instances")."""
        modality, count = self.facts.modality or Reason("unknown_modality"), len(self.paths)
        kind = "frame" if self.frames else "instance"
        if count == 1:
            return Reason(f"one_{kind}", modality=modality)
        return Reason(f"many_{kind}s", modality=modality, count=count)
