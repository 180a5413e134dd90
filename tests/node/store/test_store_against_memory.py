"""The databases against the store in memory: after any events in any order, both hold the same."""

# ruff: noqa: D102 - the rules of the state machine are named by what happens
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from analysis.domain.reason import Reason
from node.domain.delivery import OPEN_DELIVERY_STATES, DeliveryState
from node.domain.records import AssociationRecord, DeliveryBatch, NewResult, Result, StudyLease
from node.domain.study import TRANSITIONS, StudyEvent, StudyState
from node.errors import LeaseLostError
from node.ports import Store
from node.store.sql import SqlStore
from tests.node.store.memory import MemoryStore, Tables
from tests.node.store.suite.studies import DESTINATIONS, LEASE, PATIENCE, START, arrival, results_of
from tests.postgres import Postgres
from tests.thoroughness import share_of

pytestmark = pytest.mark.slow

T = TypeVar("T")
STUDIES = ("1.1", "1.2")
NO_BODY = Reason("no_body")
Leases = tuple[StudyLease, StudyLease] | None
Batches = tuple[DeliveryBatch, DeliveryBatch] | None
"""From the database and from the store in memory; the two differ in their tokens only."""
JUDGEMENTS = (StudyEvent.FOUND_HALF, StudyEvent.REFUSED, StudyEvent.FOUND_READY)
ENDS = (
    DeliveryState.SENT,
    DeliveryState.SENT,
    DeliveryState.WAITING,
    DeliveryState.NOT_ACCEPTED,
    DeliveryState.UNCONFIRMED,
    DeliveryState.FAILED,
)


def again(result: Result, *destinations: str) -> NewResult:
    """Return a recorded result as a new one, for other destinations."""
    return NewResult(
        result.kind, result.sop_uid, result.sop_class_uid, result.name, destinations, result.series_uid
    )


