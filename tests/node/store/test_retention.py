"""What retention removes and what it keeps; and what happens on a real disk that fills up."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from pydicom import Dataset

from node.app import Node
from node.config import DeliverySettings
from node.domain.status import SweepRun
from node.domain.study import StudyState
from node.store.retention import purge
from node.store.staging import read_certified
from tests.node.analyses import CLASSES, NOT_OURS
from tests.node.disks import small_disk
from tests.node.nodes import (
    STUDY,
    MovedClock,
    Pacs,
    in_quarantine,
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
)
from tests.patience import PATIENCE_S, wait_until
from tests.peers import free_port

LATER = datetime(2130, 1, 1, tzinfo=UTC)


def clear(node: Node, *, failed: bool = False) -> int:
    return purge(node.store, node.instance_store, LATER, failed=failed)


def sweep_retention(node: Node) -> None:
    """Have the node's own sweep run, and wait until it has ended."""

    def runs() -> list[SweepRun]:
        return [run for run in node._schedule.runs() if run.name == "retention" and run.ended_at is not None]

    wait_until(runs)
    before = runs()
    node._schedule.soon("retention")
    wait_until(lambda: runs() and runs() != before)


def folder_of_images(node: Node) -> Path:
    """Return the folder of the study, which holds a folder for each series."""
    return node.instance_store.path(node.store.instances(STUDY)[0]).parents[1]


def test_nothing_is_removed_before_every_destination_has_its_results(tmp_path: Path) -> None:
    dead = replace(Pacs(port=free_port()).destination, name="dead")
    with running_pacs() as pacs, quick_node(quick(tmp_path, pacs.destination, dead)) as node:
        send(node.port, slice_of(1))
        wait_until(lambda: len(pacs.uids) == len(CLASSES))
        assert clear(node) == 0
        assert clear(node, failed=True) == 0
        (instance,) = node.store.instances(STUDY)
        assert node.instance_store.path(instance).exists()


def test_a_node_removes_by_itself_what_is_older_than_its_policy_and_nothing_younger(tmp_path: Path) -> None:
    clock = MovedClock()
    configuration = quick(tmp_path)
    assert configuration.storage.retention_days == 30
    with quick_node(configuration, clock=clock) as node:
        send(node.port, slice_of(1))
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        study_folder = folder_of_images(node)
        assert study_folder.exists()
        young = f"{STUDY}.1"
        clock.move(days=2)
        send(node.port, slice_of(1, study=young))
        wait_until(lambda: state_of(node, young) is StudyState.DELIVERED)
        clock.move(days=28.5)
        node._schedule.soon("retention")
        wait_until(lambda: not node.store.instances(STUDY))
        assert not study_folder.exists()
        assert not node.instance_store.result_folder(STUDY).exists()
        assert state_of(node) is StudyState.DELIVERED, "its history stays"
        (instance,) = node.store.instances(young)
        assert node.instance_store.path(instance).exists()


def test_a_study_that_is_not_for_us_leaves_after_a_day_and_no_other_does(tmp_path: Path) -> None:
    clock = MovedClock()
    not_ours = f"{STUDY}.{NOT_OURS}"
    with quick_node(quick(tmp_path), examine="examine_by_study", clock=clock) as node:
        send(node.port, slice_of(1))
        send(node.port, slice_of(1, study=not_ours))
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        wait_until(lambda: state_of(node, not_ours) is StudyState.NOT_FOR_US)
        clock.move(hours=23)
        sweep_retention(node)
        assert node.store.instances(not_ours)
        clock.move(hours=1.5)
        sweep_retention(node)
        assert not node.store.instances(not_ours)
        assert state_of(node, not_ours) is StudyState.NOT_FOR_US, "its history stays"
        assert folder_of_images(node).exists(), "the other one is kept for retention_days"


def test_no_study_is_kept_longer_than_retention_days(tmp_path: Path) -> None:
    clock = MovedClock()
    not_ours = f"{STUDY}.{NOT_OURS}"
    base = quick(tmp_path)
    short = replace(base, storage=replace(base.storage, retention_days=0.5))
    with quick_node(short, examine="examine_by_study", clock=clock) as node:
        send(node.port, slice_of(1, study=not_ours))
        wait_until(lambda: state_of(node, not_ours) is StudyState.NOT_FOR_US)
        clock.move(hours=13)
        sweep_retention(node)
        assert not node.store.instances(not_ours)


