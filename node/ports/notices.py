"""The notices of the node: what contacts are told of. Every method is one transaction."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from node.domain.conditions import Ongoing
from node.domain.notice import Happening, Notice, NoticeBatch, NoticeFigures, NoticeState

__all__ = ["NoticeBox"]


class NoticeBox(Protocol):
    """Keeps what happened until its notices are queued, and each notice until its contact has it."""

    def happenings(self, most: int) -> tuple[Happening, ...]:
        """Return what happened and is not queued yet, the oldest first, at most so many."""
        ...

    def queue(self, happenings: Collection[Happening], notices: Sequence[Notice], now: datetime) -> None:
        """Queue the notices of what happened, and take that off the list.

        Nothing is queued if some of it is not on the list any more.
        """
        ...

    def conditions(self, contact: str) -> Mapping[str, Ongoing]:
        """Return the conditions that hold for a contact, by subject."""
        ...

    def record_conditions(
        self,
        contact: str,
        put: Mapping[str, Ongoing],
        forgotten: Collection[str],
        notices: Sequence[Notice],
        now: datetime,
    ) -> None:
        """Record conditions that changed, and queue what is told of that."""
        ...

    def lease_batch(
        self, contact: str, now: datetime, until: datetime, *, singly: int, hourly: int, most: int
    ) -> NoticeBatch | None:
        """Lease what is to be sent next to a contact, as one event.

        An event whose attempt was begun is leased as it was then.

        Parameters
        ----------
        contact : str
            By name.
        now, until : datetime
            Begin and end of the lease. After the end it is leased again, unless `end_batch` was called.
        singly : int
            If more notices of one kind about studies are due than this, they become one event.
        hourly : int
            Events about studies in an hour; after so many, such notices wait and gather.
        most : int
            Notices in one event.

        Returns
        -------
        NoticeBatch or None
            None if nothing is due.
        """
        ...

    def end_batch(
        self,
        batch: NoticeBatch,
        state: NoticeState,
        now: datetime,
        *,
        reason: str = "",
        not_before: datetime | None = None,
    ) -> None:
        """Record what became of an attempt, and when the next one is due."""
        ...

    def notices(self, study_uid: str) -> tuple[Notice, ...]:
        """Return the notices about a study, in the order in which they were queued."""
        ...

    def figures(self, since: datetime) -> Mapping[str, NoticeFigures]:
        """Count the notices of each contact, by name; those that failed before a moment count as old.

        Raises
        ------
        TransientError
            If the database does not answer.
        """
        ...

    def forget(self, before: datetime, contacts: Collection[str], now: datetime) -> int:
        """Delete what ended before a moment, and give up what can never be sent; return how much of that.

        Parameters
        ----------
        before : datetime
            What ended earlier is deleted; what happened earlier and still waits is given up.
        contacts : collection of str
            The names of those that are configured. What waits for any other is given up.
        now : datetime
            The present moment.
        """
        ...

    def close(self) -> None:
        """Close every connection."""
        ...
