"""Laws of analyses and of the reports of refusals."""

# ruff: noqa: D102 - a test's name is its sentence
import threading
from datetime import timedelta

import pytest

from analysis.domain.reason import Reason
from dicom_templates.result_kinds import ResultKind
from node.domain.records import (
    NewResult,
)
from node.domain.study import StudyEvent, StudyState
from node.errors import LeaseLostError
from node.ports import Store
from tests.node.store.suite.studies import (
    LEASE,
    PATIENCE,
    PREDECESSOR,
    START,
    arrival,
    batch_for,
    ready,
    refused,
    results_of,
    the_study,
)

__all__ = ["AnalysingLaws"]


class AnalysingLaws:
    """Laws of the ports `AnalysisQueue` and `RefusalReportQueue`."""

    def test_a_lease_that_expired_goes_to_another_and_counts_an_attempt(self, store: Store) -> None:
        ready(store)
        first = store.lease_study("a", START, START + LEASE)
        assert first is not None
        assert store.lease_study("b", START, START + LEASE) is None
        second = store.lease_study("b", START + LEASE, START + 2 * LEASE)
        assert second is not None
        assert (first.attempt, second.attempt) == (1, 2)
        with pytest.raises(LeaseLostError):
            store.record_results(first, [], {}, START + LEASE)
        store.record_results(second, [], {}, START + LEASE)

    def test_a_study_backs_off_after_it_broke(self, store: Store) -> None:
        ready(store)
        lease = store.lease_study("a", START, START + LEASE)
        assert lease is not None
        store.record_broken(lease, "it died", START, START + timedelta(seconds=30))
        assert store.lease_study("a", START + timedelta(seconds=29), START + LEASE) is None
        again = store.lease_study("a", START + timedelta(seconds=30), START + LEASE)
        assert again is not None
        assert again.attempt == 2

    def test_a_study_that_is_excepted_is_not_leased(self, store: Store) -> None:
        ready(store)
        assert store.lease_study("a", START, START + LEASE, but_not=["1.1"]) is None
        assert store.lease_study("a", START, START + LEASE, but_not=["1.2"]) is not None

    def test_a_node_that_stopped_costs_its_studies_no_attempt(self, store: Store) -> None:
        ready(store)
        assert store.lease_study("a", START, START + LEASE)
        assert store.release_leases(START) == 1
        again = store.lease_study("b", START, START + LEASE)
        assert again is not None
        assert again.attempt == 1

    def test_two_workers_never_lease_one_study(self, store: Store) -> None:
        studies = [f"1.{number}" for number in range(12)]
        for study in studies:
            ready(store, study)
        taken: list[str] = []

        def work(owner: str) -> None:
            while lease := store.lease_study(owner, START, START + LEASE):
                taken.append(lease.study_uid)

        threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == sorted(studies)

    def test_a_refusal_is_due_to_be_explained_until_its_report_is_queued(self, store: Store) -> None:
        reason = Reason("few_above_sacrum", count=2)
        study = refused(store, reason)
        (due,) = store.due_refusal_reports(START)
        assert (due.study, due.reasons) == (study, (reason,))
        store.put_off_refusal_report(study, START + LEASE, attempts=1)
        assert not store.due_refusal_reports(START)
        assert the_study(store).attempts == 1
        report = NewResult(ResultKind.TEXT, "2.25.7", "1.2.4", "t.dcm", ("a",), "2.25.6")
        made = START - LEASE
        store.record_refusal_report(study, [report], START, key="refusal", replaced=[PREDECESSOR], made=made)
        assert not store.due_refusal_reports(START + LEASE)
        assert the_study(store).state is StudyState.REFUSED
        assert [one.result.sop_uid for one in batch_for(store, "a").deliveries] == ["2.25.7"]
        assert (store.lineage("1.1").key, store.lineage("1.1").made) == ("refusal", made)

    def test_the_codes_of_a_refusal_are_kept_until_the_study_goes_on(self, store: Store) -> None:
        study = refused(store, Reason("few_above_sacrum", count=2))
        assert [(one.code, dict(one.values)) for one in study.reasons] == [("few_above_sacrum", {"count": 2})]
        store.record_refusal_report(study, (), START)
        assert the_study(store).reasons == study.reasons
        store.advance(the_study(store), StudyEvent.RETRIED, START, deadline=START)
        assert the_study(store).reasons == ()
        reason = Reason("no_body")
        store.advance(the_study(store), StudyEvent.REFUSED, START, reason=str(reason), reasons=[reason])
        assert the_study(store).reasons == (reason,)
        assert store.studies(9)[0].reasons[0].code == "no_body"

    def test_a_refusal_that_cannot_be_explained_is_done_with(self, store: Store) -> None:
        store.record_refusal_report(refused(store, Reason("no_body")), (), START)
        assert not store.due_refusal_reports(START + LEASE)
        assert not store.results("1.1")

    def test_a_refusal_of_another_revision_is_not_explained(self, store: Store) -> None:
        study = refused(store, Reason("no_body"))
        store.record_arrivals([arrival("1.1", 2)], START, PATIENCE)
        store.put_off_refusal_report(study, START + LEASE, attempts=1)
        store.record_refusal_report(study, results_of("1.1", 1), START)
        assert the_study(store).attempts == 0
        assert not store.results("1.1")
        assert not store.due_refusal_reports(START + LEASE)
