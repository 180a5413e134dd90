"""Laws of results and their deliveries."""

# ruff: noqa: D102 - a test's name is its sentence
from dataclasses import replace

import pytest

from analysis.domain.reason import Reason
from dicom_templates.options import Predecessor
from node.domain.delivery import ORDERED, DeliveryState
from node.domain.records import CONFLICT, IDENTITY_REPLACED, RESULTS_STAND, QuarantineEntry, reason_of_results
from node.domain.results import Lineage
from node.domain.study import StudyEvent, StudyState
from node.errors import LeaseLostError
from node.ports import Store
from tests.node.store.suite.studies import (
    DESTINATIONS,
    LEASE,
    PATIENCE,
    START,
    arrival,
    batch_for,
    end_all,
    lease,
    ready,
    refused,
    reported,
    results_of,
    the_study,
)

__all__ = ["DeliveringLaws"]


class DeliveringLaws:
    """Laws of the `Outbox` port, of what is read of results, and of the orders about them."""

    def test_a_report_says_what_it_found_and_queues_its_results(self, store: Store) -> None:
        results = reported(store)
        study = the_study(store)
        assert (study.state, study.summary) == (StudyState.DELIVERING, {"Osteoporosis": "12 %"})
        assert [one.sop_uid for one in store.results("1.1") if one.current] == [
            results[1].sop_uid,
            results[0].sop_uid,
        ]
        assert {(one.destination, one.result.sop_uid) for one in store.deliveries("1.1")} == {
            (destination, one.sop_uid) for destination in DESTINATIONS for one in results
        }

    def test_a_result_that_replaces_another_supersedes_what_was_not_sent(self, store: Store) -> None:
        ready(store)
        lease = store.lease_study("a", START, START + LEASE)
        assert lease is not None
        store.record_results(lease, results_of("1.1", 1), {}, START)
        batch = store.lease_deliveries("a", "me", START, START + LEASE)
        assert batch is not None
        store.record_delivery(batch, batch.deliveries[0], DeliveryState.SENT, status=0, reason="", now=START)
        store.record_arrivals([arrival("1.1", 2)], START, PATIENCE)
        found = store.study("1.1")
        assert found is not None
        settled = store.advance(found, StudyEvent.FELL_QUIET, START, deadline=START)
        assert settled is not None
        store.advance(settled, StudyEvent.FOUND_READY, START, deadline=START)
        lease = store.lease_study("a", START, START + LEASE)
        assert lease is not None
        store.record_results(lease, results_of("1.1", 2), {}, START)
        states = [delivery.state for delivery in store.deliveries("1.1")]
        assert states.count(DeliveryState.SENT) == 1
        assert states.count(DeliveryState.SUPERSEDED) == 3
        assert states.count(DeliveryState.WAITING) == 4
        with pytest.raises(LeaseLostError):
            store.record_delivery(
                batch, batch.deliveries[1], DeliveryState.SENT, status=0, reason="", now=START
            )

    def test_a_result_set_can_replace_only_documents_that_were_on_their_way(self, store: Store) -> None:
        assert store.lineage("1.1") == Lineage()
        (report, _) = reported(store)
        assert store.lineage("1.1") == Lineage("key", made=START)
        batch_for(store, "a")
        document = Predecessor(report.sop_class_uid, report.sop_uid, report.series_uid, "1.1")
        assert store.lineage("1.1") == Lineage("key", (), (document,), made=START)

    def test_a_result_set_keeps_the_time_when_it_was_first_made(self, store: Store) -> None:
        """Not that of its recording: a result may be made early, and a made one may come back."""
        for made in (START - LEASE, START - 2 * LEASE):
            ready(store)
            store.record_results(lease(store), results_of("1.1", 1), {}, START, key="key", made=made)
            assert store.lineage("1.1").made == made
            assert {one.created_at for one in store.results("1.1")} == {made}
            store.record_arrivals([arrival("1.1", 2)], START, PATIENCE)

    def test_an_identity_was_corrected_if_an_earlier_result_may_be_in_an_archive(self, store: Store) -> None:
        reported(store)
        sop_uid = arrival("1.1", 1).instance.sop_uid
        entry = QuarantineEntry("a.dcm", sop_uid, IDENTITY_REPLACED, "MR", "127.0.0.1", START + LEASE)
        store.record_quarantine(entry)
        assert not store.lineage("1.1").corrected, "no destination has a result"
        batch_for(store, "a")
        assert store.lineage("1.1").corrected
        assert store.lineage("1.2") == Lineage()

    @pytest.mark.parametrize(
        ("after", "reason", "uid"),
        [(-1, IDENTITY_REPLACED, ""), (1, CONFLICT, ""), (1, IDENTITY_REPLACED, "1.9")],
    )
    def test_no_identity_was_corrected_before_the_first_result_or_elsewhere(
        self, store: Store, after: int, reason: str, uid: str
    ) -> None:
        reported(store)
        batch_for(store, "a")
        sop_uid = uid or arrival("1.1", 1).instance.sop_uid
        entry = QuarantineEntry("a.dcm", sop_uid, reason, "MR", "127.0.0.1", START + after * LEASE)
        store.record_quarantine(entry)
        assert not store.lineage("1.1").corrected

    def test_what_was_not_used_beside_a_report_is_in_the_history(self, store: Store) -> None:
        ready(store)
        store.record_results(lease(store), results_of("1.1", 1), {}, START, key="k", beside=["MR: axial"])
        told = [step.reason for step in store.history("1.1") if step.event is StudyEvent.REPORTED]
        assert told == [reason_of_results(["MR: axial"], stand=False)]

    def test_the_same_results_made_again_are_sent_once(self, store: Store) -> None:
        results = reported(store)
        for destination in DESTINATIONS:
            end_all(store, batch_for(store, destination), DeliveryState.SENT)
        assert store.finish_deliveries("1.1", START) is StudyState.DELIVERED
        store.advance(the_study(store), StudyEvent.RETRIED, START, deadline=START)
        store.advance(the_study(store), StudyEvent.FOUND_READY, START, deadline=START)
        store.record_results(lease(store), results, {}, START, key="key")
        assert the_study(store).state is StudyState.DELIVERED
        assert the_study(store).reason == "every destination has these results already"
        told = [step.reason for step in store.history("1.1") if step.event is StudyEvent.REPORTED]
        assert told == ["", RESULTS_STAND]
        assert len(store.results("1.1")) == len(results)

    def test_a_study_is_set_aside_if_a_destination_accepts_none_of_its_results(self, store: Store) -> None:
        ready(store)
        lease = store.lease_study("x", START, START + LEASE)
        assert lease is not None
        store.record_results(lease, results_of("1.1", 1), {}, START)
        for destination, state in (("a", DeliveryState.SENT), ("b", DeliveryState.NOT_ACCEPTED)):
            batch = store.lease_deliveries(destination, "me", START, START + LEASE)
            assert batch is not None
            for delivery in batch.deliveries:
                store.record_delivery(batch, delivery, state, status=None, reason="no", now=START)
        assert store.finish_deliveries("1.1", START) is StudyState.FAILED
        assert store.study("1.1").reason == "b accepts none of these results"  # type: ignore[union-attr]

    def test_a_delivery_waits_until_it_is_due(self, store: Store) -> None:
        reported(store)
        batch = batch_for(store, "a")
        store.return_deliveries(batch, "it cannot be reached", START + LEASE)
        assert {one.reason for one in store.deliveries("1.1")} == {"", "it cannot be reached"}
        assert store.lease_deliveries("a", "c", START, START + LEASE) is None
        assert len(batch_for(store, "a", START + LEASE).deliveries) == len(batch.deliveries)

    def test_a_delivery_whose_lease_expired_is_sent_again(self, store: Store) -> None:
        reported(store)
        batch = batch_for(store, "a")
        assert store.lease_deliveries("a", "c", START, START + LEASE) is None
        batch_for(store, "a", START + LEASE)
        with pytest.raises(LeaseLostError):
            end_all(store, batch, DeliveryState.SENT)

    def test_what_a_node_was_sending_is_free_once_it_is_gone(self, store: Store) -> None:
        reported(store)
        batch_for(store, "a")
        end_all(store, batch_for(store, "b"), DeliveryState.UNCONFIRMED)
        assert store.lease_deliveries("b", "c", START, START + LEASE, state=DeliveryState.UNCONFIRMED)
        assert store.release_leases(START) == 4
        assert store.lease_deliveries("b", "c", START, START + LEASE, state=DeliveryState.UNCONFIRMED)
        assert {one.attempts for one in batch_for(store, "a").deliveries} == {0}

    def test_a_commitment_is_taken_by_its_transaction(self, store: Store) -> None:
        reported(store)
        end_all(store, batch_for(store, "a"), DeliveryState.UNCONFIRMED)
        batch = store.lease_deliveries("a", "c", START, START + LEASE, state=DeliveryState.UNCONFIRMED)
        assert batch is not None
        store.begin_commitment(batch, batch.deliveries[:1], "2.25.5")
        assert store.lease_commitment("2.25.6", "c", START + LEASE) is None
        asked = store.lease_commitment("2.25.5", "c", START + LEASE)
        assert asked is not None
        assert [one.identifier for one in asked.deliveries] == [batch.deliveries[0].identifier]
        end_all(store, asked, DeliveryState.SENT)
        assert store.lease_commitment("2.25.5", "c", START + LEASE) is None

    def test_an_object_has_as_many_attempts_to_be_confirmed_as_to_be_sent(self, store: Store) -> None:
        reported(store)
        end_all(store, batch_for(store, "a"), DeliveryState.WAITING)
        batch = batch_for(store, "a")
        assert {one.attempts for one in batch.deliveries} == {1}
        end_all(store, batch, DeliveryState.UNCONFIRMED)
        again = store.lease_deliveries("a", "c", START, START + LEASE, state=DeliveryState.UNCONFIRMED)
        assert again is not None
        assert {one.attempts for one in again.deliveries} == {0}
        store.begin_commitment(again, again.deliveries, "2.25.5")
        end_all(store, again, DeliveryState.WAITING)
        end_all(store, batch_for(store, "a"), DeliveryState.UNCONFIRMED)
        assert {one.attempts for one in store.deliveries("1.1") if one.destination == "a"} == {1}

    def test_what_the_destination_accepted_stays_so_when_a_batch_is_returned(self, store: Store) -> None:
        reported(store)
        end_all(store, batch_for(store, "a"), DeliveryState.UNCONFIRMED)
        batch = store.lease_deliveries("a", "c", START, START + LEASE, state=DeliveryState.UNCONFIRMED)
        assert batch is not None
        store.return_deliveries(batch, "it cannot be reached", START)
        states = {one.state for one in store.deliveries("1.1") if one.destination == "a"}
        assert states == {DeliveryState.UNCONFIRMED}

    def test_a_study_whose_end_was_not_recorded_is_closed_later(self, store: Store) -> None:
        reported(store)
        assert store.finish_all_deliveries(START) == 0
        for destination in DESTINATIONS:
            end_all(store, batch_for(store, destination), DeliveryState.SENT)
        assert store.finish_all_deliveries(START) == 1
        assert the_study(store).state is StudyState.DELIVERED

    def test_failed_deliveries_are_sent_again_on_order(self, store: Store) -> None:
        reported(store)
        end_all(store, batch_for(store, "a"), DeliveryState.FAILED, "it answered 0xC000")
        end_all(store, batch_for(store, "b"), DeliveryState.SENT)
        assert store.finish_deliveries("1.1", START) is StudyState.FAILED
        assert store.resend(the_study(store), START)
        assert the_study(store).state is StudyState.DELIVERING
        assert {one.attempts for one in batch_for(store, "a").deliveries} == {0}
        assert store.lease_deliveries("b", "c", START, START + LEASE) is None
        assert not store.resend(the_study(store), START)

    def test_what_was_sent_is_sent_again_on_order(self, store: Store) -> None:
        results = reported(store)
        for destination in DESTINATIONS:
            end_all(store, batch_for(store, destination), DeliveryState.SENT)
        assert store.finish_deliveries("1.1", START) is StudyState.DELIVERED
        before = the_study(store)
        only_b = [replace(one, destinations=("b",)) for one in results]
        assert store.send_again(before, only_b, START)
        assert not store.send_again(before, only_b, START), "it changed"
        assert (the_study(store).state, the_study(store).reason) == (StudyState.DELIVERING, ORDERED)
        assert store.lease_deliveries("a", "c", START, START + LEASE) is None
        batch = batch_for(store, "b")
        assert {one.reason for one in batch.deliveries} == {ORDERED}
        assert not store.send_again(the_study(store), only_b, START), "it is being sent"
        end_all(store, batch, DeliveryState.SENT)
        assert store.finish_deliveries("1.1", START) is StudyState.DELIVERED
        assert [step.event for step in store.history("1.1")].count(StudyEvent.RESENT) == 1

    def test_what_is_set_aside_is_not_sent_and_what_was_being_sent_is_not_recorded(
        self, store: Store
    ) -> None:
        reported(store)
        batch = batch_for(store, "a")
        assert store.set_aside(the_study(store), "a person said so", START)
        assert (the_study(store).state, the_study(store).reason) == (StudyState.FAILED, "a person said so")
        assert {one.state for one in store.deliveries("1.1")} == {DeliveryState.FAILED}
        for destination in DESTINATIONS:
            assert store.lease_deliveries(destination, "c", START + LEASE, START + 2 * LEASE) is None
        with pytest.raises(LeaseLostError):
            end_all(store, batch, DeliveryState.SENT)
        assert store.finish_deliveries("1.1", START) is None
        assert store.resend(the_study(store), START)
        assert the_study(store).state is StudyState.DELIVERING
        assert {one.state for one in store.deliveries("1.1")} == {DeliveryState.WAITING}

    def test_a_study_that_has_changed_is_not_set_aside(self, store: Store) -> None:
        reported(store)
        before = the_study(store)
        for destination in DESTINATIONS:
            end_all(store, batch_for(store, destination), DeliveryState.SENT)
        store.finish_deliveries("1.1", START)
        assert not store.set_aside(before, "a person said so", START)
        assert the_study(store).state is StudyState.DELIVERED

    def test_a_destination_that_is_new_gets_the_results_on_order(self, store: Store) -> None:
        results = reported(store)
        assert store.send_again(the_study(store), [replace(results[0], destinations=("new",))], START)
        assert [one.result.sop_uid for one in batch_for(store, "new").deliveries] == [results[0].sop_uid]
        assert len(store.deliveries("1.1")) == 5

    def test_the_report_of_a_refusal_is_sent_again_and_the_refusal_stays(self, store: Store) -> None:
        reason = Reason("no_body")
        report = replace(results_of("1.1", 1)[0], destinations=("a",))
        due = refused(store, reason)
        assert not store.send_again(due, [report], START), "it is still to be written"
        store.record_refusal_report(due, [report], START)
        end_all(store, batch_for(store, "a"), DeliveryState.SENT)
        assert store.send_again(the_study(store), [report], START)
        again = the_study(store)
        assert (again.state, again.reason, again.reasons) == (StudyState.REFUSED, str(reason), (reason,))
        assert len(batch_for(store, "a").deliveries) == 1

    def test_a_study_without_results_in_its_state_is_not_sent_again(self, store: Store) -> None:
        results = reported(store)
        store.record_arrivals([arrival("1.1", 2)], START, PATIENCE)
        assert not store.send_again(the_study(store), results, START)
        assert not store.resend(the_study(store), START)

    def test_what_waits_is_tried_at_once_on_order(self, store: Store) -> None:
        reported(store)
        store.return_deliveries(batch_for(store, "a"), "it cannot be reached", START + LEASE)
        end_all(store, batch_for(store, "b"), DeliveryState.UNCONFIRMED, "it took it")
        later = START + LEASE
        batch = store.lease_deliveries("b", "c", START, later, state=DeliveryState.UNCONFIRMED)
        assert batch is not None
        store.return_deliveries(batch, "it took it", later)
        assert store.lease_deliveries("a", "c", later, later + LEASE, only_ordered=True) is None
        assert store.resend(the_study(store), START)
        asked = store.lease_deliveries("a", "c", START, later, only_ordered=True)
        assert asked is not None
        assert {one.reason for one in asked.deliveries} == {ORDERED}
        unconfirmed = store.lease_deliveries("b", "c", START, later, state=DeliveryState.UNCONFIRMED)
        assert unconfirmed is not None
        assert {one.reason for one in unconfirmed.deliveries} == {"it took it"}

    def test_one_attempt_in_vain_answers_all_orders_for_a_destination(self, store: Store) -> None:
        reported(store)
        ready(store, "1.2")
        store.record_results(lease(store), results_of("1.2", 1), {}, START)
        for study in ("1.1", "1.2"):
            assert store.resend(the_study(store, study), START)
        first = store.lease_deliveries("a", "c", START, START + LEASE, only_ordered=True)
        assert first is not None
        store.return_deliveries(first, "it cannot be reached", START + LEASE)
        assert store.lease_deliveries("a", "c", START, START + LEASE) is None
        assert store.lease_deliveries("a", "c", START + LEASE, START + 2 * LEASE, only_ordered=True) is None
        assert store.lease_deliveries("b", "c", START, START + LEASE, only_ordered=True)

    def test_what_waits_for_a_destination_that_is_gone_goes_to_another_on_order(self, store: Store) -> None:
        results = reported(store)
        end_all(store, batch_for(store, "b"), DeliveryState.SENT)
        moved = [replace(one, destinations=("b", "new")) for one in results]
        assert store.redirect(the_study(store), moved, ["b", "new"], START)
        assert len(batch_for(store, "new").deliveries) == len(results)
        assert store.lease_deliveries("a", "c", START, START + LEASE) is None
        assert store.lease_deliveries("b", "c", START, START + LEASE) is None
        assert not store.redirect(the_study(store), moved, ["b", "new"], START)
