"""The database is locked by a backup, or the disk is full, for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from node.app import Node
from node.domain.study import StudyEvent, StudyState
from node.store.sql import SqlStore
from tests.node.disks import change_disk, small_disk
from tests.node.nodes import (
    MovedClock,
    open_association,
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
)
from tests.patience import wait_until


def reached(node: Node, study: str, state: StudyState) -> None:
    wait_until(lambda: state_of(node, study) is state)


@contextmanager
def held_database(node: Node) -> Iterator[None]:
    """Hold the lock of SQLite as a backup tool does, for longer than the node waits for it."""
    assert isinstance(node.store, SqlStore)
    engine = node.store._engine

    def be_impatient(connection: object, *_: object) -> None:
        connection.execute("PRAGMA busy_timeout=20")  # type: ignore[attr-defined]

    event.listen(engine, "checkout", be_impatient)
    try:
        with engine.begin():  # IMMEDIATE: nobody else writes
            yield
    finally:
        event.remove(engine, "checkout", be_impatient)


def test_an_association_that_is_released_while_the_database_is_held_was_not_cut_off(
    tmp_path: Path, study: str
) -> None:
    images = [slice_of(number, study=study) for number in range(3)]
    with quick_node(quick(tmp_path)) as node:
        association = open_association(node.port, *images)
        assert [association.send_c_store(image).Status for image in images] == [0, 0, 0]
        (served,) = node._listener.associations._open
        with held_database(node):
            association.release()
            wait_until(lambda: not served.is_alive())
            assert state_of(node, study) is StudyState.RECEIVING
        reached(node, study, StudyState.DELIVERED)
        assert not node.store.cut_off_series(study)


def test_a_study_whose_end_could_not_be_recorded_is_closed_all_the_same(
    tmp_path: Path, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last delivery is recorded, so no courier has a reason to look at the study again."""
    with running_pacs() as pacs, quick_node(quick(tmp_path, pacs.destination)) as node:
        finish, lost = node.store.finish_deliveries, list[str]()

        def lose_once(study_uid: str, now: datetime) -> StudyState | None:
            if not lost:
                lost.append(study_uid)
                raise OperationalError("", {}, Exception())
            return finish(study_uid, now)

        monkeypatch.setattr(node.store, "finish_deliveries", lose_once)
        send(node.port, slice_of(1, study=study))
        wait_until(lambda: lost)
        node._schedule.soon("close")
        reached(node, study, StudyState.DELIVERED)


def test_an_analysis_whose_end_could_not_be_recorded_is_done_again_at_once(
    tmp_path: Path, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study does not wait until its lease expires, which takes as long as an analysis may."""
    with quick_node(quick(tmp_path)) as node:
        record, lost = node.store.record_results, list[object]()

        def lose_once(*arguments: Any, **named: Any) -> None:
            if not lost:
                lost.append(arguments)
                raise OperationalError("", {}, Exception())
            record(*arguments, **named)

        monkeypatch.setattr(node.store, "record_results", lose_once)
        send(node.port, slice_of(1, study=study))
        reached(node, study, StudyState.DELIVERED)
        assert lost


def wait_for_break(node: Node, study: str, number: int) -> None:
    wait_until(lambda: [step.event for step in node.store.history(study)].count(StudyEvent.BROKE) == number)


@pytest.mark.parametrize("option", ["size=4k", "ro"])
def test_a_disk_without_room_for_results_sets_no_study_aside(tmp_path: Path, study: str, option: str) -> None:
    clock = MovedClock()
    settings = quick(tmp_path, engine={"attempts": 2})
    with small_disk(tmp_path / "results", "4k") as disk:
        change_disk(disk, option)
        with quick_node(settings, processes=True, clock=clock) as node:
            send(node.port, slice_of(1, study=study))
            for tries in range(1, 5):
                wait_for_break(node, study, tries)
                clock.move(seconds=31)
            change_disk(disk, "rw,size=24m")
            clock.move(seconds=31)
            reached(node, study, StudyState.DELIVERED)
