"""The whole node with real sockets and processes; only the science is replaced by quick functions."""

import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, EnhancedSRStorage

from node.app import Node
from node.config import AssemblySettings, StoreSettings
from node.domain.delivery import DeliveryState
from node.domain.study import StudyEvent, StudyState
from node.errors import PermanentError, TransientError
from tests.node.analyses import CLASSES, DIES, EATS_MEMORY, FAULTS, HANGS, REFUSES, WAITS_FOR_FILE, go_file
from tests.node.nodes import (
    Pacs,
    in_quarantine,
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
)
from tests.patience import wait_until


def sent_of(pacs: Pacs, study: str) -> list[str]:
    return [dataset.SOPInstanceUID for dataset in pacs.received if dataset.StudyInstanceUID == study]


def reached(node: Node, study: str, state: StudyState) -> None:
    wait_until(lambda: state_of(node, study) is state)


def a_pair(study: str, slices: int = 3) -> list[Dataset]:
    return [slice_of(number, study=study, series=series) for series in ("1", "2") for number in range(slices)]


def test_a_study_comes_back_as_its_results(node: Node, pacs: Pacs, study: str) -> None:
    before = pacs.associations
    assert send(node.port, *a_pair(study)) == [0] * 6
    reached(node, study, StudyState.DELIVERED)
    results = [dataset for dataset in pacs.received if dataset.StudyInstanceUID == study]
    assert sorted(dataset.SOPClassUID for dataset in results) == sorted(CLASSES.values())
    assert pacs.associations == before + 1, "all results of a study travel over one association"


def test_its_history_tells_every_step(node: Node, study: str) -> None:
    send(node.port, *a_pair(study))
    reached(node, study, StudyState.DELIVERED)
    assert [step.state.value for step in node.store.history(study)] == [
        "receiving", "settled", "ready", "analysing", "reported", "delivering", "delivered",
    ]  # fmt: skip


def test_instances_sent_again_change_nothing(node: Node, pacs: Pacs, study: str) -> None:
    send(node.port, *a_pair(study))
    reached(node, study, StudyState.DELIVERED)
    before = node.store.study(study)
    assert send(node.port, *reversed(a_pair(study))) == [0] * 6
    time.sleep(0.5)
    assert node.store.study(study) == before
    assert len(sent_of(pacs, study)) == len(CLASSES)


def test_the_order_of_arrival_does_not_change_the_result(
    node: Node, pacs: Pacs, tmp_path: Path, study: str
) -> None:
    send(node.port, *a_pair(study))
    reached(node, study, StudyState.DELIVERED)
    with running_pacs() as other_pacs, quick_node(quick(tmp_path, other_pacs.destination)) as other:
        send(other.port, *reversed(a_pair(study)))
        reached(other, study, StudyState.DELIVERED)
        assert sorted(sent_of(other_pacs, study)) == sorted(sent_of(pacs, study))


def test_other_bytes_under_a_known_uid_are_put_aside_and_the_first_stand(node: Node, study: str) -> None:
    first = slice_of(1, study=study)
    second = slice_of(1, study=study)
    second.Rows = 9
    (answer,) = send(node.port, first)
    (conflict,) = send(node.port, second)
    assert answer == 0
    assert conflict == 0xB111
    (instance,) = node.store.instances(study)
    entry = in_quarantine(node.store)[0]
    assert entry.sop_uid == instance.sop_uid
    assert "other bytes" in entry.reason
    assert (node.configuration.storage.directory / "quarantine" / entry.name).exists()


def test_t1_and_t2_over_separate_associations_are_reported_together(tmp_path: Path, study: str) -> None:
    patient = AssemblySettings(quiet_s=0.2, max_wait_s=60)
    with (
        running_pacs() as pacs,
        quick_node(quick(tmp_path, pacs.destination, assembly=patient), examine="examine_by_series") as node,
    ):
        t1, t2 = a_pair(study)[:3], a_pair(study)[3:]
        send(node.port, *t1)
        reached(node, study, StudyState.WAITING_FOR_PAIR)
        waiting = node.store.study(study)
        assert waiting is not None
        assert "T2w is not there" in waiting.reason
        assert waiting.deadline == waiting.wait_until, "the end of the wait is a row, not a timer"
        send(node.port, *t2)
        reached(node, study, StudyState.DELIVERED)
        assert len(sent_of(pacs, study)) == len(CLASSES)


