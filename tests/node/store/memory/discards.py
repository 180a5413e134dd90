"""Counts of discarded objects in memory."""

# ruff: noqa: D102 - `node.ports` describes each method
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from node.domain.records import Discarded
from tests.node.store.memory.tables import Tables

__all__ = ["MemoryDiscards"]


class MemoryDiscards:
    """What several ports say of discarded objects."""

    _tables: Tables

    def record_discards(self, counts: Mapping[tuple[str, str], int], now: datetime) -> None:
        t = self._tables
        with t.transaction():
            for (study_uid, rule), count in counts.items():
                before = t.discards.get((study_uid, rule), Discarded(study_uid, rule, 0, now, now))
                t.discards[study_uid, rule] = replace(before, count=before.count + count, last_at=now)

    def discarded(self, study_uid: str) -> tuple[Discarded, ...]:
        with self._tables.lock:
            found = [one for one in self._tables.discards.values() if one.study_uid == study_uid]
        return tuple(sorted(found, key=lambda one: one.rule))

    def discards(self) -> Mapping[str, tuple[int, int]]:
        objects: Counter[str] = Counter()
        studies: defaultdict[str, set[str]] = defaultdict(set)
        with self._tables.lock:
            for one in self._tables.discards.values():
                objects[one.rule] += one.count
                studies[one.rule].add(one.study_uid)
        return {rule: (objects[rule], len(studies[rule])) for rule in objects}

    def forget_discards(self, before: datetime) -> int:
        t = self._tables
        with t.transaction():
            kept = {key: one for key, one in t.discards.items() if one.last_at >= before}
            count, t.discards = len(t.discards) - len(kept), kept
        return count
