"""The files of a series, known by their headers; and files that are none."""

from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from analysis.domain.acquisition import AcquisitionFacts
from analysis.domain.reason import Reason

__all__ = ["SeriesHeaders", "UnreadableFile"]


@dataclass(frozen=True, slots=True)
class UnreadableFile:
    """A file that is no whole DICOM object.

    Attributes
    ----------
    path : Path
        Which.
    reason : Reason
        Why.
    """

    path: Path
    reason: Reason


@dataclass(frozen=True, slots=True, eq=False)
class SeriesHeaders:
    """The files of one series by their headers.

    Attributes
    ----------
    study_uid, series_uid : str
        Their identity.
    facts : AcquisitionFacts
        What the headers tell of the acquisition.
    paths : tuple of Path
        One per slice, in the order of SOP Instance UIDs.
    headers : tuple of Dataset
        The same slices without their pixel data; for a frame of a multi-frame object, what a classic image of
        it would tell.
    objects : tuple of Dataset
        The objects that the slices lie in, without pixel data; of classic images the same as `headers`.
    frames : tuple of int
        Number of each slice in its object, from 1; empty for classic images.
    """

    study_uid: str
    series_uid: str
    facts: AcquisitionFacts
    paths: tuple[Path, ...]
    headers: tuple[Dataset, ...]
    objects: tuple[Dataset, ...]
    frames: tuple[int, ...] = ()

    @property
    def description(self) -> Reason:
        """What kind of series it is, without patient data ("MR, 15 instances")."""
        modality, count = self.facts.modality or Reason("unknown_modality"), len(self.paths)
        kind = "frame" if self.frames else "instance"
        if count == 1:
            return Reason(f"one_{kind}", modality=modality)
        return Reason(f"many_{kind}s", modality=modality, count=count)
