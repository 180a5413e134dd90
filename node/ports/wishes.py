"""The rows of studies that are fetched from archives, as the station that fetches and as operators see them.

Every method is one transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from node.domain.wish import (
    Batch,
    BatchFigures,
    Eligible,
    NewWish,
    Taken,
    WantedSeries,
    WishEnd,
    WishLease,
    WishState,
)
from node.ports.stations import AssociationRecords, StudyReader

__all__ = ["WishBook", "WishQueue"]


class WishQueue(StudyReader, AssociationRecords, Protocol):
    """Wishes that are still to be fulfilled."""

    def lease_wish(
        self, archive: str, owner: str, now: datetime, until: datetime, *, which: Eligible = Eligible.ALL
    ) -> WishLease | None:
        """Lease the next wish for an archive.

        Live ones go before the backlog; then those whose series are known before others; then the one that
        waited longest. A wish whose batch is paused is not leased.

        Parameters
        ----------
        archive : str
            By name.
        owner : str
            Names this node in the lease.
        now, until : datetime
            Begin and end of the lease.
        which : Eligible
            Which wishes are considered.

        Returns
        -------
        WishLease or None
            None if nothing is due.
        """
        ...

    def tell_unconfigured(self, archives: Collection[str], now: datetime) -> Mapping[str, int]:
        """Let wishes rest, with the reason, whose archive the configuration does not name any more.

        They stay open: once the archive is named again, they go on where they were.

        Parameters
        ----------
        archives : collection of str
            Names of the archives that are configured.
        now : datetime
            The present moment.

        Returns
        -------
        mapping of str to int
            How many wishes rest, by the name of their archive.
        """
        ...

    def record_judged(
        self, lease: WishLease, series: Sequence[WantedSeries], now: datetime, *, was_here: bool
    ) -> WishLease:
        """Record which series are to be fetched, and return the lease with them.

        Raises
        ------
        LeaseLostError
            If another holds the lease, or the wish was cancelled.

        Notes
        -----
        Only the first judgement decides on `was_here`.
        """
        ...

    def record_series(
        self,
        lease: WishLease,
        series_uid: str,
        completed: int,
        now: datetime,
        until: datetime,
        *,
        is_all: bool = False,
    ) -> WishLease:
        """Record that a series came, lengthen the lease, and return it.

        With `is_all`, the series is not asked for again although the archive told of more images: the rules
        discarded the others.

        Raises
        ------
        LeaseLostError
            If another holds the lease, or the wish was cancelled.
        """
        ...

    def end_wish(self, lease: WishLease, state: WishState, reason: str, now: datetime) -> None:
        """Record the end of a wish.

        Raises
        ------
        LeaseLostError
            If another holds the lease, or the wish was cancelled.
        """
        ...

    def put_off_wish(
        self, lease: WishLease, reason: str, now: datetime, not_before: datetime, *, attempts: int
    ) -> None:
        """Return a wish to the queue until a moment, with the number of failed attempts.

        Raises
        ------
        LeaseLostError
            If another holds the lease, or the wish was cancelled.
        """
        ...

    def count_begun(self, archive: str, since: datetime) -> int:
        """Return of how many studies of an archive fetching began since a moment."""
        ...

    def count_unfinished_fetched(self) -> int:
        """Return how many fetched studies are still to be settled or analysed, pairs that wait aside."""
        ...

    def is_live_arriving(self, since: datetime) -> bool:
        """Tell whether images that were not asked for have come since a moment."""
        ...


class WishBook(Protocol):
    """What operators and the clock put, and what they read of it."""

    def put_wishes(self, batch: Batch, studies: Sequence[NewWish], now: datetime, *, renew: bool) -> Taken:
        """Put studies under a batch, which is entered if its name is new.

        A study that was asked for before keeps its wish, which gets the higher priority of the two. If the
        wish has ended and the archive has more images by now, as of a study that was not complete then, its
        series are judged again; what was fetched of them is not fetched twice.

        Parameters
        ----------
        batch : Batch
            Which archive is asked, and how.
        studies : sequence of NewWish
            The studies.
        now : datetime
            The present.
        renew : bool
            Whether wishes that failed, were cancelled or not found go on, under this batch. What was fetched
            of them counts.
        """
        ...

    def pause_batches(self, names: Collection[str], *, paused: bool) -> int:
        """Let batches rest or go on; return of how many that changed."""
        ...

    def cancel_wishes(self, names: Collection[str], now: datetime) -> int:
        """Give up what is still open in some batches; return how many wishes that ends."""
        ...

    def batches(self, limit: int) -> tuple[BatchFigures, ...]:
        """Return the latest batches, the latest first."""
        ...

    def ends_of_batch(self, name: str) -> tuple[WishEnd, ...]:
        """Return every wish of a batch with what became of its study, ordered by UID."""
        ...
