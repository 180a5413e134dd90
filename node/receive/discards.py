"""Counts what the rules discard, and records it in groups: an object that is not kept must cost no sync."""

import threading
from collections import Counter

from node.log import Log
from node.ports import Arrivals, Clock

__all__ = ["Discards"]

_MOST = 10_000
"""Pairs of study and rule that wait to be recorded. If the database is away for so long, no further study is
recorded; the metrics count all the same."""


class Discards:
    """What was discarded of each study, by rule, until the next sweep records it.

    Parameters
    ----------
    store : Arrivals
        Where it is recorded.
    clock : Clock
        The time.
    log : Log
        Logs one line when no more can be recorded.
    """

    def __init__(self, store: Arrivals, clock: Clock, log: Log) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._is_full = False

    def note(self, study_uid: str, rule: str) -> None:
        """Count an object that a rule discarded."""
        with self._lock:
            if (study_uid, rule) in self._counts or len(self._counts) < _MOST:
                self._counts[study_uid, rule] += 1
                return
            was_full, self._is_full = self._is_full, True
        if not was_full:
            self._log.error("discards_not_recorded", reason="the database is behind")

    def sweep(self) -> None:
        """Record what has been counted since the last time; on an error, it is kept for the next."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            self._is_full = False
        if not counts:
            return
        try:
            self._store.record_discards(counts, self._clock.now())
        except BaseException:
            with self._lock:
                self._counts.update(counts)
            raise
