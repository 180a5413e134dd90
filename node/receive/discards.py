"""Counts what the rules discard, and records it in groups: an object that is not kept must cost no sync."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from node.domain.header import InstanceIdentity
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
        self._watched: dict[tuple[str, str], list[dict[str, str]]] = {}
        """By study and series, what was discarded of them since; changes under `_lock`."""

    @contextmanager
    def watch(self, study_uid: str, series_uid: str) -> Iterator[Mapping[str, str]]:
        """See `node.ports.Intake.watch_discards`."""
        series, found = (study_uid, series_uid), dict[str, str]()
        with self._lock:
            self._watched.setdefault(series, []).append(found)
        try:
            yield found
        finally:
            with self._lock:
                # By identity: two that watch the same series may have found the same.
                left = [one for one in self._watched.pop(series) if one is not found]
                if left:
                    self._watched[series] = left

    def note(self, identity: InstanceIdentity, rule: str) -> None:
        """Count an object that a rule discarded."""
        study_uid = identity.study_uid
        with self._lock:
            for found in self._watched.get((study_uid, identity.series_uid), ()):
                found[identity.sop_instance_uid] = rule
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
