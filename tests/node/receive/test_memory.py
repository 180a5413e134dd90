"""Memory of the process that listens stays flat, whatever comes: everything streams to disk."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.uid import EnhancedMRImageStorage, ImplicitVRLittleEndian, MRImageStorage
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

from node.domain.records import Instance
from node.operate.database import open_store
from node.store.instance_store import DiskInstanceStore
from node.store.staging import read_certified
from tests.node.nodes import encode, quick, slice_of
from tests.patience import PATIENCE_S, application_entity

_MEGABYTE = 1024 * 1024
_FRAGMENT = 131072 - 6

LISTEN = """
import sys
from dataclasses import replace
from pathlib import Path
from node.config import AssemblySettings
from tests.node.nodes import quick, quick_node
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
def associated(port: int, sop_class: str) -> Iterator[Association]:
    ae = application_entity("SENDER")
    ae.add_requested_context(sop_class, ImplicitVRLittleEndian)
    # Nagle's algorithm stays on: the sender of pynetdicom 3.0.4 loses an answer now and then that comes right
    # after another, and the 40 ms between them are what keeps it from that.
    association = ae.associate("127.0.0.1", port, ae_title="OSTEONODE")
    assert association.is_established
    yield association
    association.release()


def stored(directory: Path, study: str) -> list[Instance]:
    store = open_store(quick(directory))
    instances = list(store.instances(study))
    store.close()
    return instances


def send_streamed(association: Association, header: bytes, sop_uid: str, length: int) -> int:
    """Send a dataset whose last value is zeros, without ever holding it; return the status."""
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = EnhancedMRImageStorage
    request.AffectedSOPInstanceUID = sop_uid
    request.Priority = 2
    request.DataSet = BytesIO(header)
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    context = association.accepted_contexts[0].context_id
    association._reactor_checkpoint.clear()
    parts = [
        values for part in message.encode_msg(context, 0) for values in part.presentation_data_value_list
    ]
    # All that pynetdicom made is sent as "more is to come"; the last fragment is ours.
    for number, value in parts:
        send_part(association, number, bytes([value[0] & ~2 if not value[0] & 1 else value[0]]) + value[1:])
    left = length
    while left:
        size = min(left, _FRAGMENT)
        left -= size
        send_part(association, context, (b"\x00" if left else b"\x02") + bytes(size))
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return int(answer.Status)


def send_part(association: Association, context: int, value: bytes) -> None:
    part = P_DATA()
    part.presentation_data_value_list = [[context, value]]
    while association.dul.to_provider_queue.qsize() > 4:  # or this process would hold it all
        threading.Event().wait(0.001)
    association.dul.send_pdu(part)


def test_a_multi_frame_object_of_500_mb_costs_no_memory(watched: Watched) -> None:
    dataset = slice_of(1, sop_class=EnhancedMRImageStorage)
    del dataset.PixelData
    length = 500 * _MEGABYTE
    pixel_data = b"\xe0\x7f\x10\x00" + length.to_bytes(4, "little")
    header = encode(dataset, ImplicitVRLittleEndian) + pixel_data
    with associated(watched.port, EnhancedMRImageStorage) as association:
        before = watched.resident_mb()
        assert send_streamed(association, header, dataset.SOPInstanceUID, length) == 0
    (instance,) = stored(watched.directory, dataset.StudyInstanceUID)
    assert instance.size == len(header) + length
    assert watched.peak_mb() - before < 40
    file = DiskInstanceStore(watched.directory).path(instance)
    assert read_certified(file) is not None


@pytest.mark.slow
def test_a_study_of_2000_instances_costs_no_memory(watched: Watched) -> None:
    with associated(watched.port, MRImageStorage) as association:
        for number in range(2000):
            dataset = slice_of(number)
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            if number == 200:  # whatever is imported or cached on the way is there by now
                before = watched.resident_mb()
            assert association.send_c_store(dataset).Status == 0
        after = watched.resident_mb()
    assert len(stored(watched.directory, "1.2.826.0.1.1")) == 2000
    assert after - before < 20
