"""The whole node with real sockets and processes; only the science is replaced by something quick."""

from pathlib import Path

from node.domain.study import StudyState
from tests.node.analyses import CLASSES
from tests.node.nodes import (
    STUDY,
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
    wait_until,
)


def test_a_study_that_is_sent_comes_back_as_results(tmp_path: Path) -> None:
    with running_pacs() as pacs, quick_node(quick(tmp_path, pacs.destination)) as node:
        statuses = send(node.port, *(slice_of(number) for number in range(5)))
        assert statuses == [0] * 5
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        assert sorted(d.SOPClassUID for d in pacs.received) == sorted(CLASSES.values())
        assert all(d.StudyInstanceUID == STUDY for d in pacs.received)
        assert pacs.associations == 1
