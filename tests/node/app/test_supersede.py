"""Each set of inputs has one current result, which names what it replaces; with the real listener."""

import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random

import pytest
from pydicom import Dataset, FileDataset, dcmread
from pydicom.uid import ComprehensiveSRStorage, EnhancedSRStorage

from dicom_templates.options import Predecessor
from dicom_templates.result_kinds import ResultKind
from node.analyse.study import _write
from node.app import Node
from node.clock import SystemClock
from node.config import default
from node.domain.delivery import DeliveryState
from node.domain.records import RESULTS_STAND
from node.domain.results import Lineage
from node.domain.study import StudyState
from node.operate.retry import restart_study
from node.show.why import explain
from tests.dicom_templates.cases import make_case
from tests.node.analyses import CLASSES
from tests.node.nodes import Pacs, quick, quick_node, running_pacs, send, slice_of
from tests.patience import wait_until
from tests.peers import free_port

DOCUMENTS = {ComprehensiveSRStorage, EnhancedSRStorage}


def received(pacs: Pacs, study: str) -> list[Dataset]:
    return [dataset for dataset in pacs.received if dataset.StudyInstanceUID == study]


def predecessors(dataset: Dataset) -> set[str]:
    return {item.ReferencedSOPInstanceUID for item in dataset.PredecessorDocumentsSequence}


def documents(datasets: list[Dataset]) -> set[str]:
    return {dataset.SOPInstanceUID for dataset in datasets if dataset.SOPClassUID in DOCUMENTS}


def reported(node: Node, study: str, revision: int) -> None:
    def done() -> bool:
        found = node.store.study(study)
        return found is not None and (found.state, found.revision) == (StudyState.DELIVERED, revision)

    wait_until(done)


def current(node: Node, study: str) -> set[str]:
    return {result.sop_uid for result in node.store.results(study) if result.current}


def times(node: Node, study: str) -> dict[str, datetime]:
    return {result.sop_uid: result.created_at for result in node.store.results(study)}


def test_a_late_series_makes_new_documents_that_name_the_earlier_ones(
    node: Node, pacs: Pacs, study: str
) -> None:
    send(node.port, *(slice_of(number, study=study, series="1") for number in range(3)))
    reported(node, study, 3)
    first = received(pacs, study)
    assert all(not predecessors(dataset) for dataset in first)
    send(node.port, *(slice_of(number, study=study, series="2") for number in range(3)))
    reported(node, study, 6)
    second = received(pacs, study)[len(first) :]
    assert {dataset.SOPInstanceUID for dataset in second}.isdisjoint(
        dataset.SOPInstanceUID for dataset in first
    )
    assert all(predecessors(dataset) == documents(first) for dataset in second)
    assert current(node, study) == {dataset.SOPInstanceUID for dataset in second}


def test_each_report_names_only_the_one_before_it(node: Node, pacs: Pacs, study: str) -> None:
    for revision in (1, 2, 3):
        send(node.port, slice_of(revision, study=study))
        reported(node, study, revision)
    sets = [received(pacs, study)[start : start + len(CLASSES)] for start in (0, 4, 8)]
    assert [predecessors(one[0]) for one in sets] == [set(), documents(sets[0]), documents(sets[1])]


def test_a_report_that_never_left_the_node_is_named_by_none(tmp_path: Path, study: str) -> None:
    pacs = Pacs(port=free_port())
    with quick_node(quick(tmp_path)) as node:
        send(node.port, slice_of(1, study=study))
        reported(node, study, 1)
    pacs.start()
    with quick_node(quick(tmp_path, pacs.destination)) as node:
        send(node.port, slice_of(2, study=study))
        reported(node, study, 2)
    pacs.stop()
    assert len(pacs.received) == len(CLASSES)
    assert not any(predecessors(dataset) for dataset in pacs.received)


def test_what_waits_in_the_outbox_is_superseded_when_more_images_come(tmp_path: Path, study: str) -> None:
    pacs = Pacs(port=free_port())
    with quick_node(quick(tmp_path, pacs.destination)) as node:
        send(node.port, slice_of(1, study=study))
        wait_until(lambda: any(delivery.reason for delivery in node.store.deliveries(study)))
        send(node.port, slice_of(2, study=study))
        wait_until(lambda: len(node.store.results(study)) == 2 * len(CLASSES))
        pacs.start()
        reported(node, study, 2)
        states = [delivery.state for delivery in node.store.deliveries(study)]
    pacs.stop()
    assert states == [DeliveryState.SUPERSEDED] * len(CLASSES) + [DeliveryState.SENT] * len(CLASSES)
    assert {dataset.InstanceNumber for dataset in pacs.received} == {2}


