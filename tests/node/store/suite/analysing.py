"""Laws of analyses and of the reports of refusals."""

# ruff: noqa: D102 - a test's name is its sentence
import threading
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from analysis.domain.acquisition import Contrast
from analysis.domain.examination import Examination, Scan, Score
from analysis.domain.reason import Reason
from analysis.domain.remoteness import Departure, TrainingDistance
from analysis.domain.target import Target
from dicom_templates.result_kinds import ResultKind
from node.domain.drift import LEAST, ScannerState, Subject
from node.domain.model_answer import AnswerState, KeptAnswer, ModelAnswer, Role
from node.domain.records import (
    NewResult,
)
from node.domain.results import Compared, Lineage
from node.domain.study import StudyEvent, StudyState
from node.errors import LeaseLostError
from node.ports import Store
from tests.node.store.suite.studies import (
    LEASE,
    PATIENCE,
    PREDECESSOR,
    SECOND,
    START,
    arrival,
    batch_for,
    lease,
    ready,
    refused,
    results_of,
    settle,
    the_study,
)

__all__ = ["AnalysingLaws"]


def an_examination(study: str, year: int) -> Examination:
    scan = Scan("Scanner works", "", 1.5, 550.0, None, ("2D", "SE"))
    score = Score(Contrast.T1, 2.7 + year / 1e5, True, ("L1", "L2"), "segmenter 1", scan)
    answered = ((Target.OSTEOPOROSIS, 0.1),)
    return Examination(study, "p", date(year, 3, 1), "ab" * 32, (score,), "cd" * 32, answered)


