"""Ten thousand bad inputs for a real listener in a process of its own: it stays up, quick, small and silent.

Each run tries a share of the cases (`tests.thoroughness`); all of them are tried with `-m nightly`.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydicom.uid import UID

from node.domain.records import QuarantineEntry
from node.store.sql import SqlStore
from tests.node.hostile import CANARY, SYNTAXES, hostile_dataset, hostile_stream
from tests.node.nodes import PATIENT, in_quarantine, send, slice_of
from tests.node.wire import (
    COMMAND,
    LAST,
    P_DATA,
    Wire,
    fragment,
    pdu,
    request_association,
    store_request,
    wire_to,
)
from tests.patience import PATIENCE_S
from tests.peers import REPOSITORY
from tests.thoroughness import share_of

pytestmark = pytest.mark.slow

SERVE = """
import sys
from dataclasses import replace
from pathlib import Path
from node.config import LogSettings, Source
from node.log import configure, speak_for_libraries
from tests.node.nodes import quick, quick_node
configure(LogSettings(format="json", level="debug"))
speak_for_libraries()
base = quick(Path(sys.argv[1]))
patient = replace(base.node, idle_timeout_s=20.0, greeting_timeout_s=5.0, max_instance_mb=64)
open_to_all = (Source(max_associations=20, max_instances_per_hour=10**9, max_mb_per_hour=10**9),)
if __name__ == "__main__":
    with quick_node(replace(base, node=patient, sources=open_to_all), examine="examine_as_pair") as node:
        print("port", node.port, flush=True)
        sys.stdin.read()
"""
MOST_GROWTH_MB = 64


@dataclass(slots=True)
class Target:
    """A listener in a process of its own."""

    directory: Path
    process: "subprocess.Popen[bytes]"
    port: int

    def memory_mb(self) -> float:
        """Return its resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def descriptors(self) -> int:
        """Count its open files."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def log(self) -> list[dict[str, Any]]:
        """Return the lines of its log."""
        return [json.loads(line) for line in (self.directory / "log").read_text().splitlines()]

    def quarantine(self) -> tuple[QuarantineEntry, ...]:
        """Return all that it quarantined."""
        store = SqlStore(f"sqlite:///{self.directory / 'var' / 'osteonode.db'}")
        try:
            return tuple(in_quarantine(store))
        finally:
            store.close()

    def check(self, study: str) -> None:
        """Assert that it lives and takes good input, that no name leaked, and no file left its spool."""
        assert self.process.poll() is None, self.log()[-5:]
        assert _send_once_let_in(self.port, study) == [0]
        text = (self.directory / "log").read_text()
        assert CANARY not in text.replace(f'"ae_title": "{CANARY}"', "")
        assert PATIENT not in text
        assert "Traceback" not in text
        faults = [line for line in self.log() if line["event"] in {"thread_failed", "instance_not_stored"}]
        assert not faults
        assert {path.name for path in self.directory.iterdir()} == {"var", "log"}
        for path in (self.directory / "var").rglob("*"):
            assert "escape" not in path.name
        for place in (Path("/tmp"), Path("/etc/cron.d"), REPOSITORY):  # noqa: S108 - where it must not write
            assert not list(place.glob("*osteonode-escape*"))


def _send_once_let_in(port: int, study: str) -> list[int]:
    """Send a sound image; the flood before it counts against its address until its connections have ended."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return send(port, slice_of(1, study=study))
        except ConnectionRefusedError:
            assert time.monotonic() < end, "a sound sender is not let in again"
            time.sleep(0.2)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with listening(tmp_path / "target") as running:
        yield running


@contextmanager
def listening(directory: Path) -> Iterator[Target]:
    directory.mkdir()
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(directory / "var")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=REPOSITORY,
        )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        line = process.stdout.readline()
        assert line.startswith(b"port"), (directory / "log").read_text()
        yield Target(directory, process, int(line.split()[1]))
    finally:
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
        process.kill()
        process.wait()
        process.stdout.close()


