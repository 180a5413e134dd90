"""Laws of what is received, and of when a study is judged."""

# ruff: noqa: D102 - a test's name is its sentence
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from node.domain.delivery import DeliveryState
from node.domain.records import (
    CONFLICT,
    ArrivalOutcome,
    AssociationRecord,
    QuarantineEntry,
)
from node.domain.study import StudyEvent, StudyState
from node.ports import Store
from tests.node.store.suite.studies import (
    PATIENCE,
    SECOND,
    START,
    arrival,
    lease,
    ready,
    results_of,
    settle,
    the_study,
)

__all__ = ["ReceivingLaws"]


class ReceivingLaws:
    """Laws of the ports `Arrivals`, `AssociationRecords` and `SettlingQueue`."""

    def test_an_instance_is_stored_once_and_its_first_bytes_stand(self, store: Store) -> None:
        first = arrival("1.1", 1)
        other = replace(first, instance=replace(first.instance, sha256="f" * 64))
        outcomes = store.record_arrivals([first, first, other], START, PATIENCE)
        assert outcomes == (ArrivalOutcome.STORED, ArrivalOutcome.DUPLICATE, ArrivalOutcome.CONFLICT)
        assert store.instances("1.1") == (first.instance,)
        assert (store.count_instances("1.1"), store.count_instances("1.2")) == (1, 0)
        assert the_study(store).revision == 1
        assert store.senders("1.1") == {("SENDER", "127.0.0.1")}

    def test_nothing_is_recorded_of_a_group_whose_files_failed(self, store: Store) -> None:
        def fail(_outcomes: object) -> None:
            raise OSError

        store.record_arrivals([arrival("1.1", 1)], START, PATIENCE)
        with pytest.raises(OSError, match=r"^$"):
            store.record_arrivals([arrival("1.1", 2), arrival("1.2", 3)], START + SECOND, PATIENCE, fail)
        assert [instance.sop_uid for instance in store.all_instances()] == ["1.1.1.1"]
        assert store.study("1.2") is None
        assert the_study(store).last_arrival == START

    def test_files_are_asked_for_only_where_an_instance_is_new(self, store: Store) -> None:
        told: list[object] = []
        for _ in range(2):
            store.record_arrivals([arrival("1.1", 1)], START, PATIENCE, told.append)
        assert told == [(ArrivalOutcome.STORED,)]

    def test_an_object_that_is_no_image_reopens_no_study(self, store: Store) -> None:
        ready(store)
        before = the_study(store)
        store.record_arrivals([arrival("1.1", 2, matters=False)], START + SECOND, PATIENCE)
        assert the_study(store) == replace(before, last_arrival=START + SECOND)

    def test_an_image_reopens_a_study_and_its_wait_starts_again(self, store: Store) -> None:
        ready(store)
        later = START + timedelta(hours=1)
        store.record_arrivals([arrival("1.1", 2)], later, PATIENCE)
        study = the_study(store)
        assert (study.state, study.revision) == (StudyState.RECEIVING, 2)
        assert (study.deadline, study.wait_until) == (later + PATIENCE.quiet, later + PATIENCE.wait)
        assert study.reason == "more images came while it was ready"

    def test_what_was_recorded_last_may_not_be_on_disk_and_can_be_deleted(self, store: Store) -> None:
        store.record_arrivals([arrival("1.1", 1), arrival("1.2", 2)], START, PATIENCE)
        store.record_arrivals([arrival("1.1", 3)], START, PATIENCE)
        (last,) = store.last_group()
        assert last.sop_uid == "1.1.1.3"
        store.delete_arrivals([last.sop_uid])
        assert {instance.sop_uid for instance in store.all_instances()} == {"1.1.1.1", "1.2.1.2"}

    def test_groups_are_counted_on_after_the_store_is_opened_again(
        self, opening: Callable[[], Store]
    ) -> None:
        for number in range(3):
            store = opening()
            store.record_arrivals([arrival("1.1", number)], START, PATIENCE)
            assert [instance.sop_uid for instance in store.last_group()] == [f"1.1.1.{number}"]
            store.close()

    def test_the_latest_entry_in_quarantine_is_found_by_instance_and_reason(self, store: Store) -> None:
        store.record_arrivals([arrival("1.1", 1)], START, PATIENCE)
        entry = QuarantineEntry("x.dcm", "1.1.1.1", CONFLICT, "SENDER", "127.0.0.1", START)
        later = replace(entry, name="y.dcm", at=START + SECOND)
        elsewhere = replace(entry, name="w.dcm", sop_uid="1.2.1.1")
        for one in (later, entry, elsewhere, replace(entry, name="z.dcm", reason="it is damaged")):
            store.record_quarantine(one)
        assert store.quarantined("1.1", CONFLICT) == (later,)
        assert store.figures(0, 9, START).latest_quarantined[0] == later

    def lose(self, store: Store, number: int = 1) -> None:
        """Record an image whose association is then lost."""
        store.record_arrivals([arrival("1.1", number, association="lost")], START, PATIENCE)
        record = AssociationRecord("lost", START, frozenset({("1.1", "1.1.1")}))
        store.end_association(record, START, orderly=False)

    def send_again(self, store: Store, began_at: datetime) -> None:
        """Release an association that brought the same series."""
        record = AssociationRecord("again", began_at, frozenset({("1.1", "1.1.1")}))
        store.end_association(record, began_at + SECOND, orderly=True)

    def test_a_series_is_cut_off_until_it_is_sent_again(self, store: Store) -> None:
        self.lose(store)
        assert store.cut_off_series("1.1") == {"1.1.1"}
        self.send_again(store, START)  # it was open at the same time, and proves nothing
        assert store.cut_off_series("1.1") == {"1.1.1"}
        self.send_again(store, START + SECOND)
        assert not store.cut_off_series("1.1")

    def test_an_operator_may_say_that_a_series_is_whole(self, store: Store) -> None:
        self.lose(store)
        store.forgive_cut_off("1.1")
        assert not store.cut_off_series("1.1")

    def test_a_series_whose_association_was_released_is_whole(self, store: Store) -> None:
        store.record_arrivals([arrival("1.1", 1, association="one")], START, PATIENCE)
        record = AssociationRecord("one", START, frozenset({("1.1", "1.1.1")}))
        store.end_association(record, START, orderly=True)
        assert store.cut_off_associations(START) == 0
        assert not store.cut_off_series("1.1")

    def test_what_was_open_when_the_node_ended_is_cut_off(self, store: Store) -> None:
        store.record_arrivals([arrival("1.1", 1, association="one")], START, PATIENCE)
        assert not store.cut_off_series("1.1")
        assert store.cut_off_associations(START) == 1
        assert store.cut_off_series("1.1") == {"1.1.1"}

    @pytest.mark.parametrize("judgement", [StudyEvent.FOUND_HALF, StudyEvent.REFUSED])
    def test_a_study_that_was_judged_without_a_lost_series_is_examined_again(
        self, store: Store, judgement: StudyEvent
    ) -> None:
        self.lose(store)
        settle(store, judgement)
        self.send_again(store, START + SECOND)
        step = store.history("1.1")[-1]
        assert (step.event, step.state) == (StudyEvent.MADE_WHOLE, StudyState.SETTLED)
        assert step.reason == "a series that was cut off was sent again"
        assert store.due_studies(START + 2 * SECOND) == (the_study(store),)

    def test_a_study_that_was_reported_without_a_lost_series_is_received_anew(self, store: Store) -> None:
        self.lose(store)
        settle(store, StudyEvent.FOUND_READY)
        store.record_results(lease(store), results_of("1.1", 1), {}, START)
        self.send_again(store, START + SECOND)
        assert (the_study(store).state, the_study(store).revision) == (StudyState.RECEIVING, 2)
        assert {one.state for one in store.deliveries("1.1")} == {DeliveryState.SUPERSEDED}

    def test_a_study_is_due_when_its_quiet_time_is_over(self, store: Store) -> None:
        store.record_arrivals([arrival("1.1", 1)], START, PATIENCE)
        assert not store.due_studies(START + PATIENCE.quiet - timedelta(milliseconds=1))
        assert [study.study_uid for study in store.due_studies(START + PATIENCE.quiet)] == ["1.1"]

    def test_a_study_is_due_when_the_clock_was_set_back(self, store: Store) -> None:
        store.record_arrivals([arrival("1.1", 1)], START, PATIENCE)
        assert not store.due_studies(START - timedelta(seconds=59))
        assert store.due_studies(START - timedelta(hours=1)) == (the_study(store),)

    def test_a_study_comes_while_it_is_received(self, store: Store) -> None:
        store.record_arrivals([arrival("1.1", 1)], START, PATIENCE)
        ready(store, "1.2")
        assert not store.coming_studies(START - SECOND)
        assert store.coming_studies(START) == (the_study(store),)

    def test_a_study_that_changed_since_it_was_read_is_not_moved(self, store: Store) -> None:
        store.record_arrivals([arrival("1.1", 1)], START, PATIENCE)
        (stale,) = store.due_studies(START + PATIENCE.quiet)
        store.record_arrivals([arrival("1.1", 2)], START, PATIENCE)
        assert store.advance(stale, StudyEvent.FELL_QUIET, START) is None
        assert store.study("1.1").state is StudyState.RECEIVING  # type: ignore[union-attr]
