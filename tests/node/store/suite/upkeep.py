"""Laws of figures and retention."""

# ruff: noqa: D102 - a test's name is its sentence
from dataclasses import replace
from datetime import timedelta

import pytest

from analysis.domain.reason import Reason
from dicom_templates.result_kinds import ResultKind
from node.domain.delivery import DeliveryState
from node.domain.growth import Kept
from node.domain.records import (
    Discarded,
    Instance,
    NewResult,
    QuarantineEntry,
    StudyQuery,
)
from node.domain.status import FailedStudies, OutboxFigures
from node.domain.study import FINISHED_STATES, StudyEvent, StudyState
from node.ports import Store
from tests.node.store.suite.studies import (
    DESTINATIONS,
    LEASE,
    PATIENCE,
    SECOND,
    START,
    arrival,
    batch_for,
    end_all,
    lease,
    ready,
    reported,
    the_study,
)

__all__ = ["UpkeepLaws"]


class UpkeepLaws:
    """Laws of the ports `Figures` and `Retention`."""

    def test_counts_of_what_rules_discarded_add_up_until_they_are_old(self, store: Store) -> None:
        later = START + timedelta(hours=1)
        store.record_discards({("1.1", "brain"): 3, ("1.2", "brain"): 1, ("1.1", "age"): 2}, START)
        store.record_discards({("1.1", "brain"): 4}, later)
        store.record_discards({}, later)
        assert store.discarded("1.1") == (
            Discarded("1.1", "age", 2, START, START),
            Discarded("1.1", "brain", 7, START, later),
        )
        assert store.discards() == {"age": (2, 1), "brain": (8, 2)}
        assert store.study("1.1") is None
        assert store.forget_discards(later) == 2
        assert store.discards() == {"brain": (7, 1)}

    def test_figures_tell_states_ages_outboxes_and_quarantine(self, store: Store) -> None:
        later = START + timedelta(hours=1)
        ready(store)
        ready(store, "1.2", later)
        ready(store, "1.3", later)
        lease = store.lease_study("a", START, START + LEASE)
        assert lease is not None
        assert lease.study_uid == "1.1"
        results = [
            NewResult(ResultKind.SR, f"2.25.{number}", "1.2.840", f"{number}.dcm", ("pacs", "other"))
            for number in range(2)
        ]
        store.record_results(lease, results, {}, later)
        batch = store.lease_deliveries("other", "a", later, later + LEASE)
        assert batch is not None
        last = later + timedelta(minutes=1)
        for delivery, at in zip(batch.deliveries, (last, later), strict=True):
            store.record_delivery(batch, delivery, DeliveryState.SENT, status=0, reason="", now=at)
        for name in ("one", "two"):
            store.record_quarantine(QuarantineEntry(name, "1.9", "it is damaged", "MR", "127.0.0.1", later))
        figures = store.figures(2, 1, START)
        assert figures.studies == {StudyState.DELIVERING: 1, StudyState.READY: 2}
        assert figures.oldest == {StudyState.DELIVERING: later, StudyState.READY: later}
        assert figures.outboxes["pacs"] == OutboxFigures({DeliveryState.WAITING: 2}, later)
        assert figures.outboxes["other"] == OutboxFigures({DeliveryState.SENT: 2}, None, last)
        assert (figures.instances, figures.quarantined) == (3, {"it is damaged": 2})
        assert [study.study_uid for study in figures.latest] == ["1.1", "1.2"]
        assert [entry.reason for entry in figures.latest_quarantined] == ["it is damaged"]

    def test_an_operator_sees_the_studies_that_he_asks_for(self, store: Store) -> None:
        later = START + timedelta(days=1)
        reported(store)
        for study in ("1.2", "2.3"):
            store.record_arrivals([arrival(study, 1)], later, PATIENCE)
        store.advance(the_study(store, "1.2"), StudyEvent.FELL_QUIET, later, reason="100 % Quiet")

        def found(query: StudyQuery, limit: int = 9) -> list[str]:
            return [one.study_uid for one in store.studies(limit, query)]

        assert found(StudyQuery()) == ["1.2", "2.3", "1.1"]
        assert found(StudyQuery(), 2) == ["1.2", "2.3"]
        assert found(StudyQuery(states=frozenset({StudyState.SETTLED, StudyState.DELIVERING}))) == [
            "1.2",
            "1.1",
        ]
        assert found(StudyQuery(since=later)) == ["1.2", "2.3"]
        assert found(StudyQuery(until=later)) == ["1.1"]
        assert found(StudyQuery(since=START, until=later)) == ["1.1"]
        assert found(StudyQuery(destination="a")) == ["1.1"]
        assert found(StudyQuery(destination="c")) == []
        assert found(StudyQuery(text="% quiet")) == ["1.2"]
        assert found(StudyQuery(text="0_%")) == []
        assert found(StudyQuery(text=".3")) == ["2.3"]
        assert found(StudyQuery(uid_prefix="1.")) == ["1.2", "1.1"]
        assert found(StudyQuery(uid_prefix="1_")) == []
        assert found(StudyQuery(uid_prefix="1.", since=later, text="quiet")) == ["1.2"]

    def test_one_image_of_each_study_and_patient_tells_whose_it_is(self, store: Store) -> None:
        ready(store)
        ready(store, "1.2")
        another = arrival("1.2", 3)
        another = replace(another, instance=replace(another.instance, patient_key="1" * 64))
        store.record_arrivals([arrival("1.2", 2), another], START, PATIENCE)
        told = {(one.study_uid, one.sop_uid) for one in store.one_of_each()}
        assert told == {("1.1", "1.1.1.1"), ("1.2", "1.2.1.1"), ("1.2", "1.2.1.3")}

    def test_what_is_kept_is_counted_by_its_age_in_days(self, store: Store) -> None:
        assert store.kept(START) == Kept()
        for study, number, hours in (("1.1", 1, 0), ("1.1", 2, 23.9), ("1.2", 1, 24.1), ("1.2", 2, 90)):
            store.record_arrivals([arrival(study, number)], START + timedelta(hours=hours), PATIENCE)
        assert store.kept(START + timedelta(hours=96)) == Kept({4: 100, 3: 100, 2: 100, 0: 100}, START)

    def test_a_study_that_was_set_aside_waits_until_an_operator_acts(self, store: Store) -> None:
        later = START + timedelta(hours=1)
        for study in ("1.1", "1.2", "1.3", "1.4"):
            ready(store, study)
            lease = store.lease_study("a", START, START + LEASE)
            assert lease is not None
            store.record_broken(lease, "the worker died", later, None)
        assert store.failed_studies(START, 3).count == 4
        assert len(store.failed_studies(START, 3).latest) == 3
        assert store.failed_studies(later, 3) == FailedStudies()
        first, second = (store.study(f"1.{number}") for number in (1, 2))
        assert first is not None
        assert second is not None
        store.advance(first, StudyEvent.RETRIED, later, deadline=later)
        assert store.forget_originals(second, lambda _images: None)
        store.record_arrivals([arrival("1.3", 2)], later, PATIENCE)
        assert [study.study_uid for study in store.failed_studies(START, 3).latest] == ["1.4"]
        assert store.figures(0, 1, START).failed_studies == store.failed_studies(START, 1)

    def test_a_study_is_kept_while_something_is_to_be_done_with_it(self, store: Store) -> None:
        reported(store)
        later = START + timedelta(days=1)
        assert not store.unchanged_since(StudyState, later)
        for destination in DESTINATIONS:
            end_all(store, batch_for(store, destination), DeliveryState.SENT)
        store.finish_deliveries("1.1", START)
        assert store.unchanged_since(FINISHED_STATES, later) == (the_study(store),)
        assert not store.unchanged_since(FINISHED_STATES, START - SECOND)
        assert not store.unchanged_since([StudyState.FAILED], later)

    def test_studies_that_are_not_for_us_are_found_by_themselves(self, store: Store) -> None:
        later = START + timedelta(days=1)
        ready(store)
        store.record_refusal(lease(store), [Reason("no_results")], START, reasons_to_report=())
        for study in ("1.2", "1.3"):
            store.record_arrivals([arrival(study, 1)], START, PATIENCE)
            settled = store.advance(the_study(store, study), StudyEvent.FELL_QUIET, START, deadline=START)
            assert settled is not None
            store.advance(settled, StudyEvent.FOUND_NOTHING, START)
        store.record_arrivals([arrival("1.3", 2)], later, PATIENCE)
        assert [one.study_uid for one in store.unchanged_since([StudyState.NOT_FOR_US], later)] == ["1.2"]
        assert not store.unchanged_since([StudyState.NOT_FOR_US], START - SECOND)

    def test_originals_are_forgotten_and_the_history_stays(self, store: Store) -> None:
        ready(store)
        before = the_study(store)
        removed: list[Instance] = []
        store.record_arrivals([arrival("1.1", 2)], START + SECOND, PATIENCE)
        assert not store.forget_originals(before, removed.extend)
        assert not removed
        assert store.forget_originals(the_study(store), removed.extend)
        assert {one.sop_uid for one in removed} == {"1.1.1.1", "1.1.1.2"}
        assert not store.instances("1.1")
        assert store.history("1.1")

    def test_originals_stay_if_their_files_cannot_be_removed(self, store: Store) -> None:
        def fail(_instances: object) -> None:
            raise OSError

        ready(store)
        with pytest.raises(OSError, match=r"^$"):
            store.forget_originals(the_study(store), fail)
        assert len(store.instances("1.1")) == 1