class StoreAgainstMemory(RuleBasedStateMachine):
    """Senders, sweeps, workers, couriers, operators, crashes and the clock, in any order."""

    associations = Bundle("associations")
    leases = Bundle("leases")
    batches = Bundle("batches")

    @staticmethod
    def new_url(folder: str) -> str:
        return f"sqlite:///{folder}/store.db"

    @initialize()
    def open(self) -> None:
        # In memory where the system has such a folder: thousands of syncs would test nothing here.
        memory = "/dev/shm"  # noqa: S108 - a folder of our own is made in it
        self.folder = TemporaryDirectory(dir=memory if Path(memory).is_dir() else None)
        self.url = self.new_url(self.folder.name)
        self.tables = Tables()
        self.store: Store = SqlStore(self.url)
        self.model: Store = MemoryStore(self.tables)
        self.now = START
        self.count = 0
        self.sent: list[tuple[str, str]] = []

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def both(self, act: Callable[[Store], T]) -> T:
        """Do the same with both stores, and return what both return."""
        found, expected = act(self.store), act(self.model)
        assert found == expected
        return found

    def both_or_lost(self, one: Callable[[], None], other: Callable[[], None]) -> bool:
        """Do two things that both succeed or both lose their lease; tell whether they succeeded."""
        lost = []
        for act in (one, other):
            try:
                act()
            except LeaseLostError:
                lost.append(act)
        assert len(lost) in {0, 2}
        return not lost

    @rule(
        target=associations,
        study=st.sampled_from(STUDIES),
        number=st.integers(1, 3),
        matters=st.booleans(),
    )
    def arrive(self, study: str, number: int, *, matters: bool) -> Any:
        group = []
        name = f"association {self.count}"
        for _ in range(number):
            self.count += 1
            group.append(arrival(study, self.count, matters=matters, association=name))
        self.both(lambda store: store.record_arrivals(group, self.now, PATIENCE))
        return AssociationRecord(name, self.now, frozenset({(study, f"{study}.1")}))

    @rule(association=consumes(associations), orderly=st.booleans())
    def end_association(self, association: AssociationRecord, *, orderly: bool) -> None:
        self.both(lambda store: store.end_association(association, self.now, orderly=orderly))

    @rule(study=st.sampled_from(STUDIES), event=st.sampled_from(JUDGEMENTS), seconds=st.sampled_from([0, 1]))
    def lose_a_series_and_send_it_again(self, study: str, event: StudyEvent, seconds: int) -> None:
        """Judge a study without a lost series, which is then sent again with no new image."""
        lost = self.arrive(study, 1, matters=True)
        self.wait(6)
        self.end_association(lost, orderly=False)
        self.settle(event)
        self.wait(seconds)
        self.count += 1
        again = replace(lost, association=f"association {self.count}", began_at=self.now)
        self.end_association(again, orderly=True)

    @rule(seconds=st.sampled_from([1, 6, 301, 601]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(event=st.sampled_from([e for (state, e) in TRANSITIONS if state is StudyState.SETTLED]))
    def settle(self, event: StudyEvent) -> None:
        for study in sorted(self.store.due_studies(self.now), key=lambda one: one.study_uid):
            if study.state is not StudyState.SETTLED:
                self.both(lambda s: s.advance(study, StudyEvent.FELL_QUIET, self.now, deadline=self.now))  # noqa: B023 - called at once
            settled = replace(study, state=StudyState.SETTLED)
            assert self.both(lambda s: s.advance(settled, event, self.now, deadline=self.now))  # noqa: B023 - called at once

    @rule(target=leases, study=st.sampled_from(STUDIES))
    def begin_work(self, study: str) -> Any:
        """Arrive, settle and be leased, so that there is often work in progress."""
        self.arrive(study, 1, matters=True)
        self.wait(6)
        self.settle(StudyEvent.FOUND_READY)
        return self.lease()

    @rule(study=st.sampled_from(STUDIES), event=st.sampled_from(["report", "report", "break"]))
    def go_the_usual_way(self, study: str, event: str) -> None:
        """End that work too, so that states after a report are reached often."""
        self.end_work(self.begin_work(study), event)

    @rule(destination=st.sampled_from(DESTINATIONS))
    def send_all(self, destination: str) -> None:
        while batch := self.lease_deliveries(destination, DeliveryState.WAITING):
            self.end_deliveries(batch, [DeliveryState.SENT] * 4)

    @rule(target=leases)
    def lease(self) -> Leases:
        lease = self.store.lease_study("w", self.now, self.now + LEASE)
        # Of two that have waited equally long, either may be leased.
        others = [uid for uid in STUDIES if lease is not None and uid != lease.study_uid]
        expected = self.model.lease_study("w", self.now, self.now + LEASE, but_not=others)
        if lease is None or expected is None:
            assert lease is expected
            return None
        assert replace(lease, token="") == replace(expected, token="")
        return lease, expected

    @rule(
        pair=consumes(leases),
        end=st.sampled_from(["report", "refuse", "explain", "break", "give up", "crash"]),
    )
    def end_work(self, pair: Leases, end: str) -> None:
        if pair is None or end == "crash":
            return
        self.both_or_lost(
            lambda: self._end_work(self.store, pair[0], end), lambda: self._end_work(self.model, pair[1], end)
        )

    def _end_work(self, store: Store, lease: StudyLease, end: str) -> None:
        if end == "report":
            results = results_of(lease.study_uid, lease.revision)
            replaced = store.lineage(lease.study_uid).predecessors(str(lease.revision // 2))
            store.record_results(
                lease, results, {"n": "1"}, self.now, key=str(lease.revision // 2), replaced=replaced
            )
        elif end in {"refuse", "explain"}:
            store.record_refusal(
                lease, [NO_BODY], self.now, reasons_to_report=[NO_BODY] if end == "explain" else ()
            )
        else:
            store.record_broken(lease, "no", self.now, self.now if end == "break" else None)

    @rule(how=st.sampled_from(["report", "nothing", "later"]))
    def explain(self, how: str) -> None:
        for due in sorted(self.store.due_refusal_reports(self.now), key=lambda one: one.study.study_uid):
            study = due.study
            report = replace(
                results_of(study.study_uid, study.revision)[0], sop_uid=f"2.25.9.{study.study_uid}"
            )
            results = [report] if how == "report" else []
            until = self.now + LEASE
            if how == "later":
                self.both(lambda s: s.put_off_refusal_report(study, until, attempts=1))  # noqa: B023 - called at once
            else:
                self.both(lambda s: s.record_refusal_report(study, results, self.now, key="refusal"))  # noqa: B023 - called at once

    @rule(
        target=batches,
        destination=st.sampled_from(DESTINATIONS),
        state=st.sampled_from([DeliveryState.WAITING, DeliveryState.UNCONFIRMED]),
        ordered=st.booleans(),
    )
    def lease_deliveries(self, destination: str, state: DeliveryState, *, ordered: bool = False) -> Any:
        until = self.now + LEASE
        found, expected = (
            store.lease_deliveries(destination, "c", self.now, until, state=state, only_ordered=ordered)
            for store in (self.store, self.model)
        )
        return self._same_batch(found, expected)

    def _same_batch(self, found: DeliveryBatch | None, expected: DeliveryBatch | None) -> Batches:
        if found is None or expected is None:
            assert found is expected
            return None
        assert replace(found, token="") == replace(expected, token="")
        return found, expected

    @rule(study=st.sampled_from(STUDIES), destination=st.sampled_from(DESTINATIONS), asks=st.booleans())
    def send_until_it_is_confirmed(self, study: str, destination: str, *, asks: bool) -> None:
        """Fail, be accepted, stay unconfirmed, be accepted again: attempts of both kinds are counted."""
        self.go_the_usual_way(study, "report")
        for state, end in (
            (DeliveryState.WAITING, DeliveryState.WAITING),
            (DeliveryState.WAITING, DeliveryState.UNCONFIRMED),
            (DeliveryState.UNCONFIRMED, DeliveryState.WAITING),
            (DeliveryState.WAITING, DeliveryState.UNCONFIRMED),
        ):
            batch = self.lease_deliveries(destination, state)
            if asks and state is DeliveryState.UNCONFIRMED:
                batch = self.ask_for_commitment(batch)
            self.end_deliveries(batch, [end] * 4)

    @rule(target=batches, pair=consumes(batches))
    def ask_for_commitment(self, pair: Batches) -> Any:
        """Ask an archive for storage commitment, and receive its report."""
        if pair is None:
            return None
        self.count += 1
        uid = f"2.25.{self.count}"
        for store, batch in zip((self.store, self.model), pair, strict=True):
            store.begin_commitment(batch, batch.deliveries, uid)
        found, expected = (
            store.lease_commitment(uid, "c", self.now + LEASE) for store in (self.store, self.model)
        )
        return self._same_batch(found, expected)

    @rule(pair=consumes(batches), ends=st.lists(st.sampled_from(ENDS), min_size=4, max_size=4))
    def end_deliveries(self, pair: Batches, ends: list[DeliveryState]) -> None:
        if pair is None:
            return
        found, expected = pair
        for number, (delivery, end) in enumerate(zip(found.deliveries, ends, strict=False)):
            if self.both_or_lost(
                lambda: self._end_delivery(self.store, found, number, end),  # noqa: B023 - called at once
                lambda: self._end_delivery(self.model, expected, number, end),  # noqa: B023 - called at once
            ) and end is DeliveryState.SENT:  # fmt: skip
                self.sent.append((delivery.destination, delivery.result.sop_uid))
        self.both(lambda store: store.finish_deliveries(found.study_uid, self.now))

    def _end_delivery(self, store: Store, batch: DeliveryBatch, number: int, end: DeliveryState) -> None:
        delivery = batch.deliveries[number]
        store.record_delivery(batch, delivery, end, status=0, reason=f"it is {end}", now=self.now)

    @rule(pair=consumes(batches))
    def be_unreachable(self, pair: Batches) -> None:
        if pair is not None:
            for store, batch in zip((self.store, self.model), pair, strict=True):
                store.return_deliveries(batch, "it cannot be reached", self.now + LEASE)

    @rule(uid=st.sampled_from(STUDIES))
    def retry(self, uid: str) -> None:
        study = self.store.study(uid)
        if study is None:
            return
        if (study.state, StudyEvent.RESENT) in TRANSITIONS and self.both(lambda s: s.resend(study, self.now)):
            return
        if (study.state, StudyEvent.RETRIED) in TRANSITIONS:
            assert self.both(lambda s: s.advance(study, StudyEvent.RETRIED, self.now, deadline=self.now))
            self.both(lambda s: s.forgive_cut_off(uid))

    @rule(uid=st.sampled_from(STUDIES), to=st.sets(st.sampled_from([*DESTINATIONS, "new"])))
    def send_again(self, uid: str, to: set[str]) -> None:
        study = self.store.study(uid)
        if study is None:
            return
        results = [again(one, *sorted(to)) for one in self.store.results(uid) if one.current]
        if self.both(lambda store: store.send_again(study, results, self.now)):
            ordered = {(name, one.sop_uid) for one in results for name in to}
            self.sent = [one for one in self.sent if one not in ordered]

    @rule(uid=st.sampled_from(STUDIES))
    def set_aside(self, uid: str) -> None:
        study = self.store.study(uid)
        if study is not None and (study.state, StudyEvent.SET_ASIDE) in TRANSITIONS:
            assert self.both(lambda store: store.set_aside(study, "a person said so", self.now))

    @rule(uid=st.sampled_from(STUDIES), gone=st.sampled_from(DESTINATIONS))
    def lose_a_destination(self, uid: str, gone: str) -> None:
        study = self.store.study(uid)
        if study is None:
            return
        known = [name for name in DESTINATIONS if name != gone]
        results = [again(one, *known) for one in self.store.results(uid) if one.current]
        self.both(lambda store: store.redirect(study, results, known, self.now))

    @rule(uid=st.sampled_from(STUDIES))
    def forget(self, uid: str) -> None:
        study = self.store.study(uid)
        if study is not None and study.state is not StudyState.RECEIVING:
            assert self.both(lambda store: store.forget_originals(study, lambda _instances: None))

    @rule(states=st.sets(st.sampled_from(StudyState)), most=st.integers(1, 5))
    def forget_what_is_not_used(self, states: set[StudyState], most: int) -> None:
        self.both(lambda store: store.forget_unused(states, lambda _instances: None, most))

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store, self.model = SqlStore(self.url), MemoryStore(self.tables)
        self.both(lambda store: store.release_leases(self.now))
        self.both(lambda store: store.finish_all_deliveries(self.now))
        self.both(lambda store: store.cut_off_associations(self.now))
        self.both(lambda store: set(store.last_group()))

    @invariant()
    def both_say_the_same_of_each_study(self) -> None:
        for uid in STUDIES:
            self.both(lambda store: store.study(uid))  # noqa: B023 - called at once
            self.both(lambda store: store.history(uid))  # noqa: B023 - called at once
            self.both(lambda store: store.instances(uid))  # noqa: B023 - called at once
            self.both(lambda store: store.count_instances(uid))  # noqa: B023
            self.both(lambda store: store.results(uid))  # noqa: B023 - called at once
            self.both(lambda store: store.lineage(uid))  # noqa: B023 - called at once
            self.both(lambda store: store.deliveries(uid))  # noqa: B023 - called at once
            self.both(lambda store: store.cut_off_series(uid))  # noqa: B023 - called at once

    @invariant()
    def both_say_the_same_of_all(self) -> None:
        self.both(lambda store: store.figures(9, 9, START))
        self.both(lambda store: list(store.all_instances()))
        # Of two that are due at the same moment, either may be the first.
        self.both(lambda store: {study.study_uid for study in store.due_studies(self.now)})
        self.both(lambda store: {study.study_uid for study in store.coming_studies(self.now)})
        self.both(lambda store: {due.study.study_uid for due in store.due_refusal_reports(self.now)})
        self.both(lambda store: {one.study_uid for one in store.unchanged_since(StudyState, self.now)})

    @invariant()
    def nothing_is_sent_twice(self) -> None:
        assert len(self.sent) == len(set(self.sent))

    @invariant()
    def history_walks_the_table(self) -> None:
        for uid in STUDIES:
            for before, after in pairwise(self.store.history(uid)):
                assert TRANSITIONS[before.state, after.event] is after.state

    @invariant()
    def only_current_results_wait_to_be_sent(self) -> None:
        for uid in STUDIES:
            study = self.store.study(uid)
            if study is not None and study.state is StudyState.DELIVERING:
                waiting = {
                    one.result for one in self.store.deliveries(uid) if one.state in OPEN_DELIVERY_STATES
                }
                assert all(result.current for result in waiting)


TestStoreAgainstMemory = StoreAgainstMemory.TestCase
TestStoreAgainstMemory.settings = settings(max_examples=share_of(60), stateful_step_count=30, deadline=None)


@pytest.mark.peers
def test_postgresql_against_memory(postgres: Postgres) -> None:
    class OnPostgres(StoreAgainstMemory):
        @staticmethod
        def new_url(folder: str) -> str:
            del folder
            return postgres.new_database()

    run_state_machine_as_test(
        OnPostgres, settings=settings(max_examples=share_of(25), stateful_step_count=30)
    )
