"""Instances that come again in other bytes: judged beside the stream of new ones, and never lost."""

# ruff: noqa: D102 - a door takes what is sent
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from node.clock import SystemClock
from node.domain.completeness import Patience
from node.domain.records import (
    CONFLICT,
    IDENTITY_REPLACED,
    Arrival,
    ArrivalOutcome,
    Instance,
    Sameness,
    StagedFile,
)
from node.errors import TransientError, WorkerLostError
from node.log import get_log
from node.receive.disputes import Disputes
from node.receive.ledger import Ledger
from node.receive.received_object import file_header
from node.store.instance_store import DiskInstanceStore
from node.store.sql import SqlStore
from tests.patience import PATIENCE_S

Compare = Callable[[Path, Path], Sameness]


class Door:
    """A ledger that compares as a test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = DiskInstanceStore(folder)
        self.rows = SqlStore(f"sqlite:///{folder / 'store.db'}")
        self.compare: Compare = lambda _kept, _arrived: Sameness.OTHER
        disputes = Disputes(
            lambda kept, arrived: self.compare(kept, arrived),  # noqa: PLW0108 - tests change it later
            self.rows,
            self.files,
            SystemClock(),
            get_log(),
        )
        patience = Patience(timedelta(seconds=5), timedelta(seconds=5))
        self.ledger = Ledger(self.rows, self.files, SystemClock(), patience, get_log(), disputes=disputes)

    def send(
        self, number: int, content: bytes, *, series: str = "1.2"
    ) -> "Future[ArrivalOutcome | Exception]":
        growing = self.files.stage(file_header("1.2", f"1.2.{number}", "1.2.840.10008.1.2.1"))
        growing.write(content)
        staged = growing.finish()
        instance = Instance(
            f"1.2.{number}", series, "1.1", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1",
            staged.sha256, staged.size, "0" * 64,
        )  # fmt: skip
        answer: Future[ArrivalOutcome | Exception] = Future()
        entry: tuple[StagedFile, Arrival] = staged, Arrival(instance, "SENDER", "127.0.0.1", "association")
        self.ledger.hand_in(lambda: entry, answer.set_result)
        return answer

    def outcome(self, number: int, content: bytes, *, series: str = "1.2") -> ArrivalOutcome | Exception:
        return self.send(number, content, series=series).result(PATIENCE_S)

    def kept(self, number: int) -> bytes:
        (instance,) = [one for one in self.rows.instances("1.1") if one.sop_uid == f"1.2.{number}"]
        return self.files.path(instance).read_bytes()[-3:]

    def names(self, folder: str) -> list[str]:
        return [path.name for path in (self.folder / folder).iterdir()]


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    opened = Door(tmp_path)
    yield opened
    opened.ledger.stop()
    opened.rows.close()


def test_what_is_new_or_equal_in_its_bytes_is_never_compared(door: Door) -> None:
    def never(_kept: Path, _arrived: Path) -> Sameness:
        raise AssertionError

    door.compare = never
    assert door.outcome(1, b"one") is ArrivalOutcome.STORED
    assert door.outcome(1, b"one") is ArrivalOutcome.DUPLICATE


def test_no_other_instance_waits_for_a_comparison(door: Door) -> None:
    comparing, go_on = threading.Event(), threading.Event()

    def slowly(_kept: Path, _arrived: Path) -> Sameness:
        comparing.set()
        assert go_on.wait(PATIENCE_S)
        return Sameness.SAME

    door.compare = slowly
    assert door.outcome(1, b"one") is ArrivalOutcome.STORED
    again = door.send(1, b"two")
    assert comparing.wait(PATIENCE_S)
    assert door.outcome(2, b"new") is ArrivalOutcome.STORED
    assert not again.done()
    go_on.set()
    assert again.result(PATIENCE_S) is ArrivalOutcome.DUPLICATE
    assert door.kept(1) == b"one"
    assert not door.names("incoming")
    assert not door.names("quarantine")


def test_a_corrected_one_takes_the_place_of_the_kept_one(door: Door) -> None:
    door.compare = lambda kept, arrived: (
        Sameness.OTHER_PATIENT if kept.is_file() and arrived.is_file() else Sameness.OTHER
    )
    assert door.outcome(1, b"one") is ArrivalOutcome.STORED
    assert door.outcome(1, b"two") is ArrivalOutcome.STORED
    assert door.kept(1) == b"two"
    (entry,) = door.rows.quarantined("1.1", IDENTITY_REPLACED)
    assert (door.folder / "quarantine" / entry.name).read_bytes()[-3:] == b"one"


@pytest.mark.parametrize("series", ["1.2", "1.3"], ids=["a lost process", "another series"])
def test_what_cannot_be_compared_is_another(door: Door, series: str) -> None:
    def lost(_kept: Path, _arrived: Path) -> Sameness:
        raise WorkerLostError("its process was ended by SIGSEGV")

    door.compare = lost
    assert door.outcome(1, b"one") is ArrivalOutcome.STORED
    assert door.outcome(1, b"two", series=series) is ArrivalOutcome.CONFLICT
    assert door.kept(1) == b"one"
    assert len(door.rows.quarantined("1.1", CONFLICT)) == 1
    assert door.outcome(2, b"new") is ArrivalOutcome.STORED


def test_a_file_left_in_another_series_is_not_compared_with_itself(door: Door) -> None:
    """As after a crash: its UID is kept elsewhere, and the file lies under its final name already."""
    door.compare = lambda _kept, _arrived: Sameness.SAME
    assert door.outcome(1, b"one") is ArrivalOutcome.STORED
    (kept,) = door.rows.instances("1.1")
    stray = replace(kept, series_uid="1.3", sha256="f" * 64)
    path = door.files.path(stray)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"two")
    arrival = Arrival(stray, "", "")
    assert door.ledger.enter(StagedFile(path, 3, stray.sha256), arrival) is ArrivalOutcome.CONFLICT
    (entry,) = door.rows.quarantined("1.1", CONFLICT)
    assert (door.folder / "quarantine" / entry.name).read_bytes() == b"two"
    assert door.kept(1) == b"one"


def test_a_full_disk_is_told_and_the_thread_goes_on(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_staged: StagedFile) -> str:
        raise OSError(28, "no space")

    assert door.outcome(1, b"one") is ArrivalOutcome.STORED
    with monkeypatch.context() as patched:
        patched.setattr(door.files, "quarantine", full)
        assert isinstance(door.outcome(1, b"two"), OSError)
    assert door.outcome(1, b"two") is ArrivalOutcome.CONFLICT


def test_who_waits_when_the_node_stops_is_told(door: Door) -> None:
    comparing, go_on = threading.Event(), threading.Event()

    def slowly(_kept: Path, _arrived: Path) -> Sameness:
        comparing.set()
        assert go_on.wait(PATIENCE_S)
        return Sameness.SAME

    door.compare = slowly
    assert door.outcome(1, b"one") is ArrivalOutcome.STORED
    first, second = door.send(1, b"two"), door.send(1, b"six")
    assert comparing.wait(PATIENCE_S)
    stopping = threading.Thread(target=door.ledger.stop)
    stopping.start()
    while not door.ledger._disputes._stopped:  # type: ignore[union-attr]
        threading.Event().wait(0.01)
    go_on.set()
    stopping.join(PATIENCE_S)
    assert first.result(PATIENCE_S) is ArrivalOutcome.DUPLICATE
    assert isinstance(second.result(PATIENCE_S), TransientError)