def associations(port: int) -> Iterator[tuple[UID, Wire]]:
    """Open one association for each transfer syntax, and take them in turn for ever."""
    wires = []
    for syntax in SYNTAXES:
        connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        wires.append((syntax, Wire(connection)))
        request_association(wires[-1][1], syntax)
    try:
        yield from cycle(wires)
    finally:
        for _, wire in wires:
            wire.connection.close()


def send_datasets(target: Target, seeds: range, study: str) -> list[int]:
    """Send hostile datasets by sound requests; every one is answered, and the association goes on."""
    answers = []
    for seed, (syntax, wire) in zip(seeds, associations(target.port), strict=False):
        content, instance = hostile_dataset(Random(seed), study, syntax)
        wire.send(pdu(P_DATA, fragment(1, store_request(instance), control=COMMAND | LAST)))
        for at in range(0, max(len(content), 1), 100_000):
            last = LAST if at + 100_000 >= len(content) else 0
            wire.send(pdu(P_DATA, fragment(1, content[at : at + 100_000], control=last)))
        answer = wire.status()
        assert answer is not None, f"case {seed} ended the association"
        answers.append(answer)
    return answers


def send_streams(target: Target, seeds: range, study: str) -> None:
    """Send hostile streams, each over a connection of its own, and wait for the end of every tenth."""
    for seed in seeds:
        with wire_to(target.port) as wire:
            try:
                wire.send(hostile_stream(Random(seed), study))
                wire.connection.shutdown(socket.SHUT_WR)
                while seed % 10 == 0 and wire.receive()[0]:
                    pass
            except TimeoutError:
                pytest.fail(f"case {seed} was neither answered nor ended")
            except OSError:
                continue  # cut off before it had sent all


def settle(target: Target, descriptors: int) -> None:
    """Wait until the connections of the past have ended."""
    end = time.monotonic() + PATIENCE_S
    while target.descriptors() > descriptors:
        assert time.monotonic() < end, f"{target.descriptors()} descriptors are open, {descriptors} before"
        time.sleep(0.1)


def fuzz_datasets(target: Target, first: int, count: int, study: str) -> None:
    send_datasets(target, range(first, first + 100), f"{study}.0")  # warm
    target.check(f"{study}.1")
    descriptors = target.descriptors() + 8
    memory_mb, aside, told = target.memory_mb(), len(target.quarantine()), len(target.log())
    answers = send_datasets(target, range(first, first + count), study)
    settle(target, descriptors)
    target.check(f"{study}.2")
    refused = [answer for answer in answers if answer]
    rejections = [line for line in target.log()[told:] if line["event"] == "instance_rejected"]
    assert set(answers) <= {0, 0xC000, 0xA900, 0xB111}
    assert len(rejections) == len(refused)
    assert all(line["reason"] for line in rejections)
    entries = target.quarantine()
    assert len(entries) - aside == len(refused)
    assert all((target.directory / "var" / "quarantine" / entry.name).exists() for entry in entries)
    assert not list((target.directory / "var" / "incoming").iterdir())
    assert count // 3 < len(refused) < count, "too few of the cases are bad, or all of them"
    assert target.memory_mb() - memory_mb < MOST_GROWTH_MB


def fuzz_streams(target: Target, first: int, count: int, study: str) -> None:
    send_streams(target, range(first, first + 100), f"{study}.0")  # warm
    target.check(f"{study}.1")
    descriptors, memory_mb = target.descriptors() + 8, target.memory_mb()
    send_streams(target, range(first, first + count), study)
    settle(target, descriptors)
    target.check(f"{study}.2")
    assert target.memory_mb() - memory_mb < MOST_GROWTH_MB


def test_a_share_of_hostile_datasets(target: Target, study: str) -> None:
    fuzz_datasets(target, 0, share_of(500), study)


def test_a_share_of_hostile_streams(target: Target, study: str) -> None:
    fuzz_streams(target, 0, share_of(300), study)


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(10_000, 16_000, 1_000))
def test_all_hostile_datasets(target: Target, study: str, first: int) -> None:
    fuzz_datasets(target, first, 1_000, study)


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(20_000, 24_500, 1_500))
def test_all_hostile_streams(target: Target, study: str, first: int) -> None:
    fuzz_streams(target, first, 1_500, study)
