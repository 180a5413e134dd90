"""Keeps a study open while some of its series are still to be fetched."""

from datetime import timedelta

from node.domain.wish import Wish, WishState
from node.ports import Clock, OpenAssociations, StudyReader

__all__ = ["HeldOpen"]

_LONGEST = timedelta(hours=6)
"""An archive that is away for longer does not hold back a study; what comes later reopens it."""


class HeldOpen:
    """The `OpenAssociations` port: a study that is being fetched counts as being received, too.

    Parameters
    ----------
    associations : OpenAssociations
        Knows the studies that are received over an association.
    wishes, clock : StudyReader, Clock
        See `node.ports`.
    """

    def __init__(self, associations: OpenAssociations, wishes: StudyReader, clock: Clock) -> None:
        self._associations = associations
        self._wishes = wishes
        self._clock = clock

    def is_open(self, study_uid: str, gone_on: timedelta) -> bool:
        """See `node.ports.OpenAssociations`."""
        if self._associations.is_open(study_uid, gone_on):
            return True
        return any(self._holds(wish) for wish in self._wishes.wishes(study_uid))

    def _holds(self, wish: Wish) -> bool:
        # A study that was sent by itself as well is not held back by an archive.
        is_coming = wish.state is WishState.FETCHING and not wish.was_here
        return is_coming and self._clock.now() - wish.changed_at < _LONGEST
