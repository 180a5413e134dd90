"""What each association brought, in one line of the log at its end."""

import threading
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakKeyDictionary

from node.domain.audit import Party
from node.log import Log
from node.ports import Clock

__all__ = ["AssociationTraffic"]


@dataclass(slots=True)
class _Traffic:
    peer: Party
    began_at: datetime
    kept: int = 0
    refused: int = 0
    size: int = 0
    pending: int = 0
    """Number of objects that were received completely and are not answered yet."""
    end: str = ""
    """How the association ended; empty while it is open."""
    ended_at: datetime | None = None


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
        self._open: WeakKeyDictionary[threading.Thread, _Traffic] = WeakKeyDictionary()

    def begin(self, association: threading.Thread, peer: Party) -> None:
        """Note that an association was admitted."""
        with self._lock:
            self._open[association] = _Traffic(peer, self._clock.now())

    def receive(self, association: threading.Thread, size: int) -> None:
        """Note that an object of so many bytes was received; `answer` must be called for it."""
        with self._lock:
            there = self._open.get(association)
            if there is not None:
                there.pending += 1
                there.size += size

    def answer(self, association: threading.Thread, *, kept: bool) -> None:
        """Note whether an object is kept: stored now, or stored before and the same."""
        with self._lock:
            there = self._open.get(association)
            if there is None:
                return
            there.pending -= 1
            there.kept += kept
            there.refused += not kept
        self._tell_if_over(association)

    def end(self, association: threading.Thread, how: str) -> None:
        """Note how an association ended; only its first end counts."""
        with self._lock:
            there = self._open.get(association)
            if there is None or there.end:
                return
            there.end, there.ended_at = how, self._clock.now()
        self._tell_if_over(association)

    def _tell_if_over(self, association: threading.Thread) -> None:
        with self._lock:
            there = self._open.get(association)
            if there is None or there.ended_at is None or there.pending:
                return
            del self._open[association]
        self._log.info(
            "association_ended",
            ae_title=there.peer.ae_title,
            host=there.peer.host,
            state=there.end,
            kept=there.kept,
            refused=there.refused,
            bytes=there.size,
            seconds=round((there.ended_at - there.began_at).total_seconds(), 1),
        )
