"""`osteonode retry` delivers a study again, or analyses it again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from node.config import DeliverySettings
from node.domain.study import StudyState
from node.errors import PermanentError
from node.operate.purge import purge_studies
from node.operate.retry import restart_study, retry_study
from node.show.why import explain
from tests.node.analyses import CLASSES, REFUSES
from tests.node.nodes import (
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
)
from tests.patience import PATIENCE_S, wait_until

NOW = datetime(2030, 1, 1, tzinfo=UTC)
STUDY = "1.2.826.0.1.1"


def test_a_failed_delivery_can_be_tried_again_without_a_new_analysis(tmp_path: Path) -> None:
    impatient = DeliverySettings(retry_first_s=0.05, retry_longest_s=0.1, attempts=1, timeout_s=PATIENCE_S)
    broken = True

    def status(_number: int) -> int:
        return 0xC000 if broken else 0

    with (
        running_pacs(status=status) as pacs,
        quick_node(quick(tmp_path, pacs.destination, delivery=impatient)) as node,
    ):
        send(node.port, slice_of(1))
        wait_until(lambda: state_of(node) is StudyState.FAILED)
        assert "0xC000" in explain(node.store, STUDY)
        broken = False
        assert "outbox" in restart_study(node.store, STUDY, datetime.now(UTC)).words  # noqa: TID251 - the node runs on it too
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        assert len(pacs.uids) == len(CLASSES)
        assert [step.state for step in node.store.history(STUDY)].count(StudyState.ANALYSING) == 1


@pytest.mark.parametrize("attempts", [1, 10_000], ids=["failed", "waiting"])
def test_what_waits_for_a_destination_that_was_renamed_is_told_and_can_be_sent(
    tmp_path: Path, attempts: int
) -> None:
    stubborn = DeliverySettings(
        retry_first_s=0.05, retry_longest_s=0.1, attempts=attempts, timeout_s=PATIENCE_S
    )
    with (
        running_pacs(status=lambda _: 0xC000) as old,
        quick_node(quick(tmp_path, old.destination, delivery=stubborn)) as node,
    ):
        send(node.port, slice_of(1))
        wait_until(lambda: "0xC000" in explain(node.store, STUDY, ["pacs"]))
        assert "No destination" not in explain(node.store, STUDY, ["pacs"])
        if attempts == 1:
            wait_until(lambda: state_of(node) is StudyState.FAILED)
    with running_pacs() as new:
        configuration = quick(tmp_path, replace(new.destination, name="archive"))
        with quick_node(configuration) as node:
            told = explain(node.store, STUDY, ["archive"])
            assert ("No destination is called pacs any more" in told) == (attempts > 1)
            assert "configured now" in retry_study(node.store, configuration, STUDY, datetime.now(UTC)).words  # noqa: TID251
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            assert len(new.uids) == len(CLASSES)
            assert "No destination" not in explain(node.store, STUDY, ["archive"])


def test_a_refused_study_can_be_examined_again(tmp_path: Path) -> None:
    refused = f"{STUDY}.{REFUSES}"
    with quick_node(quick(tmp_path), analyse="by_study") as node:
        send(node.port, slice_of(1, study=refused))
        wait_until(lambda: state_of(node, refused) is StudyState.REFUSED)
    with quick_node(quick(tmp_path), analyse="report") as node:
        assert "again" in restart_study(node.store, refused, datetime.now(UTC)).words  # noqa: TID251 - as above
        wait_until(lambda: state_of(node, refused) is StudyState.DELIVERED)


def test_what_the_node_is_working_on_is_not_retried(tmp_path: Path) -> None:
    patient = replace(quick(tmp_path).assembly, quiet_s=60.0)
    with quick_node(quick(tmp_path, assembly=patient)) as node:
        send(node.port, slice_of(1))
        with pytest.raises(PermanentError, match="nothing to retry"):
            restart_study(node.store, STUDY, NOW)


def test_a_cleared_study_that_is_sent_again_sends_nothing_twice(tmp_path: Path) -> None:
    with running_pacs() as pacs:
        configuration = quick(tmp_path, pacs.destination)
        with quick_node(configuration) as node:
            send(node.port, slice_of(1))
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            purge_studies(node.store, configuration, NOW, timedelta(days=1))
            steps = len(node.store.history(STUDY))
            send(node.port, slice_of(1))
            wait_until(lambda: len(node.store.history(STUDY)) > steps + 3)
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            assert len(pacs.uids) == len(CLASSES)
