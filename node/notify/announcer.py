"""The sweep that queues a notice of what happened for each contact that wants to be told of it."""

from collections.abc import Callable, Iterator, Sequence

from node.config import Contact
from node.domain.notice import Answer, Happening, Notice, NoticeKind, met
from node.ports import Clock, NoticeBox

__all__ = ["Announcer", "notices_of"]

_AT_ONCE = 200
"""Happenings in one transaction."""


class Announcer:
    """Queues notices. What happens while nobody is configured is told to nobody, later either.

    Parameters
    ----------
    box, clock : NoticeBox, Clock
        See `node.ports`.
    contacts : callable
        Returns the contacts in force.
    """

    def __init__(self, box: NoticeBox, clock: Clock, contacts: Callable[[], Sequence[Contact]]) -> None:
        self._box = box
        self._clock = clock
        self._contacts = contacts

    def sweep(self) -> int:
        """Queue the notices of all that happened; return how many."""
        count = 0
        while happened := self._box.happenings(_AT_ONCE):
            contacts = self._contacts()
            notices = [notice for one in happened for notice in notices_of(one, contacts)]
            self._box.queue(happened, notices, self._clock.now())
            count += len(notices)
        return count


def notices_of(happening: Happening, contacts: Sequence[Contact]) -> Iterator[Notice]:
    """Return the notice of what happened for each contact that wants to be told of it."""
    for contact in contacts:
        if happening.kind.topic not in contact.on:
            continue
        if happening.kind is NoticeKind.SET_ASIDE:
            facts: dict[str, object] = {"reason": happening.reason}
        elif answers := met(happening.answers, contact.thresholds):
            facts = _facts_of(answers)
        else:
            continue
        yield Notice(
            happening.identifier, contact.name, happening.kind, happening.at, facts, happening.study_uid
        )


def _facts_of(answers: Sequence[Answer]) -> dict[str, object]:
    return {
        "answers": [
            {
                "target": one.target.value,
                "verdict": one.verdict,
                "probability": one.probability,
                "threshold": one.threshold,
            }
            for one in answers
        ],
        "model": answers[0].model,
        "simulated": answers[0].simulated,
    }
