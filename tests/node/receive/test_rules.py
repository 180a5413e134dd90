"""What the rules discard is acknowledged, counted and told, and leaves nothing behind."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from node.app import Node
from node.clock import SystemClock
from node.config import AssemblySettings, AuditSettings, Configuration, Source, parse
from node.domain.header import InstanceIdentity
from node.domain.study import StudyState
from node.errors import TransientError
from node.log import get_log
from node.ports import StagingFile
from node.receive.discards import Discards
from node.show.why import explain
from tests.node.nodes import (
    encode,
    in_quarantine,
    open_association,
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
)
from tests.node.receive.test_listener import raw_store
from tests.node.show.test_web import ask, metrics, web_port, with_page
from tests.patience import wait_until
from tests.peers import program, run

BRAIN = '[[rules]]\nname = "brain"\ntake = false\ndescription = "*brain*"\n'
CHILDREN = '[[rules]]\nname = "children"\ntake = false\nage_below = 18\n'


def ruled(configuration: Configuration, *rules: str) -> Configuration:
    return replace(configuration, rules=parse("".join(rules)).rules)


def brain(number: int, study: str, series: str = "9") -> Dataset:
    image = slice_of(number, study=study, series=series)
    image.SeriesDescription = "T1 Brain"
    return image


@pytest.fixture(scope="module")
def sieve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Run a node with rules whose studies stay as they are."""
    base = with_page(quick(tmp_path_factory.mktemp("rules"), assembly=AssemblySettings(quiet_s=3600)))
    small_pdus = replace(base, node=replace(base.node, max_pdu_bytes=16_384))
    with quick_node(ruled(small_pdus, BRAIN, CHILDREN)) as running:
        yield running


def files_of(node: Node) -> set[Path]:
    """Return all files of images: stored, staged and quarantined."""
    folder = node.configuration.storage.directory
    return {path for path in folder.rglob("*") if path.is_file() and "osteonode.db" not in path.name}


def with_long_header(image: Dataset, size: int) -> Dataset:
    """Put so many bytes before the UIDs of study and series."""
    image.add_new(0x00190010, "LO", "SOMEBODY")
    image.add_new(0x00191001, "OB", bytes(size))
    return image


@pytest.mark.parametrize("size", [2, 40_000, 200_000], ids=lambda size: f"{size} bytes before")
def test_what_is_discarded_is_acknowledged_and_leaves_no_file(sieve: Node, study: str, size: int) -> None:
    """The identity stands in the first fragment, behind it, or so far behind that another thread looks."""
    before = files_of(sieve)
    assert send(sieve.port, *(with_long_header(brain(number, study), size) for number in range(3))) == [0] * 3
    assert files_of(sieve) == before
    assert sieve.store.study(study) is None


