import errno
import os
from io import FileIO
from pathlib import Path

import pytest

from node.domain.records import Instance
from node.errors import StorageFullError
from node.instance_store import DiskInstanceStore


def instance(number: int = 1, study: str = "1.1") -> Instance:
    return Instance(f"{study}.1.{number}", f"{study}.1", study, "1.2", "1.2", "0" * 64, 4, "0" * 64)


@pytest.fixture
def store(tmp_path: Path) -> DiskInstanceStore:
    return DiskInstanceStore(tmp_path)


def test_a_committed_file_lies_at_its_place_and_nothing_is_left_behind(store: DiskInstanceStore) -> None:
    staged = store.stage([b"ab", memoryview(b"cd")])
    store.commit([(staged, instance())])
    assert store.path(instance()).read_bytes() == b"abcd"
    assert not list(store.incoming.iterdir())


def test_a_discarded_file_is_gone(store: DiskInstanceStore) -> None:
    store.discard(store.stage([b"ab"]))
    assert not list(store.incoming.iterdir())


def test_a_quarantined_file_is_kept_under_a_name_of_ours(store: DiskInstanceStore) -> None:
    name = store.quarantine(store.stage([b"ab"]))
    assert (store.quarantined / name).read_bytes() == b"ab"


def test_bytes_names_and_folders_are_synced_before_commit_returns(
    store: DiskInstanceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_sync(descriptor: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        done.append(f"rename {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_replace)
    staged = store.stage([b"ab"])
    store.commit([(staged, instance())])
    path = store.path(instance())
    assert done == [
        f"sync {staged.path.name}",
        f"rename {path.name}",
        f"sync {path.parent.name}",
        f"sync {path.parent.parent.name}",
        "sync instances",
    ]


def test_a_disk_that_fills_up_while_writing_leaves_no_part(
    store: DiskInstanceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullFile(FileIO):
        def write(self, _part: object) -> int:
            raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(Path, "open", lambda self, mode: FullFile(self, mode.replace("b", "")))
    with pytest.raises(StorageFullError):
        store.stage([b"ab"])
    assert not list(store.incoming.iterdir())


def test_below_the_watermark_nothing_is_begun(tmp_path: Path) -> None:
    store = DiskInstanceStore(tmp_path, watermark_bytes=2**60)
    with pytest.raises(StorageFullError):
        store.stage([b"ab"])


def test_a_study_is_removed_with_its_results_and_alone(store: DiskInstanceStore) -> None:
    for study in ("1.1", "1.2"):
        store.commit([(store.stage([b"ab"]), instance(study=study))])
        store.result_folder(study).mkdir()
    store.remove_study("1.1")
    assert not store.study_folder("1.1").exists()
    assert not store.result_folder("1.1").exists()
    assert store.path(instance(study="1.2")).exists()
    assert store.result_folder("1.2").exists()


def test_what_an_earlier_process_left_half_written_is_cleared(store: DiskInstanceStore) -> None:
    store.stage([b"ab"])
    assert store.clear_incoming() == 1
    assert not list(store.incoming.iterdir())
