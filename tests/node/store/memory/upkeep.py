"""Figures, retention and recovery in memory."""

# ruff: noqa: D102 - `node.ports` describes each method
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from node.domain.delivery import DeliveryState
from node.domain.drift import Observation, ScannerRange, Subject
from node.domain.growth import Kept
from node.domain.model_answer import KeptAnswer
from node.domain.records import (
    Instance,
    Study,
    StudyQuery,
)
from node.domain.status import UNFINISHED_STATES, FailedStudies, OutboxFigures, StoreFigures
from node.domain.study import StudyEvent, StudyState
from node.domain.wish import WishState
from tests.node.store.memory.tables import Tables, WishRow

__all__ = ["MemoryUpkeep"]

ALL = StudyQuery()


class MemoryUpkeep:
    """The ports `Figures`, `Retention` and `Recovery`, as far as no other class has them."""

    _tables: Tables

    def studies(self, limit: int, query: StudyQuery = ALL) -> tuple[Study, ...]:
        wanted = [one for one in self._tables.all_studies() if self._is_wanted(one, query)]
        wanted.sort(key=lambda one: one.study_uid)
        return tuple(sorted(wanted, key=lambda one: one.changed_at, reverse=True)[:limit])

    def _is_wanted(self, study: Study, query: StudyQuery) -> bool:
        rows = [row for row in self._tables.deliveries.values() if row.study_uid == study.study_uid]
        return (
            (not query.states or study.state in query.states)
            and (query.since is None or study.last_arrival >= query.since)
            and (query.until is None or study.last_arrival < query.until)
            and (not query.destination or any(row.destination == query.destination for row in rows))
            and any(query.text.lower() in words.lower() for words in (study.study_uid, study.reason))
            and study.study_uid.startswith(query.uid_prefix)
        )

    def one_of_each(self) -> tuple[Instance, ...]:
        with self._tables.lock:
            rows = sorted(self._tables.instances.items(), reverse=True)
        each = {(row.instance.study_uid, row.instance.patient_key): row.instance for _, row in rows}
        return tuple(each.values())

    def kept(self, now: datetime) -> Kept:
        by_age: Counter[int] = Counter()
        with self._tables.lock:
            for row in self._tables.instances.values():
                by_age[(now - row.at).days] += row.instance.size
            since = min((row.study.first_arrival for row in self._tables.studies.values()), default=None)
        return Kept(by_age, since)

    def scanner_ranges(self) -> Mapping[Subject, ScannerRange]:
        with self._tables.lock:
            return dict(sorted(self._tables.scanners.items()))

    def observations(self, bundle: str, since: datetime) -> tuple[Observation, ...]:
        with self._tables.lock:
            kept = self._tables.distances.values()
            found = [one for one in kept if one.subject.bundle == bundle and one.at >= since]
        return tuple(sorted(found, key=lambda one: (one.at, one.study_uid)))

    def accept_scanner(self, scanner: str, now: datetime) -> int:
        t = self._tables
        with t.transaction():
            left = [subject for subject in t.departures() if subject.scanner == scanner]
            for subject in left:
                t.scanners[subject] = t.scanners[subject].accepted(now)
            return len(left)

    def model_answers(self, scanner: str | None = None) -> tuple[KeptAnswer, ...]:
        kept = [one for answers in self._tables.answers.values() for one in answers]
        wanted = [one for one in kept if scanner is None or one.answer.scanner == scanner]
        return tuple(
            sorted(
                wanted,
                key=lambda one: (one.analysed_at, one.study_uid, one.answer.bundle, one.answer.target),
            )
        )

    def failed_studies(self, since: datetime, limit: int) -> FailedStudies:
        waiting = [
            one
            for one in self.studies(len(self._tables.studies))
            if one.state is StudyState.FAILED
            and one.changed_at > since
            and self._tables.instances_of(one.study_uid)
        ]
        return FailedStudies(len(waiting), tuple(waiting[:limit]))

    def figures(self, studies: int, latest: int, since: datetime) -> StoreFigures:
        with self._tables.lock:
            every = self._tables.all_studies()
            oldest: dict[StudyState, datetime] = {}
            for one in every:
                if one.state in UNFINISHED_STATES:
                    oldest[one.state] = min(one.changed_at, oldest.get(one.state, one.changed_at))
            entries = sorted(self._tables.quarantine, key=lambda entry: entry.at, reverse=True)
            return StoreFigures(
                studies=Counter(one.state for one in every),
                oldest=oldest,
                outboxes=self._outboxes(),
                instances=len(self._tables.instances),
                quarantined=Counter(entry.reason for entry in entries),
                latest=self.studies(studies),
                latest_quarantined=tuple(entries[:latest]),
                failed_studies=self.failed_studies(since, latest),
                wishes=self._wishes(),
            )

    def _wishes(self) -> dict[str, Counter[WishState]]:
        counts: dict[str, Counter[WishState]] = defaultdict(Counter)
        for row in self._tables.wishes.values():
            counts[row.wish.archive][row.wish.state] += 1
        return dict(counts)

    def _outboxes(self) -> dict[str, OutboxFigures]:
        counts: dict[str, Counter[DeliveryState]] = defaultdict(Counter)
        since: dict[str, list[datetime]] = defaultdict(list)
        sent: dict[str, list[datetime]] = defaultdict(list)
        for row in self._tables.deliveries.values():
            counts[row.destination][row.state] += 1
            if row.is_open:
                since[row.destination].append(self._tables.studies[row.study_uid].study.changed_at)
            if row.state is DeliveryState.SENT and row.recorded_at is not None:
                sent[row.destination].append(row.recorded_at)
        return {
            name: OutboxFigures(theirs, min(since[name], default=None), max(sent[name], default=None))
            for name, theirs in counts.items()
        }

    def unchanged_since(self, states: Iterable[StudyState], moment: datetime) -> tuple[Study, ...]:
        wanted = set(states)
        return tuple(
            one
            for one in self._tables.all_studies()
            if one.state in wanted and max(one.changed_at, one.last_arrival) <= moment
            if one.deadline is None and self._tables.instances_of(one.study_uid)
            if not self._tables.has_open_deliveries(one.study_uid)
        )

    def forget_originals(self, study: Study, remove: Callable[[Sequence[Instance]], None]) -> bool:
        with self._tables.transaction():
            now = self._tables.study(study.study_uid)
            if now is None or (now.state, now.revision, now.last_arrival) != (
                study.state, study.revision, study.last_arrival,
            ):  # fmt: skip
                return False
            instances = self._tables.instances_of(study.study_uid)
            remove(instances)
            for one in instances:
                del self._tables.instances[one.sop_uid]
            return True

    def forget_examination(self, study_uid: str) -> bool:
        t = self._tables
        with t.transaction():
            if t.instances_of(study_uid):
                return False
            ours = {
                uid: row
                for uid, row in t.results.items()
                if row.result.study_uid == study_uid and row.compared is not None
            }
            t.results.update({uid: replace(row, compared=None) for uid, row in ours.items()})
            answers = t.answers.pop(study_uid, ())
            distances = [key for key in t.distances if key[0] == study_uid]
            for key in distances:
                del t.distances[key]
            return t.examinations.pop(study_uid, None) is not None or bool(ours or answers or distances)

    def count_examinations(self, before: datetime) -> int:
        with self._tables.lock:
            return len(self._old(before))

    def _old(self, before: datetime) -> set[str]:
        t = self._tables
        scores = {uid for uid, row in t.examinations.items() if row.recorded_at <= before}
        answers = {uid for uid, kept in t.answers.items() if any(one.analysed_at <= before for one in kept)}
        return scores | answers | {uid for (uid, _), one in t.distances.items() if one.at <= before}

    def forget_examinations(self, before: datetime) -> int:
        t = self._tables
        with t.transaction():
            for uid, row in t.results.items():
                if row.result.created_at <= before:
                    t.results[uid] = replace(row, compared=None)
            old = self._old(before)
            for uid in old:
                t.examinations.pop(uid, None)
                t.answers.pop(uid, None)
            for key in [key for key, one in t.distances.items() if one.at <= before]:
                del t.distances[key]
            return len(old)

    def forget_unused(
        self, states: Iterable[StudyState], remove: Callable[[Sequence[Instance]], None], most: int
    ) -> int:
        wanted = set(states)
        with self._tables.transaction():
            unused = [
                row.instance
                for _, row in sorted(self._tables.instances.items())
                if not row.instance.is_mr_image
                and self._tables.studies[row.instance.study_uid].study.state in wanted
            ][:most]
            remove(unused)
            for one in unused:
                del self._tables.instances[one.sop_uid]
            return len(unused)

    def all_instances(self) -> Iterator[Instance]:
        with self._tables.lock:
            rows = sorted(self._tables.instances.items())
        return iter([row.instance for _, row in rows])

    def last_group(self) -> tuple[Instance, ...]:
        with self._tables.lock:
            rows = self._tables.instances.values()
            last = max((row.group for row in rows), default=0)
            return tuple(row.instance for row in rows if row.group == last)

    def release_leases(self, now: datetime) -> int:
        t = self._tables
        reason = "the node stopped meanwhile"
        with t.transaction():
            analysing = [one for one in self._tables.all_studies() if one.state is StudyState.ANALYSING]
            for one in analysing:
                t.apply_event(one, StudyEvent.BROKE, now, reason=reason, deadline=now, attempts=one.attempts)
            sending = [row for row in self._tables.deliveries.values() if row.state is DeliveryState.SENDING]
            for row in sending:
                t.change_delivery(
                    row, state=DeliveryState.WAITING, token="", lease_until=None, not_before=now
                )
            confirming = [
                row
                for row in self._tables.deliveries.values()
                if row.is_unconfirmed and row.lease_until is not None
            ]
            for row in confirming:
                t.change_delivery(row, token="", lease_until=None)
            fetching = [(key, row) for key, row in t.wishes.items() if row.token]
            for key, leased in fetching:
                state = WishState.WAITING if leased.begun_at is None else WishState.FETCHING
                t.wishes[key] = WishRow(replace(leased.wish, state=state), leased.begun_at)
            return len(analysing) + len(sending) + len(confirming) + len(fetching)
