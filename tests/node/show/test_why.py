"""`osteonode why` says in words why a study has no result."""

from pathlib import Path

from node.app import Node
from node.domain.study import StudyState
from node.domain.wish import Batch, NewWish, WishState
from node.show.why import explain
from tests.node.analyses import REFUSES, UNREADABLE
from tests.node.nodes import (
    PATIENT,
    Pacs,
    quick,
    quick_node,
    send,
    slice_of,
    state_of,
)
from tests.node.store.memory import MemoryStore, Tables
from tests.node.store.suite.studies import START
from tests.patience import wait_until
from tests.peers import free_port

STUDY = "1.2.826.0.1.1"


def test_why_tells_the_refusal_and_what_to_do(tmp_path: Path) -> None:
    refused = f"{STUDY}.{REFUSES}"
    with quick_node(quick(tmp_path), analyse="by_study") as node:
        send(node.port, slice_of(1, study=refused))
        wait_until(lambda: state_of(node, refused) is StudyState.REFUSED)
        answer = explain(node.store, refused)
        assert codes(node, refused) == ["quoted", "quoted"]
    assert "is refused" in answer
    assert "only two usable vertebrae; levels are uncertain." in answer
    assert "1 image is here" in answer
    assert PATIENT not in answer


def test_a_study_that_is_refused_for_its_headers_keeps_the_codes(tmp_path: Path) -> None:
    refused = f"{STUDY}.{UNREADABLE}"
    with quick_node(quick(tmp_path), examine="examine_by_study") as node:
        send(node.port, slice_of(1, study=refused))
        wait_until(lambda: state_of(node, refused) is StudyState.REFUSED)
        assert codes(node, refused) == ["quoted"]


def codes(node: Node, study: str) -> list[str]:
    found = node.store.study(study)
    assert found is not None
    return [reason.code for reason in found.reasons]


def test_why_tells_what_the_rules_discarded_of_a_fetched_study_of_which_nothing_is_kept() -> None:
    store = MemoryStore(Tables())
    store.put_wishes(Batch("b", "pacs", "", START), [NewWish(STUDY)], START, renew=True)
    lease = store.lease_wish("pacs", "n", START, START)
    assert lease is not None
    store.end_wish(lease, WishState.NOT_FOR_US, "the rules discarded all of its images: brain", START)
    store.record_discards({(STUDY, "brain"): 4}, START)
    answer = explain(store, STUDY)
    assert "nothing of it was taken (the rules discarded all of its images: brain)" in answer
    assert '4 by the rule "brain"' in answer
    assert "change [[rules]]" in answer


def test_why_tells_of_a_study_that_never_came(tmp_path: Path) -> None:
    with quick_node(quick(tmp_path)) as node:
        assert "ever arrived" in explain(node.store, "1.2.3")


def test_why_tells_which_destination_is_down(tmp_path: Path) -> None:
    dead = Pacs(port=free_port()).destination
    with quick_node(quick(tmp_path, dead)) as node:
        send(node.port, slice_of(1))
        wait_until(lambda: "cannot be reached" in explain(node.store, STUDY))
        wait_until(lambda: "To pacs: 4 waiting" in explain(node.store, STUDY))
