"""What each association brought, in one line of the log at its end."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakKeyDictionary

from node.domain.audit import Party
from node.log import Log
from node.ports import Channel, Clock

__all__ = ["AssociationTraffic", "Traffic"]


@dataclass(slots=True)
class Traffic:
    """The counts of one association."""

    peer: Party
    began_at: datetime
    kept: int = 0
    refused: int = 0
    discarded: Counter[str] = field(default_factory=Counter)
    """Number of objects that each rule discarded."""
    size: int = 0
    pending: int = 0
    """Number of objects that were received completely and are not answered yet."""
    end: str = ""
    """How the association ended; empty while it is open."""
    ended_at: datetime | None = None
    is_told: bool = False


class AssociationTraffic:
    """Counts objects and bytes of each association.

    Parameters
    ----------
    clock : Clock
        The time.
    log : Log
        Gets the lines.
    """

    def __init__(self, clock: Clock, log: Log) -> None:
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()
        # Weak, so that an association whose end nobody noticed is not kept for ever.
        self._open: WeakKeyDictionary[Channel, Traffic] = WeakKeyDictionary()

    def begin(self, association: Channel, peer: Party) -> None:
        """Note that an association was admitted."""
        with self._lock:
            self._open[association] = Traffic(peer, self._clock.now())

    def receive(self, association: Channel, size: int) -> Traffic | None:
        """Note that an object of so many bytes was received; its answer is noted by `answer`."""
        with self._lock:
            there = self._open.get(association)
            if there is not None:
                there.pending += 1
                there.size += size
            return there

    def answer(self, there: Traffic | None, *, kept: bool, discarded_by: str = "") -> None:
        """Note whether an object is kept, stored now or before and the same, or which rule discarded it."""
        if there is None:
            return
        with self._lock:
            there.pending -= 1
            if discarded_by:
                there.discarded[discarded_by] += 1
            else:
                there.kept += kept
                there.refused += not kept
        self._tell_if_over(there)

    def end(self, association: Channel, how: str) -> None:
        """Note how an association ended; only its first end counts."""
        with self._lock:
            there = self._open.get(association)
            if there is None or there.end:
                return
            there.end, there.ended_at = how, self._clock.now()
        self._tell_if_over(there)

    def _tell_if_over(self, there: Traffic) -> None:
        if there.ended_at is None:
            return
        with self._lock:
            if there.pending or there.is_told:
                return
            there.is_told = True
        self._log.info(
            "association_ended",
            ae_title=there.peer.ae_title,
            host=there.peer.host,
            state=there.end,
            kept=there.kept,
            refused=there.refused,
            bytes=there.size,
            seconds=round((there.ended_at - there.began_at).total_seconds(), 1),
            **_discarded(there.discarded),
        )


def _discarded(counts: Counter[str]) -> dict[str, object]:
    """Return how many objects were discarded and by which rules; nothing where none was."""
    if not counts:
        return {}
    rules = ", ".join(f"{rule}: {count}" for rule, count in sorted(counts.items()))
    return {"discarded": counts.total(), "rules": rules}
