"""A PACS and senders that go on whatever the node does, each with its own way of being difficult."""

# ruff: noqa: D102 - senders send
import os
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import evt

from node.domain.study import StudyState
from node.ports import Store
from tests.node.analyses import (
    BREAKS,
    HALF,
    NOT_OURS,
    REFUSES,
    SLOW,
    STOPS,
    UNREADABLE,
    UNWANTED,
)
from tests.node.nodes import Pacs, encode, slice_of
from tests.node.wire import (
    ABORT,
    COMMAND,
    LAST,
    P_DATA,
    RELEASE_RQ,
    fragment,
    pdu,
    request_association,
    store_request,
    wire_to,
)
from tests.patience import PATIENCE_S
from tests.peers import program

_SLICES = 2
_LATE = 10
"""Numbers of slices that come late begin here."""
_MOST_LATE = 2

PLAIN, NAMELESS, REJECTED, HANGS_UP, TAKEN_SLOWLY = "1", "681", "682", "683", "684"
KINDS = (
    PLAIN, REFUSES, NOT_OURS, PLAIN, HALF, STOPS, TAKEN_SLOWLY, NAMELESS, BREAKS, PLAIN, REJECTED,
    UNREADABLE, SLOW, UNWANTED, HANGS_UP,
)  # fmt: skip
"""How studies of the senders end, by the last number of their UID."""
ENDS = dict.fromkeys(KINDS, StudyState.DELIVERED) | {
    REFUSES: StudyState.REFUSED,
    UNREADABLE: StudyState.REFUSED,
    NOT_OURS: StudyState.NOT_FOR_US,
    STOPS: StudyState.FAILED,
    NAMELESS: StudyState.FAILED,
    REJECTED: StudyState.FAILED,
}
ENDED = frozenset(ENDS.values())


def kind_of(study: str) -> str:
    return study.rpartition(".")[2]


def images_of(study: str, numbers: Sequence[int]) -> list[Dataset]:
    patient_id = "" if kind_of(study) == NAMELESS else "PLANTED-ID"
    return [slice_of(number, study=study, patient_id=patient_id) for number in numbers]


@dataclass
class ChoosyPacs(Pacs):
    """Rejects, dawdles, and hangs up once for each study of these kinds."""

    _hung_up: set[str] = field(default_factory=set)

    def _store(self, event: evt.Event) -> int:
        study = str(event.dataset.StudyInstanceUID)
        match kind_of(study):
            case kind if kind == REJECTED:
                return 0xA900
            case kind if kind == TAKEN_SLOWLY:
                time.sleep(0.4)
            case kind if kind == HANGS_UP and study not in self._hung_up:
                self._hung_up.add(study)
                event.assoc.abort()
                return 0xC000
        return super()._store(event)


@dataclass
class Sender:
    """Sends one study after the other, each until all of it is acknowledged, as a PACS does."""

    port: int
    name: str
    acknowledged: set[str] = field(default_factory=set)
    studies: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        for number, kind in enumerate(cycle(KINDS)):
            if self.stopping.wait(0.3):
                return
            study = f"1.2.826.0.{self.name}.{number}.{kind}"
            self.studies.append(study)
            self.send_at_last(images_of(study, range(_SLICES)))

    def send_at_last(self, slices: list[Dataset]) -> None:
        while not self.send(slices):
            time.sleep(0.1)

    def send(self, slices: list[Dataset], *, abort: bool = False) -> bool:
        """Send all slices over one association; tell whether all were acknowledged."""
        # Not by pynetdicom, which may wait for an answer until its timeout although the node has died.
        with suppress(OSError, AssertionError), wire_to(self.port) as wire:
            request_association(wire, ExplicitVRLittleEndian)
            for dataset in slices:
                wire.send(store_of(dataset))
                if wire.status() != 0:
                    break
                self.acknowledged.add(dataset.SOPInstanceUID)
            wire.send(pdu(ABORT if abort else RELEASE_RQ, bytes(4)))
            if not abort:
                wire.receive()
        return {dataset.SOPInstanceUID for dataset in slices} <= self.acknowledged


def store_of(dataset: Dataset) -> bytes:
    """Return the PDU that stores a small image, in the context 1."""
    request = store_request(str(dataset.SOPInstanceUID).encode())
    content = fragment(1, encode(dataset, ExplicitVRLittleEndian))
    return pdu(P_DATA, fragment(1, request, control=COMMAND | LAST) + content)


@dataclass
class DcmtkSender(Sender):
    """The same by DCMTK's storescu."""

    folder: Path = Path()

    def send(self, slices: list[Dataset], *, abort: bool = False) -> bool:
        assert not abort
        files = {str(self.folder / f"{index}.dcm"): dataset for index, dataset in enumerate(slices)}
        for file, dataset in files.items():
            dataset.save_as(file, enforce_file_format=True)
        words = [str(program("storescu", "dcmtk")), "-v", "-aec", "OSTEONODE", "127.0.0.1", str(self.port)]
        done = subprocess.run(
            [*words, *files], check=False, capture_output=True, text=True, timeout=PATIENCE_S,
            env=os.environ | {"TCP_NODELAY": "1"},
        )  # fmt: skip
        file = ""
        for line in (done.stdout + done.stderr).splitlines():
            if "Sending file: " in line:
                file = line.partition("Sending file: ")[2].strip()
            elif "Received Store Response (Success)" in line:
                self.acknowledged.add(files[file].SOPInstanceUID)
        return done.returncode == 0


@dataclass
class LateSender(Sender):
    """Sends another slice of a study of somebody else in the worst moment, each state in its turn."""

    store: Store = field(kw_only=True)

    def run(self) -> None:
        sent: defaultdict[str, int] = defaultdict(int)
        for state in cycle(state for state in StudyState if state is not StudyState.REPORTED):
            study = self._find(state, sent)
            if study is None:
                return
            number = _LATE + sent[study]
            sent[study] += 1
            self.send_at_last(images_of(study, [number]))

    def _find(self, state: StudyState, sent: dict[str, int]) -> str | None:
        """Wait a little for a study in this state, then take any; None in the end."""
        patience = time.monotonic() + 2.0
        while not self.stopping.wait(0.03):
            for study in self.store.studies(limit=60):
                wanted = study.state is state or time.monotonic() > patience
                if wanted and sent.get(study.study_uid, 0) < _MOST_LATE:
                    return study.study_uid
        return None


@dataclass
class InterruptedSender(Sender):
    """Breaks off each study, and sends it again once the node has made up its mind.

    It breaks off in the middle, or after the last slice, as when only the release is lost: what is sent again
    then brings nothing new but its orderly end.
    """

    store: Store = field(kw_only=True)

    def run(self) -> None:
        moments = [
            (state, count)
            for count in (_SLICES, 1)
            for state in (StudyState.WAITING_FOR_PAIR, StudyState.REFUSED)
        ]
        for number, (state, count) in enumerate(cycle(moments)):
            if self.stopping.wait(0.3):
                return
            study = f"1.2.826.0.{self.name}.{number}.{PLAIN}"
            slices = images_of(study, range(_SLICES))
            while not self.send(slices[:count], abort=True):
                time.sleep(0.1)
            self.studies.append(study)
            while not self.stopping.wait(0.03):
                found = self.store.study(study)
                if found is not None and found.state in {state, *ENDED}:
                    break
            self.send_at_last(slices)


@contextmanager
def sending(senders: list[Sender]) -> Iterator[None]:
    threads = [threading.Thread(target=sender.run) for sender in senders]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for sender in senders:
            sender.stopping.set()
        for thread in threads:
            thread.join()