def test_one_sequence_alone_is_reported_when_the_wait_is_over(node: Node, pacs: Pacs, study: str) -> None:
    send(node.port, *a_pair(study)[:3])
    reached(node, study, StudyState.DELIVERED)
    assert len(sent_of(pacs, study)) == len(CLASSES)


def test_a_late_slice_supersedes_the_report(node: Node, pacs: Pacs, study: str) -> None:
    send(node.port, *a_pair(study))
    reached(node, study, StudyState.DELIVERED)
    earlier = set(sent_of(pacs, study))
    send(node.port, slice_of(99, study=study, series="2"))
    wait_until(lambda: len(sent_of(pacs, study)) == 2 * len(CLASSES))
    reached(node, study, StudyState.DELIVERED)
    assert len(set(sent_of(pacs, study)) - earlier) == len(CLASSES)
    assert {result.revision for result in node.store.results(study)} == {6, 7}


def test_a_slice_that_comes_during_the_analysis_makes_its_result_void(
    node: Node, pacs: Pacs, study: str
) -> None:
    slow = f"{study}.{WAITS_FOR_FILE}"
    send(node.port, *a_pair(slow))
    reached(node, slow, StudyState.ANALYSING)
    send(node.port, slice_of(99, study=slow, series="2"))
    go_file(node.configuration.storage.directory, slow).touch()
    reached(node, slow, StudyState.DELIVERED)
    assert {result.revision for result in node.store.results(slow)} == {7}
    assert len(sent_of(pacs, slow)) == len(CLASSES)


def test_a_study_with_a_missing_slice_waits_and_is_then_refused(node: Node, pacs: Pacs, study: str) -> None:
    send(node.port, slice_of(1, study=study, series="3"))
    reached(node, study, StudyState.REFUSED)
    assert "a slice is missing" in node.store.study(study).reason  # type: ignore[union-attr]
    assert not sent_of(pacs, study)


def test_a_study_of_another_kind_is_kept_and_explained(node: Node, study: str) -> None:
    assert send(node.port, slice_of(1, study=study, sop_class=CTImageStorage)) == [0]
    reached(node, study, StudyState.NOT_FOR_US)
    assert node.store.study(study).reason == "it holds no MR images, only CT Image Storage"  # type: ignore[union-attr]


def test_results_that_come_back_do_not_start_another_round(node: Node, pacs: Pacs, study: str) -> None:
    send(node.port, *a_pair(study))
    reached(node, study, StudyState.DELIVERED)
    report = next(
        dataset
        for dataset in pacs.received
        if dataset.StudyInstanceUID == study and dataset.SOPClassUID == EnhancedSRStorage
    )
    before = len(node.store.history(study))
    assert send(node.port, report) == [0]
    time.sleep(0.5)
    assert len(node.store.history(study)) == before


def test_two_patients_in_one_study_are_held_for_a_person(node: Node, study: str) -> None:
    send(
        node.port,
        slice_of(1, study=study, patient_id="A"),
        slice_of(2, study=study, patient_id="B"),
    )
    reached(node, study, StudyState.FAILED)
    assert "do not all bear one Patient ID" in node.store.study(study).reason  # type: ignore[union-attr]


def test_a_refusal_keeps_its_reasons(node: Node, study: str) -> None:
    refused = f"{study}.{REFUSES}"
    send(node.port, *a_pair(refused))
    reached(node, refused, StudyState.REFUSED)
    found = node.store.study(refused)
    assert found is not None
    assert found.reason == "only two usable vertebrae; levels are uncertain"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (DIES, "ended with 139"),
        (FAULTS, "ValueError"),
        (EATS_MEMORY, "memory"),
    ],
)
def test_a_poisonous_study_is_set_aside_and_the_next_goes_on(
    node: Node, pacs: Pacs, study: str, behaviour: str, reason: str
) -> None:
    set_aside(node, pacs, f"{study}.{behaviour}", f"{study}.1", reason)


def test_a_study_that_hangs_is_set_aside_and_the_next_goes_on(tmp_path: Path, pacs: Pacs, study: str) -> None:
    hasty = quick(tmp_path, pacs.destination, engine={"time_limit_s": 1.0, "attempts": 2})
    with quick_node(hasty, analyse="by_study", processes=True) as node:
        set_aside(node, pacs, f"{study}.{HANGS}", f"{study}.1", "longer than 1 s")