def test_nothing_is_written_of_what_is_discarded(
    sieve: Node, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged: list[bytes] = []
    stage = sieve.instance_store.stage

    def noted(head: bytes) -> StagingFile:
        staged.append(head)
        return stage(head)

    monkeypatch.setattr(sieve.instance_store, "stage", noted)
    send(sieve.port, brain(1, study), slice_of(2, study=study), brain(3, study))
    assert len(staged) == 1


def test_it_is_counted_in_metrics_page_log_audit_and_why(tmp_path: Path, written: StringIO) -> None:
    audit = tmp_path / "audit.xml"
    base = with_page(quick(tmp_path / "var", audit=AuditSettings(file=audit)))
    child = slice_of(4, series="8")
    child.PatientAge = "012Y"
    with quick_node(ruled(base, BRAIN, CHILDREN)) as node:
        send(node.port, brain(1, "1.2.826.0.1.1"), brain(2, "1.2.826.0.1.1"), child, slice_of(3))
        send(node.port, brain(5, "1.2.826.0.1.2"))
        wait_until(lambda: node.store.discarded("1.2.826.0.1.2"))
        found = metrics(web_port(node))
        page = ask(web_port(node), "/").text
        of_study = ask(web_port(node), "/studies/1.2.826.0.1.2")
        why = explain(node.store, "1.2.826.0.1.1"), explain(node.store, "1.2.826.0.1.2")
        assert node.store.discards() == {"brain": (3, 2), "children": (1, 1)}
    assert found["osteonode_instances_discarded_total rule=brain"] == 3
    assert found["osteonode_instances_discarded_total rule=children"] == 1
    assert found["osteonode_instances_answered_total answer=discarded by a rule"] == 4
    assert found["osteonode_instances_answered_total answer=stored"] == 1
    assert re.search(r"brain</th><td>discards</td><td>3 objects", page)
    assert 'discarded: 2 by the rule "brain", 1 by the rule "children", the last at ' in why[0]
    assert why[0].startswith("Study 1.2.826.0.1.1 is ")
    assert why[1].startswith("Nothing of study 1.2.826.0.1.2 is here. ")
    assert "change [[rules]]" in why[1]
    assert (of_study.status, "change [[rules]]" in of_study.text) == (200, True)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    told = [line for line in lines if line["event"] == "association_ended"]
    assert [(line["kept"], line["refused"], line.get("discarded")) for line in told] == [(1, 0, 3), (0, 0, 1)]
    assert told[0]["rules"] == "brain: 2, children: 1"
    assert "PLANTED" not in written.getvalue()
    messages = audit.read_text().splitlines()
    gone = [line for line in messages if "discarded by the rule brain" in line]
    assert [re.findall(r'NumberOfInstances="(\d+)"', line) for line in gone] == [["2"], ["1"]]
    assert all('EventActionCode="D"' in line and "PLANTED-ID" in line for line in gone)
    received = [line for line in messages if "Instances Transferred" in line]
    assert [re.findall(r'NumberOfInstances="(\d+)"', line) for line in received] == [["4"], ["1"]]


def test_a_study_without_its_discarded_series_is_complete(tmp_path: Path) -> None:
    files = []
    for number in range(12):
        image = brain(number, "1.2.826.0.1.1") if number % 3 else slice_of(number)
        image.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
        files.append(tmp_path / f"{number}.dcm")
    with running_pacs() as pacs, quick_node(ruled(quick(tmp_path / "var", pacs.destination), BRAIN)) as node:
        run([program("dcmsend", "dcmtk"), "-aec", "OSTEONODE", "127.0.0.1", str(node.port), *files])
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        assert node.store.count_instances("1.2.826.0.1.1") == 4
        assert not node.store.cut_off_series("1.2.826.0.1.1")


def test_a_study_is_not_kept_waiting_by_discarded_ones_of_its_association(tmp_path: Path) -> None:
    with quick_node(ruled(quick(tmp_path), BRAIN)) as node:
        association = open_association(node.port, slice_of(1))
        try:
            assert association.send_c_store(slice_of(1)).Status == 0
            assert association.send_c_store(brain(1, "1.2.826.0.1.2")).Status == 0
            wait_until(lambda: state_of(node) not in {StudyState.RECEIVING, None})
            assert association.is_established
        finally:
            association.release()
    assert not node._listener.associations._open


def test_what_its_request_contradicts_is_refused_as_ever(sieve: Node, study: str) -> None:
    payload = encode(brain(1, study), ImplicitVRLittleEndian)
    assert raw_store(sieve, payload, instance=f"{study}.77") == 0xA900
    assert any(entry.sop_uid == f"{study}.77" for entry in in_quarantine(sieve.store))


def test_what_is_discarded_uses_neither_the_quota_nor_the_disk(tmp_path: Path, study: str) -> None:
    base = quick(tmp_path)
    few = Source("*", ip_network("127.0.0.0/8"), max_instances_per_hour=2)
    with quick_node(ruled(replace(base, sources=(few,)), BRAIN)) as node:
        brains = [brain(number, study) for number in range(5)]
        assert send(node.port, *brains, slice_of(6, study=study), *brains) == [0] * 11
    full = replace(base, storage=replace(base.storage, directory=tmp_path / "full", watermark_mb=10**9))
    with quick_node(ruled(full, BRAIN)) as node:
        assert send(node.port, brain(1, study), slice_of(2, study=study)) == [0, 0xA700]


def test_new_rules_hold_for_new_associations(tmp_path: Path, study: str) -> None:
    base = quick(tmp_path, assembly=AssemblySettings(quiet_s=3600))
    with quick_node(base) as node:
        association = open_association(node.port, brain(1, study))
        assert association.send_c_store(brain(1, study)).Status == 0
        assert node.apply(ruled(base, BRAIN)).applied == ("rules",)
        assert association.send_c_store(brain(2, study)).Status == 0
        association.release()
        assert node.store.count_instances(study) == 2
        send(node.port, brain(3, study))
        assert node.store.count_instances(study) == 2
        node.apply(base)
        send(node.port, brain(3, study))
        assert node.store.count_instances(study) == 3


def test_rules_can_ask_for_the_sender(tmp_path: Path, study: str) -> None:
    rule = '[[rules]]\nname = "old archive"\ntake = false\nsource = "OLD*"\n'
    with quick_node(ruled(quick(tmp_path, assembly=AssemblySettings(quiet_s=3600)), rule)) as node:
        send(node.port, slice_of(1, study=study), calling="OLDPACS")
        assert node.store.study(study) is None
        send(node.port, slice_of(1, study=study), calling="NEWPACS")
        assert node.store.count_instances(study) == 1


class AwayThenBack:
    """A store whose database does not answer at first."""

    def __init__(self) -> None:
        self.is_away = True
        self.counts: dict[tuple[str, str], int] = {}

    def record_discards(self, counts: dict[tuple[str, str], int], _now: object) -> None:
        """See `node.ports.Arrivals`."""
        if self.is_away:
            raise TransientError("the database does not answer")
        self.counts |= counts


def test_counts_are_kept_while_the_database_is_away() -> None:
    store: Any = AwayThenBack()
    discards = Discards(store, SystemClock(), get_log())
    discarded = InstanceIdentity("1.2.840.10008.5.1.4.1.1.4", "1.2.3.4", "1.2", "1.2.3", "")
    discards.note(discarded, "brain")
    with pytest.raises(TransientError):
        discards.sweep()
    discards.note(discarded, "brain")
    store.is_away = False
    discards.sweep()
    discards.sweep()
    assert store.counts == {("1.2", "brain"): 2}
