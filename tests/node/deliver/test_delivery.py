"""Delivery over real sockets to a PACS that is down, selective, busy, or aborts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from dicom_templates.result_kinds import ResultKind, SrClass
from node.app import Node
from node.config import DeliverySettings, Destination
from node.domain.delivery import DeliveryState
from node.domain.study import StudyState
from tests.node.analyses import CLASSES
from tests.node.nodes import Pacs, quick, quick_node, running_pacs, send, slice_of, state_of
from tests.patience import PATIENCE_S, wait_until
from tests.peers import CtnStorage, Orthanc, free_port

STUDY = "1.2.826.0.1.1"
FEW = DeliverySettings(retry_first_s=0.05, retry_longest_s=0.2, attempts=3, timeout_s=PATIENCE_S)


@contextmanager
def reporting_node(directory: Path, *destinations: Destination) -> Iterator[Node]:
    with quick_node(quick(directory, *destinations, delivery=FEW)) as node:
        send(node.port, slice_of(1, study=STUDY))
        yield node


def reasons(node: Node) -> set[str]:
    return {delivery.reason for delivery in node.store.deliveries(STUDY)}


def test_a_pacs_that_is_down_at_first_gets_every_result_once(tmp_path: Path) -> None:
    pacs = Pacs(port=free_port())
    with reporting_node(tmp_path, pacs.destination) as node:
        wait_until(lambda: "it cannot be reached" in reasons(node))
        assert state_of(node, STUDY) is StudyState.DELIVERING
        pacs.start()
        wait_until(lambda: state_of(node, STUDY) is StudyState.DELIVERED)
        pacs.stop()
    assert len(pacs.uids) == len(set(pacs.uids)) == len(CLASSES)


def test_while_a_destination_is_down_it_is_not_asked_once_for_each_study(tmp_path: Path) -> None:
    slow = DeliverySettings(retry_first_s=60, retry_longest_s=60, attempts=3, timeout_s=PATIENCE_S)
    with running_pacs() as rejecting:
        # It answers but rejects this AE title, so every attempt would be one more association.
        wrong = replace(rejecting.destination, ae_title="WRONG")
        with quick_node(quick(tmp_path, wrong, delivery=slow)) as node:
            for number in range(4):
                send(node.port, slice_of(1, study=f"{STUDY}.{number}"))
            wait_until(lambda: all(state_of(node, f"{STUDY}.{n}") is StudyState.DELIVERING for n in range(4)))

            def tried() -> list[str]:
                return [
                    study
                    for study in (f"{STUDY}.{number}" for number in range(4))
                    if any("rejected" in delivery.reason for delivery in node.store.deliveries(study))
                ]

            wait_until(tried)
            assert len(tried()) == 1


def test_a_destination_that_is_down_holds_up_no_other(tmp_path: Path) -> None:
    with running_pacs() as pacs:
        dead = Destination(name="dead", ae_title="DEAD", host="127.0.0.1", port=free_port())
        with reporting_node(tmp_path, dead, pacs.destination):
            wait_until(lambda: len(pacs.received) == len(CLASSES))


def test_a_destination_that_takes_only_some_kinds_gets_those(tmp_path: Path) -> None:
    with (
        running_pacs(classes=(EnhancedSRStorage,)) as pacs,
        reporting_node(tmp_path, pacs.destination) as node,
    ):
        wait_until(lambda: state_of(node, STUDY) is StudyState.DELIVERED)
        assert [dataset.SOPClassUID for dataset in pacs.received] == [EnhancedSRStorage]
        states = [delivery.state for delivery in node.store.deliveries(STUDY)]
        assert states.count(DeliveryState.SENT) == 1
        assert states.count(DeliveryState.NOT_ACCEPTED) == 3
        assert "3 of 4" in node.store.study(STUDY).reason  # type: ignore[union-attr]


def test_a_destination_that_takes_none_leaves_the_study_to_a_person(tmp_path: Path) -> None:
    with (
        running_pacs(classes=("1.2.840.10008.5.1.4.1.1.2",)) as pacs,
        reporting_node(tmp_path, pacs.destination) as node,
    ):
        wait_until(lambda: state_of(node, STUDY) is StudyState.FAILED)
        assert node.store.study(STUDY).reason == "pacs accepts none of these results"  # type: ignore[union-attr]


def test_a_destination_gets_only_the_kinds_it_asks_for(tmp_path: Path) -> None:
    with running_pacs() as pacs:
        wants = replace(pacs.destination, results=(ResultKind.SR,))
        with reporting_node(tmp_path, wants) as node:
            wait_until(lambda: state_of(node, STUDY) is StudyState.DELIVERED)
            assert [dataset.SOPClassUID for dataset in pacs.received] == [ComprehensiveSRStorage]


@pytest.mark.peers
def test_an_old_and_a_new_archive_each_get_the_measurement_report_in_the_class_they_take(
    tmp_path: Path,
) -> None:
    """CTN rejects Comprehensive 3D SR; because of its `sr_class`, none is offered to it."""
    kinds = (ResultKind.SR, ResultKind.TEXT)
    with CtnStorage(tmp_path / "ctn") as ctn, Orthanc(tmp_path / "orthanc", {}) as orthanc:
        old = Destination("old", "CTN", "127.0.0.1", ctn.port, kinds, SrClass.COMPREHENSIVE)
        new = Destination("new", "ORTHANC", "127.0.0.1", orthanc.dicom_port, kinds, SrClass.COMPREHENSIVE_3D)
        with quick_node(quick(tmp_path / "node", old, new), analyse="write_true_results") as node:
            send(node.port, slice_of(1, study=STUDY))
            wait_until(lambda: state_of(node, STUDY) is StudyState.DELIVERED)
            assert {delivery.state for delivery in node.store.deliveries(STUDY)} == {DeliveryState.SENT}
        of_old = {dcmread(path, force=True).SOPClassUID for path in ctn.received()}
        of_new = {dcmread(BytesIO(one)).SOPClassUID for one in orthanc.files()}
    assert of_old == {ComprehensiveSRStorage, EnhancedSRStorage}
    assert of_new == {Comprehensive3DSRStorage, EnhancedSRStorage}


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        pytest.param(
            lambda n: 0xA700 if n < 6 else 0, StudyState.DELIVERED, id="out of resources for a while"
        ),
        pytest.param(lambda n: 0xC000 if n < 2 else 0, StudyState.DELIVERED, id="cannot understand, twice"),
        pytest.param(lambda _: 0xC000, StudyState.FAILED, id="cannot understand, for ever"),
        pytest.param(lambda _: 0xA900, StudyState.FAILED, id="does not match its class"),
        pytest.param(lambda _: 0xB000, StudyState.DELIVERED, id="coerced, which is a warning"),
        pytest.param(lambda _: 0x0122, StudyState.FAILED, id="class not supported, for all"),
    ],
)
def test_each_status_has_its_consequence(
    tmp_path: Path, answers: Callable[[int], int], state: StudyState
) -> None:
    with running_pacs(status=answers) as pacs, reporting_node(tmp_path, pacs.destination) as node:
        wait_until(lambda: state_of(node, STUDY) is state)
        if state is StudyState.DELIVERED:
            assert sorted(pacs.uids) == sorted(r.sop_uid for r in node.store.results(STUDY))


def test_a_pacs_that_aborts_in_the_middle_gets_the_rest_later_and_nothing_twice(tmp_path: Path) -> None:
    pacs = Pacs()
    pacs.abort_at = 2
    pacs.start()
    with reporting_node(tmp_path, pacs.destination) as node:
        wait_until(lambda: state_of(node, STUDY) is StudyState.DELIVERED)
    pacs.stop()
    assert pacs.associations == 2
    assert len(pacs.uids) == len(set(pacs.uids)) == len(CLASSES)


def test_what_is_sent_is_what_is_on_disk(tmp_path: Path) -> None:
    def elements(dataset: Dataset) -> dict[str, str]:
        return {element.keyword: str(element.value) for element in dataset}

    with running_pacs() as pacs, reporting_node(tmp_path, pacs.destination) as node:
        wait_until(lambda: state_of(node, STUDY) is StudyState.DELIVERED)
        stored = {r.sop_uid: dcmread(node.instance_store.results / r.name) for r in node.store.results(STUDY)}
        for received in pacs.received:
            assert elements(received) == elements(stored[received.SOPInstanceUID])


def test_results_wait_for_a_restart_when_the_node_stops_before_the_pacs_is_back(tmp_path: Path) -> None:
    pacs = Pacs(port=free_port())
    with reporting_node(tmp_path, pacs.destination) as node:
        wait_until(lambda: "it cannot be reached" in reasons(node))
    pacs.start()
    with quick_node(quick(tmp_path, pacs.destination, delivery=FEW)) as again:
        wait_until(lambda: state_of(again, STUDY) is StudyState.DELIVERED)
    pacs.stop()
    assert len(pacs.uids) == len(set(pacs.uids)) == len(CLASSES)
