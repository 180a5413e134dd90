"""`osteonode resend` on a running node: a PACS that lost the results gets the same objects once more."""

from datetime import UTC, datetime
from pathlib import Path

from node.domain.study import StudyState
from node.operate.resend import resend_study
from tests.node.analyses import CLASSES
from tests.node.nodes import STUDY, quick, quick_node, running_pacs, send, slice_of, state_of
from tests.patience import wait_until


def test_a_pacs_that_lost_the_results_gets_them_again_without_another_analysis(tmp_path: Path) -> None:
    with running_pacs() as pacs:
        configuration = quick(tmp_path, pacs.destination)
        with quick_node(configuration) as node:
            send(node.port, slice_of(1))
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            first = sorted(pacs.uids)
            pacs.received.clear()
            now = datetime.now(UTC)  # noqa: TID251 - the node runs on it too
            assert resend_study(node.store, node.instance_store, configuration, STUDY, now=now) == ("pacs",)
            wait_until(lambda: len(pacs.received) == len(CLASSES))
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            assert sorted(pacs.uids) == first
            states = [step.state for step in node.store.history(STUDY)]
            assert states.count(StudyState.ANALYSING) == 1
            assert states.count(StudyState.DELIVERED) == 2
