from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from analysis.domain.acquisition import Contrast
from node.domain.assembly import Examination, decide
from node.domain.study import TRANSITIONS, StudyEvent, StudyState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)

examinations = st.builds(
    Examination,
    whole=st.frozensets(st.sampled_from([Contrast.T1, Contrast.T2])),
    broken=st.lists(st.just("T1 series: a slice is missing"), max_size=2).map(tuple),
    others=st.lists(st.just("MR: not of the lumbar spine"), max_size=2).map(tuple),
)


@given(examinations, st.sampled_from([NOW, LATER]))
def test_every_decision_is_possible_for_a_settled_study(examination: Examination, now: datetime) -> None:
    decision = decide(examination, now, LATER)
    assert (StudyState.SETTLED, decision.event) in TRANSITIONS
    assert decision.reason


@given(examinations)
def test_nothing_waits_once_the_wait_is_over(examination: Examination) -> None:
    assert decide(examination, LATER, LATER).event is not StudyEvent.FOUND_HALF


@given(examinations, st.sampled_from([NOW, LATER]))
def test_only_what_holds_a_whole_series_is_analysed(examination: Examination, now: datetime) -> None:
    if decide(examination, now, LATER).event is StudyEvent.FOUND_READY:
        assert examination.whole


@given(examinations)
def test_a_study_that_waits_has_a_deadline(examination: Examination) -> None:
    decision = decide(examination, NOW, LATER)
    if decision.event is StudyEvent.FOUND_HALF:
        assert decision.deadline == LATER


def test_a_whole_pair_does_not_wait_for_a_broken_third() -> None:
    examination = Examination(
        frozenset({Contrast.T1, Contrast.T2}), broken=("T1 series: a slice is missing",)
    )
    assert decide(examination, NOW, LATER).event is StudyEvent.FOUND_READY


def test_a_broken_series_alone_is_refused_with_its_reason() -> None:
    decision = decide(Examination(frozenset(), broken=("T1 series: a slice is missing",)), LATER, LATER)
    assert decision.event is StudyEvent.REFUSED
    assert decision.reason == "T1 series: a slice is missing"
