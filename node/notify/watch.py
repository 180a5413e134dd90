"""The sweep that looks at the conditions of the node, and queues notices of those that began or ended."""

from collections.abc import Callable, Iterator, Sequence

from node.config import Contact
from node.domain.conditions import Observation, changes
from node.domain.notice import Notice
from node.ports import Clock, NoticeBox

__all__ = ["Look", "Watch"]

Look = Callable[[Contact], Iterator[Observation]]
"""Returns what there is to see, with the limits of one contact."""


class Watch:
    """Looks at the conditions, for each contact with its own limits.

    What it knew is in the store, so that a restart of the node tells nothing twice.

    Parameters
    ----------
    box, clock : NoticeBox, Clock
        See `node.ports`.
    contacts : callable
        Returns the contacts in force.
    look : callable
        Looks at the node.
    """

    def __init__(
        self, box: NoticeBox, clock: Clock, contacts: Callable[[], Sequence[Contact]], look: Look
    ) -> None:
        self._box = box
        self._clock = clock
        self._contacts = contacts
        self._look = look

    def sweep(self) -> int:
        """Queue what is to be told; return how many notices."""
        return sum(map(self._look_for, self._contacts()))

    def _look_for(self, contact: Contact) -> int:
        now = self._clock.now()
        seen = [one for one in self._look(contact) if one.begun.topic in contact.on]
        found = changes(self._box.conditions(contact.name), seen, now)
        notices = [Notice.new(contact.name, one.kind, one.at, one.facts) for one in found.news]
        if found:
            self._box.record_conditions(contact.name, found.put, found.forgotten, notices, now)
        return len(notices)