def an_answer(**change: Any) -> ModelAnswer:
    values: dict[str, Any] = {
        "target": Target.OSTEOPOROSIS, "role": Role.CHOSEN, "bundle": "ab" * 32,
        "name": "a model", "version": "1",
        "basis": "T1", "state": AnswerState.INDETERMINATE, "probability": 0.25, "threshold": 0.5,
        "reasons": ("threshold_in_interval", "used_instead"), "distance": 1.5, "limit": 4.0,
        "acquired": "2026-03", "scanner": "Scanner works, One, 1.5 T",
    }  # fmt: skip
    return ModelAnswer(**{**values, **change})


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

    def test_scores_are_for_later_examinations_under_the_patient_id_and_a_set_keeps_its_prior(
        self, store: Store
    ) -> None:
        older, newer = an_examination("1.1", 2024), an_examination("1.2", 2026)
        ready(store, "1.1")
        store.record_results(lease(store), results_of("1.1", 1), {}, START, key="a", examination=older)
        ready(store, "1.2")
        assert store.lineage("1.2") == Lineage(priors=(older,))
        store.record_results(
            lease(store), results_of("1.2", 1), {}, START, key="b", examination=newer, earlier=older
        )
        assert store.lineage("1.2").compared == Compared("p", older)
        assert store.lineage("1.1").compared == Compared("p", None)
        assert store.lineage("1.1").priors == (newer,)
        # Images of it came since, which may correct whose it is.
        store.record_arrivals([arrival("1.1", 2)], START, PATIENCE)
        assert store.lineage("1.2") == replace(store.lineage("1.2"), priors=(), compared=Compared("p", older))

    @pytest.mark.parametrize("change", [{"person": ""}, {"day": None}, {"scores": ()}])
    def test_scores_without_a_certain_patient_or_day_are_not_kept(
        self, store: Store, change: dict[str, Any]
    ) -> None:
        for examination in (an_examination("1.1", 2024), replace(an_examination("1.1", 2024), **change)):
            ready(store, "1.1")
            store.record_results(lease(store), results_of("1.1", 1), {}, START, examination=examination)
            store.record_arrivals([arrival("1.1", 2)], START, PATIENCE)
            assert store.lineage("1.2").priors == ()
        ready(store, "1.2")
        assert store.lineage("1.2").priors == ()

    def test_scores_are_forgotten_with_their_study_when_it_is_purged_or_after_their_time(
        self, store: Store
    ) -> None:
        for study, year in (("1.1", 2024), ("1.2", 2025), ("1.3", 2026)):
            ready(store, study)
            examination = an_examination(study, year)
            store.record_results(lease(store), results_of(study, 1), {}, START, examination=examination)
        assert not store.forget_examination("1.1"), "its images are still there"
        assert store.forget_originals(the_study(store, "1.1"), lambda _images: None)
        assert [one.study_uid for one in store.lineage("1.3").priors] == ["1.1", "1.2"]
        assert store.forget_examination("1.1")
        assert store.lineage("1.1").compared is None
        assert not store.forget_examination("1.1")
        assert [one.study_uid for one in store.lineage("1.3").priors] == ["1.2"]
        for moment, count in ((START - SECOND, 0), (START, 2), (START, 0)):
            assert store.count_examinations(moment) == count
            assert store.forget_examinations(moment) == count
        assert store.lineage("1.3").priors == ()
        assert store.lineage("1.3").compared is None

    def test_the_answers_of_models_are_those_of_the_latest_analysis(self, store: Store) -> None:
        first, second = an_answer(), an_answer(role=Role.SHADOW, bundle="cd" * 32, scanner="Other, ?, 3 T")
        fault = ModelAnswer(Target.ABNORMAL_DENSITY, Role.SHADOW, "a-folder", reasons=("WorkerLostError",))
        ready(store, "1.1")
        store.record_results(lease(store), results_of("1.1", 1), {}, START, model_answers=[first, fault])
        ready(store, "1.2")
        store.record_results(lease(store), results_of("1.2", 1), {}, START + SECOND, model_answers=[first])
        kept = [KeptAnswer("1.1", START, fault), KeptAnswer("1.1", START, first)]
        other = KeptAnswer("1.2", START + SECOND, first)
        assert set(store.model_answers()) == {*kept, other}
        assert store.model_answers()[-1] == other
        store.record_arrivals([arrival("1.1", 2)], START, PATIENCE)
        settle(store, StudyEvent.FOUND_READY, "1.1", START)
        later = START + 2 * SECOND
        store.record_results(lease(store), results_of("1.1", 1), {}, later, model_answers=[second])
        assert store.model_answers() == (other, KeptAnswer("1.1", later, second))
        assert store.model_answers(first.scanner) == (other,)
        assert store.model_answers("none such") == ()

    def test_a_scanner_leaves_by_its_latest_studies_each_counted_once_and_an_operator_accepts_it(
        self, store: Store
    ) -> None:
        one, other = Subject("One", "ab" * 32, "T1"), Subject("Other", "ab" * 32, "T1")

        def analyse(study: str, subject: Subject, distance: float, now: datetime) -> None:
            ready(store, study, now)
            found = {subject: TrainingDistance("T1", distance, 5.0, 4.0, in_protocol=True)}
            store.record_results(lease(store, now), results_of(study, 1), {}, now, distances=found)

        for number in range(LEAST):
            analyse(f"1.{number}", one, 4.5, START + number * SECOND)
            analyse(f"2.{number}", other, 1.0, START + number * SECOND)
            if number == 0:
                # Images came, and it is analysed again: still one study, in its place among the others.
                store.record_arrivals([arrival("1.0", 2)], START + SECOND, PATIENCE)
                analyse("1.0", one, 4.6, START + SECOND)
        assert [it.found.distance for it in store.observations(one.bundle, START)][:3] == [4.6, 1.0, 4.5]
        assert len(store.observations(one.bundle, START)) == 2 * LEAST
        assert store.observations(one.bundle, START + LEAST * SECOND) == ()
        assert store.observations("cd" * 32, START) == ()
        ranges = store.scanner_ranges()
        assert list(ranges) == [one, other]
        assert (ranges[one].state, ranges[one].far, ranges[one].studies) == (ScannerState.LEFT, LEAST, LEAST)
        assert (ranges[other].state, ranges[other].far) == (ScannerState.INSIDE, 0)
        departure = Departure("T1", LEAST, LEAST)
        assert store.lineage("1.1").departures == store.lineage("9.9").departures == {one: departure}
        assert store.lineage("9.9").departures_of("One", one.bundle) == (departure,)
        assert store.lineage("9.9").departures_of("One", "cd" * 32) == ()
        assert store.lineage("9.9").departures_of("Other", one.bundle) == ()

        # What is deleted of a study changes no state.
        assert store.forget_originals(the_study(store, "1.1"), lambda _images: None)
        assert store.forget_examination("1.1")
        assert len(store.observations(one.bundle, START)) == 2 * LEAST - 1
        assert store.count_examinations(START) == store.forget_examinations(START) == 2
        assert len(store.observations(one.bundle, START)) == 2 * LEAST - 3
        assert store.scanner_ranges() == ranges

        later = START + LEAST * SECOND
        assert store.accept_scanner("Other", later) == 0
        assert store.accept_scanner("One", later) == 1
        assert store.lineage("1.2").departures == {}
        analyse("3.1", one, 4.5, later + SECOND)
        again = store.scanner_ranges()[one]
        assert (again.state, again.far, again.studies) == (ScannerState.UNKNOWN, 1, 1)

    def test_answers_of_models_are_forgotten_with_the_scores(self, store: Store) -> None:
        for study in ("1.1", "1.2"):
            ready(store, study)
            answers = [an_answer(), an_answer(bundle="cd" * 32, role=Role.SHADOW)]
            store.record_results(lease(store), results_of(study, 1), {}, START, model_answers=answers)
        assert not store.forget_examination("1.1"), "its images are still there"
        assert store.forget_originals(the_study(store, "1.1"), lambda _images: None)
        assert len(store.model_answers()) == 4, "they outlive the images"
        assert store.forget_examination("1.1")
        assert {one.study_uid for one in store.model_answers()} == {"1.2"}
        assert (store.count_examinations(START - SECOND), store.count_examinations(START)) == (0, 1)
        assert store.forget_examinations(START) == 1
        assert store.model_answers() == ()

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
