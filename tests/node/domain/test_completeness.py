from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from analysis.domain.acquisition import Contrast
from analysis.domain.reason import Reason, quoted
from node.domain.completeness import Candidate, Count, Examination, decide, with_arrival_evidence
from node.domain.study import TRANSITIONS, StudyEvent, StudyState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)

MISSING = "a slice is missing"
candidates = st.builds(
    Candidate,
    series_uid=st.sampled_from(["1.1", "1.2"]),
    contrast=st.sampled_from([Contrast.T1, Contrast.T2]),
    images=st.integers(1, 20),
    faults=st.sampled_from([(), (MISSING,)]),
)
examinations = st.builds(
    Examination,
    candidates=st.lists(candidates, max_size=4).map(tuple),
    unreadable=st.lists(st.just(Reason("unreadable_file", reason=Reason("no_dicom"))), max_size=2).map(tuple),
    others=st.lists(st.just("MR: not of the lumbar spine"), max_size=2).map(tuple),
)


def candidate(contrast: Contrast = Contrast.T1, images: int = 15, *faults: str) -> Candidate:
    return Candidate(f"1.{contrast}", contrast, images, tuple(map(quoted, faults)))


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
        (candidate(), candidate(Contrast.T2), replace(candidate(Contrast.T1, 9, MISSING), series_uid="1.9"))
    )
    assert decide(examination, NOW, LATER).event is StudyEvent.FOUND_READY


def test_a_broken_series_alone_is_refused_with_its_reason() -> None:
    decision = decide(Examination((candidate(Contrast.T1, 9, MISSING),)), LATER, LATER)
    assert decision.event is StudyEvent.REFUSED
    assert decision.reason == "T1w series: a slice is missing"


PAIR = Examination((candidate(Contrast.T1), candidate(Contrast.T2)))


def test_a_series_that_was_cut_off_is_not_whole_however_even_it_is() -> None:
    examined = with_arrival_evidence(PAIR, {"1.T1"}, ())
    assert examined.whole == {Contrast.T2}
    assert decide(examined, NOW, LATER).event is StudyEvent.FOUND_HALF
    assert "T1w series: the association that brought it was cut off" in decide(examined, NOW, LATER).reason


def test_a_source_that_has_more_images_overrules_an_even_stack() -> None:
    examined = with_arrival_evidence(PAIR, (), [Count("PACS", {"1.T1": 15, "1.T2": 17})])
    assert examined.whole == {Contrast.T1}
    assert "T2w series: PACS has 17 images, 15 are here" in examined.broken


def test_a_source_that_counts_the_same_speaks_for_a_series_that_was_cut_off() -> None:
    examined = with_arrival_evidence(PAIR, {"1.T1", "1.T2"}, [Count("PACS", {"1.T1": 15, "1.T2": 15})])
    decision = decide(examined, NOW, LATER)
    assert decision.event is StudyEvent.FOUND_READY
    assert "T1w: PACS counts 15 images too" in decision.reason


@given(examinations, st.frozensets(st.sampled_from(["1.1", "1.2"])), st.integers(0, 20))
def test_what_is_known_of_the_way_never_makes_a_broken_series_whole(
    examination: Examination, cut_off: frozenset[str], images: int
) -> None:
    examined = with_arrival_evidence(examination, cut_off, [Count("PACS", {"1.1": images})])
    for before, after in zip(examination.candidates, examined.candidates, strict=True):
        assert set(before.faults) <= set(after.faults)
