"""What `AskedArchive` needs of each way of asking an archive."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pydicom import Dataset

__all__ = ["Level", "Sent", "Wire", "most_images"]

_MORE_IMAGES = 1000
_MOST_IMAGES = 20_000
"""Of a series of which the archive does not tell how many images it has."""


class Level(StrEnum):
    """What is looked for."""

    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


@dataclass(frozen=True, slots=True)
class Sent:
    """What the archive says that it sent.

    Attributes
    ----------
    failed : int
        Images that it could not send, or that this node did not take.
    warnings : int
        Images that it sent with a warning.
    reason : str
        Why images failed, in words; empty if none did.
    """

    failed: int = 0
    warnings: int = 0
    reason: str = ""


class Wire(Protocol):
    """One way of asking an archive; the errors are those of `node.ports.Archive`."""

    def reach(self) -> None:
        """Check that it answers."""
        ...

    def find(self, level: Level, keys: Mapping[str, str], most: int) -> Sequence[Dataset]:
        """Return what matches.

        Parameters
        ----------
        level : Level
            Of the answers.
        keys : mapping of str to str
            What is asked for, by keyword; an empty value asks for the attribute.
        most : int
            The largest number of answers that is accepted.

        Raises
        ------
        TooManyFoundError
            If there are more.
        """
        ...

    def header(self, study_uid: str, series_uid: str, sop_uid: str) -> Dataset | None:
        """Return the header of one image; None if the archive shows none without storing the image."""
        ...

    def fetch(self, study_uid: str, series_uid: str, expected: Collection[str] | None) -> Sent:
        """Have one series sent, and wait until it is on disk.

        Parameters
        ----------
        study_uid, series_uid : str
            The series.
        expected : collection of str or None
            The SOP Instance UIDs that the archive says it has; None if it does not tell.
        """
        ...


def most_images(expected: Collection[str] | None) -> int:
    """Return how many images of one series are taken before the archive is broken off."""
    return _MOST_IMAGES if expected is None else len(expected) + _MORE_IMAGES
