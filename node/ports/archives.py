"""Archives that are asked for studies, and where the images go that they answer with."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from analysis.domain.acquisition import AcquisitionFacts
from node.domain.archive import ArchiveQuery, FoundSeries, FoundStudy, Retrieved
from node.domain.audit import Party

__all__ = ["Archive", "IncomingObject", "Intake", "Transfer"]


class Archive(Protocol):
    """A PACS that is asked.

    Each method makes one connection, and may be called from several threads. Every method raises

    - `TransientError` if the archive cannot be reached, breaks off or is out of resources: try again later;
    - `PermanentError` if it refuses, or answers with what cannot be used: another attempt would fail too.

    The message says why, and holds no patient data.
    """

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        ...

    def reach(self) -> None:
        """Check that it answers."""
        ...

    def find_studies(self, query: ArchiveQuery, most: int) -> Sequence[FoundStudy]:
        """Return the studies that match, ordered by date and UID.

        What the archive returns although it does not match is left out.

        Parameters
        ----------
        query : ArchiveQuery
            Which studies.
        most : int
            The largest number that is accepted.

        Raises
        ------
        TooManyFoundError
            If more match, or the archive limits its answer: nothing is left out silently. A shorter range of
            dates (`ArchiveQuery.halves`) may be asked for.
        """
        ...

    def find_series(self, study_uid: str) -> Sequence[FoundSeries]:
        """Return the series of a study, ordered by UID; none if the archive does not have the study."""
        ...

    def read_facts(self, series: FoundSeries) -> AcquisitionFacts:
        """Return the facts of a series with those that the header of one of its images adds.

        Returns what is known already if the archive tells no more without sending the image to this node.
        """
        ...

    def retrieve(self, study_uid: str, series_uid: str) -> Retrieved:
        """Have one series sent to this node, and wait until all of it is on disk, or known not to be.

        Images of other studies and series are not taken. A series of which the archive has sent a part
        before is sent again; what is stored already is not stored twice.

        Raises
        ------
        TransientError
            If it broke off: some images may have been stored.
        """
        ...


class IncomingObject(Protocol):
    """The dataset of one instance while it is received."""

    def write(self, fragment: memoryview) -> None:
        """Take the next bytes of the encoded dataset; an error is kept, and is the answer to the object."""
        ...

    def close(self) -> None:
        """Discard it, if it has not been stored."""
        ...


class Transfer(Protocol):
    """Images of one series that are being received because this node asked for them."""

    def begin(self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> IncomingObject:
        """Begin to receive an instance, of which the archive says so much."""
        ...

    def store(self, incoming: IncomingObject, answer: Callable[[int], None]) -> None:
        """Store a complete instance; the same is checked, and the same happens, as for one that is sent.

        `answer` gets the status of PS3.4 B.2.3, now or later, from any thread: 0 once it is on disk.
        """
        ...

    def note_whole(self) -> None:
        """Note that all of the series came; otherwise it counts as cut off at the end."""
        ...


class Intake(Protocol):
    """Takes images that this node asked for, by the path of those that are sent to it."""

    def open(self, sender: Party, study_uid: str, series_uid: str) -> AbstractContextManager[Transfer]:
        """Begin to take one series; at the end it waits until each instance is answered.

        Parameters
        ----------
        sender : Party
            The archive.
        study_uid, series_uid : str
            What was asked for. Instances of any other series are rejected.
        """
        ...

    def watch_discards(self, study_uid: str, series_uid: str) -> AbstractContextManager[Mapping[str, str]]:
        """Follow what the rules discard of a series, however it comes.

        What it returns grows meanwhile: SOP Instance UIDs, each with the name of the rule.
        """
        ...
