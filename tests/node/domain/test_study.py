import pytest

from node.domain.study import FINISHED_STATES, TRANSITIONS, StudyEvent, StudyState, next_state

OUTSIDE = {StudyEvent.ARRIVED, StudyEvent.MADE_WHOLE, StudyEvent.RETRIED, StudyEvent.RESENT}
"""Events that come from a sender or an operator, not from the node's own work."""


def reachable(start: StudyState, *, without: set[StudyEvent]) -> set[StudyState]:
    found, edge = {start}, [start]
    while edge:
        state = edge.pop()
        for (source, event), target in TRANSITIONS.items():
            if source is state and event not in without and target not in found:
                found.add(target)
                edge.append(target)
    return found


def test_every_state_can_be_reached() -> None:
    assert reachable(StudyState.RECEIVING, without=set()) == set(StudyState)


def test_finished_states_are_exactly_those_the_node_itself_never_leaves() -> None:
    left = {state for state, event in TRANSITIONS if event not in OUTSIDE}
    assert frozenset(StudyState) - left == FINISHED_STATES


@pytest.mark.parametrize("state", StudyState)
def test_every_state_leads_to_an_end(state: StudyState) -> None:
    assert reachable(state, without=OUTSIDE) & FINISHED_STATES


@pytest.mark.parametrize("state", StudyState)
def test_a_new_image_opens_a_study_in_any_state(state: StudyState) -> None:
    assert next_state(state, StudyEvent.ARRIVED) is StudyState.RECEIVING


def test_nothing_is_delivered_that_was_not_reported() -> None:
    without_report = reachable(StudyState.RECEIVING, without={StudyEvent.REPORTED, StudyEvent.RESENT})
    assert not without_report & {StudyState.DELIVERING, StudyState.DELIVERED}


def test_what_is_not_in_the_table_is_a_bug() -> None:
    with pytest.raises(ValueError, match="cannot have"):
        next_state(StudyState.DELIVERED, StudyEvent.LEASED)


def test_only_a_study_that_was_judged_without_a_lost_series_is_made_whole() -> None:
    states = {state for state, event in TRANSITIONS if event is StudyEvent.MADE_WHOLE}
    assert states == {StudyState.WAITING_FOR_PAIR, StudyState.REFUSED}
    assert {next_state(state, StudyEvent.MADE_WHOLE) for state in states} == {StudyState.SETTLED}
