"""The ledger: many share a sync, and nobody is told of success, or of a duplicate, that is none."""

# ruff: noqa: D102 - a door takes what is staged
import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from node.clock import SystemClock
from node.domain.completeness import Patience
from node.domain.records import Arrival, ArrivalOutcome, Instance, StagedFile
from node.errors import StorageFullError, TransientError
from node.log import get_log
from node.receive.ledger import Ledger
from node.receive.received_object import file_header
from node.store.instance_store import DiskInstanceStore
from node.store.sql import SqlStore
from tests.patience import PATIENCE_S, wait_until

PATIENCE = Patience(timedelta(seconds=5), timedelta(seconds=5))


class Shaky(SqlStore):
    """A store that counts its groups, and may break as a database does whose answer gets lost."""

    groups = 0
    breaks_after_writing = False
    slow: threading.Event | None = None
    waiting = threading.Event()
    """Set while a slow group waits."""

    def record_arrivals(
        self,
        arrivals: Sequence[Arrival],
        now: datetime,
        patience: Patience,
        place: Callable[[Sequence[ArrivalOutcome]], None] = lambda _outcomes: None,
    ) -> tuple[ArrivalOutcome, ...]:
        """Record, slowly or without an answer."""
        if self.slow is not None:
            self.waiting.set()
            self.slow.wait(PATIENCE_S)
        self.groups += 1
        outcomes = super().record_arrivals(arrivals, now, patience, place)
        if self.breaks_after_writing:
            raise ConnectionError("no answer")
        return outcomes


class Door:
    """A ledger with its stores."""

    def __init__(self, folder: Path) -> None:
        self.files = DiskInstanceStore(folder)
        self.rows = Shaky(f"sqlite:///{folder / 'store.db'}")
        self.ledger = Ledger(self.rows, self.files, SystemClock(), PATIENCE, get_log())

    def stage(self, number: int) -> tuple[StagedFile, Arrival]:
        growing = self.files.stage(file_header("1.2", f"1.2.{number}", "1.2.840.10008.1.2.1"))
        growing.write(str(number).encode())
        staged = growing.finish()
        instance = Instance(
            f"1.2.{number}", "1.2", "1.1", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1",
            staged.sha256, staged.size, "0" * 64,
        )  # fmt: skip
        return staged, Arrival(instance, "SENDER", "127.0.0.1", "association")

    def enter(self, number: int) -> ArrivalOutcome:
        return self.ledger.enter(*self.stage(number))


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    opened = Door(tmp_path)
    yield opened
    opened.ledger.stop()
    opened.rows.close()


def test_those_that_wait_together_share_one_transaction(door: Door) -> None:
    door.rows.slow = threading.Event()
    entries = [door.stage(number) for number in range(9)]
    told: list[ArrivalOutcome] = []
    threads = [
        threading.Thread(target=lambda entry=entry: told.append(door.ledger.enter(*entry)))
        for entry in entries
    ]
    door.rows.waiting.clear()
    threads[0].start()
    # One is being written, slowly; the others gather meanwhile.
    assert door.rows.waiting.wait(PATIENCE_S)
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: door.ledger._waiting.qsize() == 8)
    door.rows.slow.set()
    for thread in threads:
        thread.join()
    assert told == [ArrivalOutcome.STORED] * 9
    assert door.rows.groups == 2
    assert all(door.files.path(arrival.instance).exists() for _, arrival in entries)


def test_a_file_that_cannot_be_written_harms_no_other_of_its_group(door: Door) -> None:
    def full() -> tuple[StagedFile, Arrival]:
        raise StorageFullError("full")

    def pair(staged: StagedFile, arrival: Arrival) -> tuple[StagedFile, Arrival]:
        return staged, arrival

    door.rows.slow = threading.Event()
    told: dict[int, ArrivalOutcome | Exception] = {}
    entries = [door.stage(number) for number in range(4)]
    for number, (staged, arrival) in enumerate(entries):
        prepare = full if number == 2 else partial(pair, staged, arrival)
        door.ledger.hand_in(prepare, partial(told.__setitem__, number))
    door.rows.slow.set()
    wait_until(lambda: len(told) == 4)
    assert isinstance(told.pop(2), StorageFullError)
    assert set(told.values()) == {ArrivalOutcome.STORED}
    assert door.enter(5) is ArrivalOutcome.STORED


def test_nobody_who_cannot_be_told_and_no_file_that_cannot_be_removed_ends_the_ledger(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "read-only")

    door.ledger.hand_in(lambda: door.stage(1), broken)
    with monkeypatch.context() as disk:
        disk.setattr(os, "replace", broken)
        disk.setattr(Path, "unlink", broken)
        with pytest.raises(OSError, match="read-only"):
            door.enter(2)
    assert door.enter(3) is ArrivalOutcome.STORED


def test_what_comes_after_the_end_is_turned_away_and_leaves_nothing(door: Door) -> None:
    door.ledger.stop()
    with pytest.raises(TransientError):
        door.enter(1)
    assert not list(door.files.files())
    assert not list(door.files._incoming.iterdir())


def test_the_same_instance_twice_in_one_group_is_stored_once(door: Door) -> None:
    door.rows.slow = threading.Event()
    door.rows.slow.set()
    assert [door.enter(1), door.enter(1)] == [ArrivalOutcome.STORED, ArrivalOutcome.DUPLICATE]
    assert len(list(door.files.files())) == 1
    assert not list(door.files._incoming.iterdir())


def test_a_row_whose_transaction_gave_no_answer_never_makes_a_duplicate_of_the_next_try(door: Door) -> None:
    door.rows.breaks_after_writing = True
    with pytest.raises(ConnectionError):
        door.enter(1)
    assert not list(door.files.files()), "its sender was told to try again"
    assert door.rows.instances("1.1"), "the row is there all the same: the case that is meant"
    door.rows.breaks_after_writing = False
    assert door.enter(1) is ArrivalOutcome.STORED
    assert len(list(door.files.files())) == 1