def test_what_was_set_aside_is_removed_only_by_an_operator(tmp_path: Path) -> None:
    once = DeliverySettings(retry_first_s=0.05, retry_longest_s=0.1, attempts=1, timeout_s=PATIENCE_S)
    with (
        running_pacs(status=lambda _number: 0xC000) as pacs,
        quick_node(quick(tmp_path, pacs.destination, delivery=once)) as node,
    ):
        send(node.port, slice_of(1))
        wait_until(lambda: state_of(node) is StudyState.FAILED)
        assert clear(node) == 0
        study_folder = folder_of_images(node)
        assert study_folder.exists()
        assert node.instance_store.result_folder(STUDY).exists()
        assert clear(node, failed=True) == 1
        assert not node.instance_store.result_folder(STUDY).exists()
        assert not study_folder.exists()


def test_what_came_after_the_look_is_not_removed(tmp_path: Path) -> None:
    with quick_node(quick(tmp_path)) as node:
        send(node.port, slice_of(1))
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        before = node.store.study(STUDY)
        assert before is not None
        send(node.port, slice_of(2))
        removed: list[object] = []
        assert not node.store.forget_originals(before, removed.extend)
        assert not removed
        assert len(node.store.instances(STUDY)) == 2


def test_what_comes_while_a_study_is_removed_waits_and_stays(tmp_path: Path) -> None:
    import threading

    with quick_node(quick(tmp_path)) as node:
        send(node.port, slice_of(1))
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        study = node.store.study(STUDY)
        assert study is not None
        statuses: list[int] = []
        sender = threading.Thread(target=lambda: statuses.extend(send(node.port, slice_of(2))))

        def remove_slowly(instances) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
            sender.start()
            sender.join(1.0)
            assert not statuses, "success was promised in the middle of the removal"
            node.instance_store.remove_study(STUDY, instances)

        assert node.store.forget_originals(study, remove_slowly)
        sender.join(PATIENCE_S)
        assert statuses == [0]
        (instance,) = node.store.instances(STUDY)
        assert read_certified(node.instance_store.path(instance)) is not None


def test_old_quarantine_is_removed_and_its_record_stays(tmp_path: Path) -> None:
    with quick_node(quick(tmp_path)) as node:
        broken = slice_of(1)
        del broken.StudyInstanceUID
        send(node.port, broken)
        (entry,) = in_quarantine(node.store)
        path = tmp_path / "quarantine" / entry.name
        purge(node.store, node.instance_store, entry.at - timedelta(days=1))
        assert path.exists()
        clear(node)
        assert not path.exists()
        assert in_quarantine(node.store) == (entry,)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "24m") as place:
        yield place


def large(number: int) -> Dataset:
    dataset = slice_of(number)
    dataset.PixelData = bytes([number % 256]) * 2**20
    return dataset


def fill(node: Node, acknowledged: set[str]) -> list[int]:
    """Send images of 1 MB until three have been rejected; return the statuses."""
    statuses: list[int] = []
    number = len(acknowledged)
    while statuses.count(0) + 3 > len(statuses) and len(statuses) < 60:
        number += 1
        image = large(number)
        (status,) = send(node.port, image)
        statuses.append(status)
        if status == 0:
            acknowledged.add(image.SOPInstanceUID)
    return statuses


def assert_whole(node: Node, acknowledged: set[str]) -> None:
    stored = {instance.sop_uid: instance for instance in node.store.instances(STUDY)}
    assert set(stored) == acknowledged
    for instance in stored.values():
        staged = read_certified(node.instance_store.path(instance))
        assert staged is not None
        assert staged.sha256 == instance.sha256
    assert not list((node.configuration.storage.directory / "incoming").iterdir())


@pytest.mark.parametrize("watermark_mb", [6, 0], ids=["the watermark", "the end of the disk"])
def test_a_full_disk_is_told_loses_nothing_and_is_left_behind_by_itself(
    disk: Path, watermark_mb: int, written: StringIO
) -> None:
    base = quick(disk / "var")
    # Nothing else shall happen to the study meanwhile.
    calm = replace(base.assembly, quiet_s=600.0)
    settings = replace(base, storage=replace(base.storage, watermark_mb=watermark_mb), assembly=calm)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(8 * 2**20))
    acknowledged: set[str] = set()
    with quick_node(settings) as node:
        statuses = fill(node, acknowledged)
        assert set(statuses) == {0, 0xA700}
        assert len(acknowledged) >= 3
        assert "A700" not in written.getvalue()
        # The database may be the first to lack room, in one of several ways.
        assert re.search("storage_full|instance_not_stored", written.getvalue())
        assert_whole(node, acknowledged)
        ballast.unlink()
        before = len(acknowledged)
        assert fill(node, acknowledged)[0] == 0
        assert len(acknowledged) > before
        assert_whole(node, acknowledged)
    with quick_node(settings) as again:
        assert_whole(again, acknowledged)
    assert "instance_file_missing" not in written.getvalue()