def set_aside(node: Node, pacs: Pacs, poisonous: str, harmless: str, reason: str) -> None:
    """Check that one study is set aside for a reason, and that the other is delivered."""
    send(node.port, *a_pair(poisonous))
    reached(node, poisonous, StudyState.ANALYSING)
    send(node.port, *a_pair(harmless))
    wait_until(lambda: state_of(node, harmless) is StudyState.DELIVERED)
    wait_until(lambda: state_of(node, poisonous) is StudyState.FAILED)
    found = node.store.study(poisonous)
    assert found is not None
    assert reason in found.reason
    assert "2 times" in found.reason
    assert "PLANTED" not in found.reason
    assert not sent_of(pacs, poisonous)


def test_headers_that_kill_their_process_set_their_study_aside_and_the_next_goes_on(
    tmp_path: Path, study: str
) -> None:
    poisonous, harmless = f"{study}.{DIES}", f"{study}.1"
    configuration = quick(tmp_path, engine={"attempts": 2})
    with quick_node(configuration, examine="examine_by_study", processes=True) as node:
        send(node.port, *a_pair(poisonous))
        wait_until(lambda: StudyEvent.BROKE in {step.event for step in node.store.history(poisonous)})
        send(node.port, *a_pair(harmless))
        reached(node, harmless, StudyState.DELIVERED)
        reached(node, poisonous, StudyState.FAILED)
        found = node.store.study(poisonous)
        assert found is not None
        assert found.reason == (
            "the examination of its headers failed: its process ended with 139 (tried 2 times)"
        )


def test_a_destination_gets_only_the_kinds_it_asks_for(tmp_path: Path, study: str) -> None:
    configuration = quick(tmp_path)
    with quick_node(configuration) as node:
        send(node.port, *a_pair(study))
        reached(node, study, StudyState.DELIVERED)
        assert not node.store.deliveries(study)
        assert len(node.store.results(study)) == len(CLASSES)


def test_two_nodes_never_share_a_storage_directory(node: Node) -> None:
    with pytest.raises(PermanentError, match="already working"):
        quick_node(node.configuration)


def test_no_node_takes_over_before_the_one_that_stops_has_ended(tmp_path: Path) -> None:
    """The listener is closed first, so another node could listen on the same port already."""
    is_written, may_end = threading.Event(), threading.Event()

    def write() -> NoReturn:
        is_written.set()
        may_end.wait()
        raise TransientError("no image")

    node = quick_node(quick(tmp_path))
    node.start()
    node._ledger.hand_in(write, lambda _outcome: None)
    is_written.wait()
    stopping = threading.Thread(target=node.stop)
    stopping.start()
    with pytest.raises(PermanentError, match="already working"):
        quick_node(node.configuration)
    wait_until(lambda: node._ledger._stopped)  # everything else has ended
    with pytest.raises(PermanentError, match="already working"):
        quick_node(node.configuration)
    may_end.set()
    stopping.join()
    quick_node(node.configuration).stop()


def test_two_nodes_never_share_a_database(tmp_path: Path, url: str) -> None:
    """With its own storage directory, the second node would treat every row as one whose file is lost."""
    first, second = (
        replace(quick(tmp_path / name), store=StoreSettings(url)) for name in ("first", "second")
    )
    with quick_node(first) as node:
        with pytest.raises(PermanentError, match="already working with the database"):
            quick_node(second)
        assert send(node.port, slice_of(1)) == [0]
    quick_node(second).stop()


def test_an_address_that_is_taken_is_told_in_words_and_nothing_is_left_running(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        base = quick(tmp_path)
        settings = replace(base, node=replace(base.node, port=taken.getsockname()[1]))
        with pytest.raises(
            PermanentError, match=r"cannot listen on 127.0.0.1:.*in use.*\[node\] host and port"
        ):
            quick_node(settings).start()
    with quick_node(settings) as node:
        assert send(node.port, slice_of(1)) == [0]


def test_a_storage_directory_that_cannot_be_made_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PermanentError, match=r"\[storage\] directory .* cannot be used \(Not a directory\)"):
        quick_node(quick(tmp_path / "file" / "var"))


def test_every_delivery_of_a_delivered_study_is_sent(node: Node, study: str) -> None:
    send(node.port, *a_pair(study))
    reached(node, study, StudyState.DELIVERED)
    assert {delivery.state for delivery in node.store.deliveries(study)} == {DeliveryState.SENT}