def test_a_slice_that_comes_while_results_are_being_sent_stops_them(tmp_path: Path, study: str) -> None:
    """Results that were sent are named by those that replace them; results that were not are never sent."""
    nodes: list[Node] = []

    def overtaken(number: int) -> int:
        if number == 1:  # the second object of the first set is on its way
            send(nodes[0].port, slice_of(2, study=study))
        return 0

    with (
        running_pacs(status=overtaken) as pacs,
        quick_node(quick(tmp_path, pacs.destination)) as node,
    ):
        nodes.append(node)
        send(node.port, slice_of(1, study=study))
        reported(node, study, 2)
        first, second = received(pacs, study)[:2], received(pacs, study)[2:]
        assert {dataset.InstanceNumber for dataset in first} == {1}
        assert {dataset.InstanceNumber for dataset in second} == {2}
        assert current(node, study) == {dataset.SOPInstanceUID for dataset in second}
        of_first_set = {result.sop_uid for result in node.store.results(study)} - current(node, study)
        assert all(documents(first) <= predecessors(dataset) <= of_first_set for dataset in second)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_order_and_however_often_there_is_one_current_result(
    node: Node, pacs: Pacs, study: str, seed: int
) -> None:
    """Resent, duplicated or reordered: the final set of images decides, and nothing is sent twice."""
    random = Random(seed)
    images = [slice_of(number, study=study, series=series) for series in "12" for number in range(3)]
    sent = [*images, *random.choices(images, k=12)]
    random.shuffle(sent)
    for part in (sent[:9], sent[9:]):
        assert send(node.port, *part) == [0] * 9
    reported(node, study, 6)
    assert len(current(node, study)) == len(CLASSES)
    uids = [dataset.SOPInstanceUID for dataset in received(pacs, study)]
    assert len(uids) == len(set(uids))
    assert current(node, study) <= set(uids)
    before = node.store.study(study)
    send(node.port, *random.sample(images, k=6))
    time.sleep(0.5)
    assert node.store.study(study) == before


def test_an_analysis_that_is_repeated_changes_no_uid_and_no_time_and_sends_nothing(
    node: Node, pacs: Pacs, study: str
) -> None:
    for revision in (1, 2):
        send(node.port, slice_of(revision, study=study))
        reported(node, study, revision)
    count, uids, made = len(received(pacs, study)), current(node, study), times(node, study)
    restart_study(node.store, study, node._clock.now())
    wait_until(lambda: len(node.store.history(study)) > 2 * 7 + 3)
    reported(node, study, 2)
    assert current(node, study) == uids
    assert times(node, study) == made
    assert len(received(pacs, study)) == count


def test_late_series_that_are_not_used_make_no_new_set_and_why_says_so(tmp_path: Path, study: str) -> None:
    """The normal order of a scanner: T1 and T2, a localiser, an axial T2; it gave three sets of objects."""
    with (
        running_pacs() as pacs,
        quick_node(
            quick(tmp_path, pacs.destination), analyse="report_of_pair", examine="examine_by_series"
        ) as node,
    ):
        send(
            node.port, *(slice_of(number, study=study, series=series) for series in "12" for number in (1, 2))
        )
        reported(node, study, 4)
        first, made = current(node, study), list(pacs.received)
        assert "the earlier ones stand" not in explain(node.store, study)
        for revision, series, others in (
            (5, "7", "series 7 is axial"),
            (6, "8", "series 7 is axial; series 8 is axial"),
        ):
            send(node.port, slice_of(1, study=study, series=series))
            reported(node, study, revision)
            not_used = f"made without what was received beside them: {others}"
            assert f"Its results: {RESULTS_STAND}; {not_used}." in explain(node.store, study)
        assert current(node, study) == first
        assert len(pacs.received) == len(made) == len(CLASSES)
        send(node.port, slice_of(3, study=study, series="1"))
        reported(node, study, 7)
        assert "the earlier ones stand" not in explain(node.store, study)
        assert len(pacs.received) == 2 * len(CLASSES)


def test_a_result_that_lost_its_place_is_made_anew_and_names_the_one_that_had_it() -> None:
    """When a model is reverted, the old UIDs must not return after a newer document."""
    first, second = (Predecessor(ComprehensiveSRStorage, uid, "1.2", "1") for uid in ("1.2.1", "1.2.2"))
    after_the_first = Lineage("a", (), (first,))
    after_the_second = Lineage("b", after_the_first.predecessors("b"), (second,))
    assert after_the_second.replaced == (first,)
    assert after_the_second.predecessors("b") == (first,), "the same result once more"
    assert after_the_second.predecessors("a") == (second,), "not what the first result named"


def test_the_real_documents_name_what_they_replace_and_keep_their_uids_when_repeated(tmp_path: Path) -> None:
    case = make_case()

    def write(name: str, lineage: Lineage) -> tuple[Lineage, dict[ResultKind, FileDataset]]:
        outcome = _write(
            case.findings, case.sources, default(), tmp_path / name, lineage, now=SystemClock().now()
        )
        datasets = {result.kind: dcmread(result.path) for result in outcome.results}
        return Lineage(outcome.key, outcome.replaced), datasets

    first, _ = write("first", Lineage())
    assert first.replaced == ()
    earlier = Predecessor(ComprehensiveSRStorage, "1.2.3.1", "1.2.3.2", "1.2.3")
    second, made = write("second", Lineage("another", (), (earlier,)))
    (item,) = made[ResultKind.SR].PredecessorDocumentsSequence
    series = item.ReferencedSeriesSequence[0]
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.1"
    assert first.key == second.key, "what a set replaces does not make its inputs others"
    _, again = write("again", replace(second, documents=(earlier,)))
    assert [d.SOPInstanceUID for d in again.values()] == [d.SOPInstanceUID for d in made.values()]
