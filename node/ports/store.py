"""The rows of the node, as operators, retention and a starting node see them, and `Store` for all of it.

Every method is one transaction.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from node.domain.drift import Observation, ScannerRange, Subject
from node.domain.growth import Kept
from node.domain.model_answer import KeptAnswer
from node.domain.records import (
    Instance,
    NewResult,
    Study,
    StudyQuery,
)
from node.domain.status import FailedStudies, StoreFigures
from node.domain.study import StudyState
from node.ports.stations import (
    AnalysisQueue,
    Arrivals,
    Outbox,
    RefusalReportQueue,
    SettlingQueue,
    StudyReader,
    StudySteps,
)
from node.ports.wishes import WishBook, WishQueue

__all__ = ["Figures", "OperatorCommands", "Recovery", "Retention", "Store"]


class Figures(StudyReader, Protocol):
    """Lists and counts, for operators, the status page and the metrics."""

    def studies(self, limit: int, query: StudyQuery = ...) -> tuple[Study, ...]:
        """Return the studies that changed last, the latest first.

        Parameters
        ----------
        limit : int
            How many are returned.
        query : StudyQuery, optional
            Which of them; by default all.
        """
        ...

    def one_of_each(self) -> tuple[Instance, ...]:
        """Return one stored instance of each study and patient.

        A study of which nothing is stored any more has none.
        """
        ...

    def kept(self, now: datetime) -> Kept:
        """Return how many bytes of images are kept, by their age.

        Raises
        ------
        TransientError
            If the database does not answer.
        """
        ...

    def discards(self) -> Mapping[str, tuple[int, int]]:
        """Return how many objects of how many studies each rule discarded, as far back as it is kept."""
        ...

    def scanner_ranges(self) -> Mapping[Subject, ScannerRange]:
        """Return the state of each scanner that was judged, ordered by its key.

        Raises
        ------
        TransientError
            If the database does not answer.
        """
        ...

    def observations(self, bundle: str, since: datetime) -> tuple[Observation, ...]:
        """Return the studies that a model, by digest, read first since a moment, the oldest first.

        Raises
        ------
        TransientError
            If the database does not answer.
        """

    def model_answers(self, scanner: str | None = None) -> tuple[KeptAnswer, ...]:
        """Return what models answered to studies, the oldest first.

        Parameters
        ----------
        scanner : str, optional
            Key of a scanner (`node.domain.scanner`), for the studies of that one.

        Raises
        ------
        TransientError
            If the database does not answer.
        """
        ...

    def failed_studies(self, since: datetime, limit: int) -> FailedStudies:
        """Return the studies that failed since a moment and still wait for an operator.

        Parameters
        ----------
        since : datetime
            The moment.
        limit : int
            How many of the latest are returned; all are counted.
        """
        ...

    def figures(self, studies: int, latest: int, since: datetime) -> StoreFigures:
        """Count everything at one moment.

        Parameters
        ----------
        studies : int
            How many of the latest studies are returned.
        latest : int
            How many of the latest entries in quarantine, and of the latest failed studies, are returned.
        since : datetime
            Studies that failed earlier are not counted as failed.

        Raises
        ------
        TransientError
            If the database does not answer.
        """
        ...


class Retention(Protocol):
    """Finds and removes what is older than the retention time."""

    def unchanged_since(self, states: Iterable[StudyState], moment: datetime) -> tuple[Study, ...]:
        """Return studies in these states that hold images, wait for nothing and have not changed since."""
        ...

    def forget_originals(self, study: Study, remove: Callable[[Sequence[Instance]], None]) -> bool:
        """Remove a study's instances, rows and files, unless the study changed since it was read.

        Parameters
        ----------
        study : Study
            As it was read.
        remove : callable
            Removes the files. It is called within the transaction, so that an instance that arrives meanwhile
            waits: no file is removed whose sender has just been told that it is stored.

        Returns
        -------
        bool
            Whether they were removed.
        """
        ...

    def forget_unused(
        self, states: Iterable[StudyState], remove: Callable[[Sequence[Instance]], None], most: int
    ) -> int:
        """Remove what is no MR image of studies in these states; return how many objects were removed.

        Parameters
        ----------
        states : iterable of StudyState
            States in which nothing more is done with a study.
        remove : callable
            As for `forget_originals`.
        most : int
            No more objects at once: images that arrive meanwhile wait for the transaction.
        """
        ...

    def forget_examination(self, study_uid: str) -> bool:
        """Delete the scores of a study whose images are gone, and those that its results compare with.

        The answers of models to it are deleted, too.

        Returns
        -------
        bool
            False if there are none, or if the study has images.
        """
        ...

    def count_examinations(self, before: datetime) -> int:
        """Return of how many studies `forget_examinations` would delete something."""
        ...

    def forget_examinations(self, before: datetime) -> int:
        """Delete all scores and answers that were recorded before a moment; return of how many studies."""
        ...

    def forget_discards(self, before: datetime) -> int:
        """Delete the counts of discarded objects that have not risen since a moment; return how many."""
        ...


class OperatorCommands(StudySteps, Arrivals, Protocol):
    """What an operator can have done."""

    def resend(self, study: Study, now: datetime) -> bool:
        """Queue failed deliveries of the current results again, and hasten those that wait.

        Returns
        -------
        bool
            False if there are none, or if the state of the study does not permit it.
        """
        ...

    def send_again(self, study: Study, results: Sequence[NewResult], now: datetime) -> bool:
        """Queue current results for their destinations, whether those have them already or not.

        What is being sent at this moment is left to itself.

        Parameters
        ----------
        study : Study
            As it was read.
        results : sequence of NewResult
            Current results, with the destinations to which each is sent.
        now : datetime
            The time.

        Returns
        -------
        bool
            False if the study has changed since, or if nothing is to be queued.
        """
        ...

    def set_aside(self, study: Study, reason: str, now: datetime) -> bool:
        """Give a study up until an operator acts, with all that is still to be sent of it.

        Returns
        -------
        bool
            False if the study has changed since it was read.
        """
        ...

    def redirect(
        self, study: Study, results: Sequence[NewResult], known: Collection[str], now: datetime
    ) -> bool:
        """Send deliveries of removed destinations to the configured ones instead.

        Parameters
        ----------
        study : Study
            Whose results they are.
        results : sequence of NewResult
            The current ones, with their configured destinations.
        known : collection of str
            Names of all configured destinations.
        now : datetime
            The time.

        Returns
        -------
        bool
            False if no delivery was redirected.
        """
        ...

    def accept_scanner(self, scanner: str, now: datetime) -> int:
        """Let models answer again to studies of a scanner that has left their range, until it leaves again.

        Return in how many cases (model and basis) it had left; nothing changes where it had not.
        """
        ...

    def forgive_cut_off(self, study_uid: str) -> None:
        """Treat the series of a study that were cut off as complete."""
        ...


class Recovery(Arrivals, Protocol):
    """What a node calls when it starts or stops, while no other node uses the store."""

    def all_instances(self) -> Iterator[Instance]:
        """Iterate over every stored instance."""
        ...

    def last_group(self) -> tuple[Instance, ...]:
        """Return the instances that were recorded last, together: their files may be incomplete on disk."""
        ...

    def cut_off_associations(self, now: datetime) -> int:
        """Record that every open association is lost; return how many rows that concerned."""
        ...

    def release_leases(self, now: datetime) -> int:
        """Free the studies, deliveries and wishes that an earlier process had leased, and return how many.

        Studies of nodes that only analyse and are alive are left to them. None of the others counts an
        attempt: the node ended, the work did not fail.
        """
        ...

    def finish_all_deliveries(self, now: datetime) -> int:
        """See `Outbox`."""
        ...


class Store(
    SettlingQueue,
    AnalysisQueue,
    RefusalReportQueue,
    Outbox,
    Figures,
    Retention,
    OperatorCommands,
    WishQueue,
    WishBook,
    Recovery,
    Protocol,
):
    """All that is done with rows, and the connection to them."""

    def claim(self) -> None:
        """Reserve the store for this node until `close`.

        Raises
        ------
        PermanentError
            If another node has it.
        """
        ...

    def close(self) -> None:
        """Close every connection, and let another node have the store."""
        ...
