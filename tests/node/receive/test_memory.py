"""Memory of the process that listens stays flat, whatever comes: everything streams to disk."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.uid import EnhancedMRImageStorage, ImplicitVRLittleEndian, MRImageStorage

from node.domain.records import Instance
from node.operate.database import open_store
from node.store.instance_store import DiskInstanceStore
from node.store.staging import read_certified
from tests.node.nodes import STUDY, encode, quick, slice_of
from tests.node.wire import (
    ASSOCIATE_AC,
    COMMAND,
    LAST,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    Wire,
    associate,
    fragment,
    pdu,
    store_pdu,
    store_request,
    wire_to,
)
from tests.patience import PATIENCE_S
from tests.thoroughness import share_of

pytestmark = pytest.mark.slow

_MEGABYTE = 1024 * 1024
_FRAGMENT = 131072 - 6

LISTEN = """
import sys
from dataclasses import replace
from pathlib import Path
from node.config import AssemblySettings
from tests.node.nodes import quick, quick_node
from tests.thoroughness import share_of
if __name__ == "__main__":
    # Nothing settles: what is watched is receiving.
    configuration = quick(Path(sys.argv[1]), assembly=AssemblySettings(quiet_s=3600))
    with quick_node(configuration) as node:
        print(node.port, flush=True)
        sys.stdin.read()
"""


class Watched:
    """A node in a process of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._process = subprocess.Popen(
            [sys.executable, "-c", LISTEN, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = next(int(line) for line in self._process.stdout if line.strip().isdigit())
        # Its log comes this way too; a full pipe would hold it up.
        self._reader = threading.Thread(target=self._process.stdout.read)
        self._reader.start()

    def resident_mb(self) -> float:
        """Memory that it holds now."""
        return self._status("VmRSS")

    def peak_mb(self) -> float:
        """Most memory that it ever held."""
        return self._status("VmHWM")

    def _status(self, which: str) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (kilobytes,) = re.findall(rf"^{which}:\s+(\d+) kB", status, flags=re.MULTILINE)
        return int(kilobytes) / 1024

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    running = Watched(tmp_path)
    yield running
    running.stop()


@contextmanager
def associated(port: int, sop_class: str) -> Iterator[Wire]:
    """Open an association for one class, without a sender that keeps what it sent."""
    with wire_to(port) as wire:
        wire.send(associate(sop_class=sop_class))
        assert wire.receive()[0] == ASSOCIATE_AC
        yield wire
        wire.send(pdu(RELEASE_RQ, bytes(4)))
        assert wire.receive()[0] == RELEASE_RP


def stored(directory: Path, study: str) -> list[Instance]:
    store = open_store(quick(directory))
    instances = list(store.instances(study))
    store.close()
    return instances


def send_streamed(wire: Wire, header: bytes, sop_uid: str, length: int) -> int | None:
    """Send a dataset whose last value is zeros, without ever holding it; return the status."""
    request = store_request(sop_uid.encode(), sop_class=EnhancedMRImageStorage)
    wire.send(pdu(P_DATA, fragment(1, request, control=COMMAND | LAST)))
    wire.send(pdu(P_DATA, fragment(1, header, control=0)))
    left = length
    while left:
        size = min(left, _FRAGMENT)
        left -= size
        wire.send(pdu(P_DATA, fragment(1, bytes(size), control=0 if left else LAST)))
    return wire.status()


def test_a_multi_frame_object_of_hundreds_of_mb_costs_no_memory(watched: Watched) -> None:
    dataset = slice_of(1, sop_class=EnhancedMRImageStorage)
    del dataset.PixelData
    length = share_of(500) * _MEGABYTE
    pixel_data = b"\xe0\x7f\x10\x00" + length.to_bytes(4, "little")
    header = encode(dataset, ImplicitVRLittleEndian) + pixel_data
    with associated(watched.port, EnhancedMRImageStorage) as wire:
        before = watched.resident_mb()
        assert send_streamed(wire, header, dataset.SOPInstanceUID, length) == 0
    (instance,) = stored(watched.directory, dataset.StudyInstanceUID)
    assert instance.size == len(header) + length
    assert watched.peak_mb() - before < 40
    file = DiskInstanceStore(watched.directory).path(instance)
    assert read_certified(file) is not None


def test_a_study_of_hundreds_of_instances_costs_no_memory(watched: Watched) -> None:
    count = share_of(2000)
    with associated(watched.port, MRImageStorage) as wire:
        for number in range(count):
            if number == 200:  # whatever is imported or cached on the way is there by now
                before = watched.resident_mb()
            wire.send(store_pdu(STUDY, number))
            assert wire.status() == 0
        after = watched.resident_mb()
    assert len(stored(watched.directory, STUDY)) == count
    assert after - before < 20
