import errno
import os
import threading
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.domain.records import Instance, StagedFile
from node.errors import StorageFullError
from node.receive.received_object import file_header
from node.store.instance_store import DiskInstanceStore
from node.store.staging import read_certified, read_head
from tests.thoroughness import share_of


def instance(number: int = 1, study: str = "1.1") -> Instance:
    return Instance(f"{study}.1.{number}", f"{study}.1", study, "1.2", "1.2", "0" * 64, 4, "0" * 64)


def stage(store: DiskInstanceStore, *parts: bytes) -> StagedFile:
    growing = store.stage(file_header("1.2", "1.2.3", "1.2.840.10008.1.2.1"))
    for part in parts:
        growing.write(part)
    return growing.finish()


def commit(store: DiskInstanceStore, staged: StagedFile, instance: Instance) -> None:
    with store.committing([(staged, instance)]):
        pass


@pytest.fixture
def store(tmp_path: Path) -> DiskInstanceStore:
    return DiskInstanceStore(tmp_path)


def test_a_committed_file_lies_at_its_place_and_nothing_is_left_behind(store: DiskInstanceStore) -> None:
    commit(store, stage(store, b"ab", b"cd"), instance())
    assert store.path(instance()).read_bytes().endswith(b"abcd")
    assert not list(store._incoming.iterdir())


def test_a_file_tells_its_dataset_from_its_header(store: DiskInstanceStore) -> None:
    staged = stage(store, b"ab", b"cd")
    assert staged.size == 4
    assert read_head(staged.path, 3) == b"abc"


def test_a_whole_file_proves_it_and_any_other_does_not(store: DiskInstanceStore) -> None:
    staged = stage(store, b"ab", b"cd")
    assert read_certified(staged.path) == staged
    whole = staged.path.read_bytes()
    for damaged in (whole[:-1], whole + b"e", whole[:-1] + b"x", b"\0" * 128 + whole[128:]):
        staged.path.write_bytes(damaged)
        assert read_certified(staged.path) is None


def test_a_discarded_file_is_gone(store: DiskInstanceStore) -> None:
    store.discard(stage(store, b"ab"))
    store.stage(b"half a header").discard()
    assert not list(store._incoming.iterdir())


def test_a_quarantined_file_is_kept_under_a_name_of_ours(store: DiskInstanceStore) -> None:
    name = store.quarantine(stage(store, b"ab"))
    assert (store._quarantined / name).read_bytes().endswith(b"ab")


def test_bytes_names_and_folders_are_synced_before_commit_returns(
    store: DiskInstanceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[str] = set()
    lock = threading.Lock()
    fsync = os.fsync

    def note_sync(descriptor: int) -> None:
        fsync(descriptor)
        with lock:
            synced.add(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    monkeypatch.setattr(os, "fsync", note_sync)
    commit(store, stage(store, b"ab"), instance())
    path = store.path(instance())
    # By its last name: a sync under the temporary one would not tell whether the new one lasts.
    assert synced == {path.name, path.parent.name, path.parent.parent.name, "instances"}


@pytest.mark.parametrize("broken", ["sync", "meanwhile"])
def test_a_commit_that_fails_leaves_no_file(
    store: DiskInstanceStore, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "no luck")

    def pass_by() -> None:
        pass

    meanwhile = fail if broken == "meanwhile" else pass_by
    staged = stage(store, b"ab")
    if broken == "sync":
        monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no luck"), store.committing([(staged, instance())]):
        meanwhile()
    assert not list(store.files())


@pytest.mark.parametrize("size", [0, 1000, 3 * 2**20])
def test_a_disk_that_fills_up_while_writing_is_told(
    store: DiskInstanceStore, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    def full(_descriptor: int, _parts: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "writev", full)
    with pytest.raises(StorageFullError):  # a large object meets it on the way, others at their end
        stage(store, bytes(size))
    assert not list(store._incoming.iterdir())


_SMALL = st.lists(st.binary(max_size=9), max_size=1500)
_LARGE = st.lists(st.integers(2**20, 2**21).map(lambda size: bytes(range(251)) * (size // 251)), max_size=3)


@given(first=_SMALL, then=_LARGE, last=_SMALL)
@settings(max_examples=share_of(30))
def test_every_byte_of_an_object_is_there_however_large_and_in_however_many_parts(
    first: list[bytes], then: list[bytes], last: list[bytes]
) -> None:
    parts = [*first, *then, *last]
    dataset = b"".join(parts)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as system:
        # The system may write less than it is given.
        system.setattr(os, "writev", lambda to, given: os.write(to, b"".join(given)[:300_007]))
        store = DiskInstanceStore(Path(folder))
        growing = store.stage(file_header("1.2", "1.2.3", "1.2.840.10008.1.2.1"))
        for part in parts:
            growing.write(memoryview(part))
        assert growing.head(2**21) == dataset[: 2**21]
        staged = growing.finish()
        assert read_certified(staged.path) == staged
        assert read_head(staged.path, len(dataset) + 1) == dataset
        assert (staged.size, staged.sha256) == (len(dataset), sha256(dataset).hexdigest())


def test_below_the_watermark_nothing_is_begun(tmp_path: Path) -> None:
    store = DiskInstanceStore(tmp_path, watermark_bytes=2**60)
    with pytest.raises(StorageFullError):
        store.stage(b"")
    assert not list(store._incoming.iterdir())


def test_the_watermark_is_looked_at_again_within_a_large_object(
    store: DiskInstanceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing = store.stage(b"")
    growing.write(bytes(2**20))
    monkeypatch.setattr(store, "_watermark_bytes", 2**60)
    with pytest.raises(StorageFullError):
        growing.write(bytes(16 * 2**20))
    growing.discard()
    assert not list(store._incoming.iterdir())


def test_a_study_is_removed_with_its_results_and_alone(store: DiskInstanceStore) -> None:
    for study in ("1.1", "1.2"):
        commit(store, stage(store, b"ab"), instance(study=study))
        store.result_folder(study).mkdir()
    store.remove_study("1.1", [instance(study="1.1")])
    assert not store.path(instance(study="1.1")).parents[1].exists()
    assert not store.result_folder("1.1").exists()
    assert store.path(instance(study="1.2")).exists()
    assert store.result_folder("1.2").exists()


def test_what_an_earlier_process_left_half_written_is_cleared(store: DiskInstanceStore) -> None:
    stage(store, b"ab")
    assert store.clear_incoming() == 1
    assert not list(store._incoming.iterdir())
