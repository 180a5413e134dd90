"""What the node asks of the disk before it answers, and what it answers if the disk fails."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.operate.database import open_store
from node.store.instance_store import DiskInstanceStore
from node.store.staging import read_certified
from tests.node.app.test_crash import RUN
from tests.node.nodes import STUDY, quick, send, slice_of
from tests.patience import PATIENCE_S
from tests.peers import REPOSITORY, free_port, program, run

pytestmark = pytest.mark.peers
_FULL = 0xA700


@contextmanager
def node_under(
    folder: Path, before: Sequence[str | Path] = (), environment: dict[str, str] | None = None
) -> Iterator[int]:
    """Run a node in a process of its own, under another program; yield its port."""
    command = [*before, sys.executable, "-c", RUN, folder, free_port(), "report"]
    process = subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=REPOSITORY,
        env=os.environ | (environment or {}),
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield next(int(line) for line in iter(process.stdout.readline, b"") if line.strip().isdigit())
    finally:
        process.stdin.close()
        process.wait(PATIENCE_S)
        process.stdout.close()


def test_file_folder_and_database_are_synced_before_the_answer_is_sent(tmp_path: Path) -> None:
    log = tmp_path / "strace.log"
    calls = "trace=fsync,fdatasync,sendto,rename,renameat,renameat2"
    strace: list[str | Path] = [
        program("strace", "strace"),
        "-f",
        "-yy",
        "-qq",
        "-s",
        "0",
        "-e",
        calls,
        "-o",
        log,
    ]
    with node_under(tmp_path / "var", strace) as port:
        assert send(port, slice_of(1)) == [0]
    lines = log.read_text().splitlines()
    # The response is the second PDU that is sent to the sender: the first accepts the association.
    sent = [at for at, line in enumerate(lines) if f":{port}->" in line and "sendto(" in line]
    answered = sent[1]
    before = "\n".join(lines[:answered])
    renamed = re.findall(r'rename\w*\(.*"([^"]+\.dcm)"\) += 0', before)
    assert len(renamed) == 1, "the file has its name before the answer"
    after_rename = before[before.index(renamed[0]) :]
    synced = synced_in(after_rename)
    file = Path(renamed[0])
    wanted = {str(file), str(file.parent), str(file.parent.parent), str(file.parents[2])}
    assert wanted <= synced
    assert any(name.endswith(".db-wal") for name in synced)
    assert not any(name.endswith(".dcm") for name in synced_in("\n".join(lines[answered:])))


def synced_in(log: str) -> set[str]:
    """Return the files and folders whose sync has ended, by name."""
    whole = set(re.findall(r"(?:fsync|fdatasync)\(\d+<([^>]+)>\)\s+= 0", log))
    for thread, name in re.findall(r"^(\d+) +f(?:data)?sync\(\d+<([^>]+)> <unfinished", log, re.MULTILINE):
        if re.search(rf"^{thread} +<\.\.\. f(?:data)?sync resumed>\)\s+= 0", log, re.MULTILINE):
            whole.add(name)
    return whole


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the library that lets calls fail."""
    library = tmp_path_factory.mktemp("shim") / "failing_disk.so"
    source = Path(__file__).with_name("failing_disk.c")
    run([program("gcc", "gcc"), "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"])
    return library


def test_a_disk_that_fails_costs_the_instance_and_no_other(tmp_path: Path, shim: Path) -> None:
    """Every call fails once with each error, while others were acknowledged; then the disk is well again."""
    orders, folder = tmp_path / "orders", tmp_path / "var"
    environment = {"LD_PRELOAD": str(shim), "FAILING_DISK": str(orders), "FAILING_BELOW": str(folder)}
    acknowledged: set[str] = set()
    number = 0

    def sent() -> int:
        nonlocal number
        number += 1
        image = slice_of(number)
        (status,) = send(port, image)
        if status == 0:
            acknowledged.add(image.SOPInstanceUID)
        return status

    with node_under(folder, environment=environment) as port:
        for call in ("open", "write", "fsync", "rename"):
            # EROFS is what a file system gives that was turned read-only after an error.
            for fault in (errno.EIO, errno.ENOSPC, errno.EROFS):
                assert sent() == 0
                orders.write_text(f"{call} {fault}\n")
                assert sent() == _FULL, (call, fault)
                orders.unlink()
                again = number
                assert sent() == 0, (call, fault)
                # What was refused can be sent again: no row of it is left that would make it a duplicate.
                image = slice_of(again)
                assert send(port, image) == [0]
                acknowledged.add(image.SOPInstanceUID)
    check_all(folder, acknowledged)
    assert len(acknowledged) == number


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """Mount a file system in memory on a folder, or skip the test where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("needs root, and the right to mount")
    try:
        yield
    finally:
        run([program("umount", "mount"), "--lazy", folder])


def test_a_file_system_without_room_for_another_file_refuses_until_there_is_some(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with mounted(disk, "nr_inodes=120"):
        folder = disk / "var"
        with node_under(folder) as port:
            acknowledged = send_until_refused(port, most=120)
            # An administrator makes room; the sender tries again.
            run([program("mount", "mount"), "-o", "remount,nr_inodes=240", disk])
            image = slice_of(len(acknowledged) + 1)
            assert send(port, image) == [0]
            acknowledged.add(image.SOPInstanceUID)
        check_all(folder, acknowledged)


def send_until_refused(port: int, *, most: int) -> set[str]:
    """Send images until one is refused for want of room; return the UIDs of those before it."""
    acknowledged: set[str] = set()
    for number in range(1, most):
        image = slice_of(number)
        (status,) = send(port, image)
        if status == _FULL:
            return acknowledged
        assert status == 0
        acknowledged.add(image.SOPInstanceUID)
    pytest.fail("no image was refused")


def check_all(folder: Path, acknowledged: set[str]) -> None:
    """Check that what was acknowledged, and nothing else, is in the store and whole on the disk."""
    store, files = open_store(quick(folder)), DiskInstanceStore(folder)
    instances = store.instances(STUDY)
    store.close()
    assert {one.sop_uid for one in instances} == acknowledged
    assert all(read_certified(files.path(one)) for one in instances)
    assert len(list(files.files())) == len(instances)
