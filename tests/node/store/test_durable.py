"""Syncs in threads of their own: at the same time, each to its end, and no thread outlives its owner."""

import errno
import os
import threading
from pathlib import Path

import pytest

from node.store.durable import SyncThreads
from tests.patience import PATIENCE_S, wait_until


def files(folder: Path, number: int) -> list[Path]:
    paths = [folder / str(index) for index in range(number)]
    for path in paths:
        path.touch()
    return paths


def test_shares_are_synced_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(3, timeout=PATIENCE_S)
    monkeypatch.setattr(os, "fsync", lambda _: together.wait())
    wait = SyncThreads(3).begin([[path] for path in files(tmp_path, 3)])
    assert wait() is None
    assert not together.broken


def test_more_shares_than_threads_are_all_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda it: synced.append(Path(f"/proc/self/fd/{it}").readlink().name))
    paths = files(tmp_path, 9)
    assert SyncThreads(2).begin([paths[:5], *([path] for path in paths[5:])])() is None
    assert sorted(synced) == [path.name for path in paths]


def test_a_sync_that_fails_is_told_after_all_others_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed, ended = threading.Event(), threading.Event()

    def sync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == "0":
            failed.set()
            raise OSError(errno.EIO, "no luck")
        assert failed.wait(PATIENCE_S)
        ended.set()

    monkeypatch.setattr(os, "fsync", sync)
    threads = SyncThreads(2)
    failure = threads.begin([[path] for path in files(tmp_path, 2)])()
    assert isinstance(failure, OSError)
    assert failure.errno == errno.EIO
    assert ended.is_set()
    monkeypatch.undo()
    assert threads.begin([[tmp_path]])() is None, "a thread outlives a failure"


def test_threads_end_with_their_owner(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    syncs = SyncThreads(2)
    assert syncs.begin([[tmp_path], [tmp_path]])() is None
    started = set(threading.enumerate()) - before
    assert len(started) == 2
    del syncs
    wait_until(lambda: not any(thread.is_alive() for thread in started))
