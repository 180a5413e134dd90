"""An outbox with real result files, a courier that empties it, and a clock that the test moves."""

# ruff: noqa: D102 - small methods are named for what they do
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_templates.result_kinds import ResultKind
from node.app import carrier_to
from node.config import DeliverySettings, Destination
from node.deliver.commitment_reports import CommitmentReports
from node.deliver.courier import Courier
from node.dicom.association import Peer
from node.dicom.commitment import request_commitment
from node.domain.delivery import DeliveryState
from node.domain.records import Delivery, NewResult
from node.domain.study import StudyEvent, StudyState
from node.log import get_log
from node.store.sql import SqlStore
from tests.node.analyses import CLASSES
from tests.node.store.suite.studies import PATIENCE, arrival
from tests.patience import PATIENCE_S

MINUTE = timedelta(minutes=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
STUDY = "1.2.826.0.1.1"


class FrozenClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def go_on(self, **by: float) -> None:
        self.time += timedelta(**by)


@dataclass
class Post:
    """A store with the results of one study in its outbox, and the courier to its one destination."""

    store: SqlStore
    clock: FrozenClock
    courier: Courier
    commitments: CommitmentReports

    @property
    def state(self) -> StudyState:
        found = self.store.study(STUDY)
        assert found is not None
        return found.state

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        return self.store.deliveries(STUDY)

    @property
    def states(self) -> list[DeliveryState]:
        return [delivery.state for delivery in self.deliveries]

    def sweep_for(self, step: timedelta, steps: int) -> None:
        """Let time pass, and sweep after each step."""
        for _ in range(steps):
            self.courier.sweep()
            self.clock.go_on(seconds=step.total_seconds())


@contextmanager
def outbox(
    folder: Path,
    destination: Destination,
    settings: DeliverySettings | None = None,
    classes: Mapping[ResultKind, str] = CLASSES,
) -> Iterator[Post]:
    folder.mkdir(parents=True, exist_ok=True)
    settings = settings or DeliverySettings(timeout_s=PATIENCE_S)
    clock = FrozenClock()
    store = SqlStore(f"sqlite:///{folder / 'store.db'}")
    put_results(store, folder, destination.name, classes)
    peer = Peer(destination.ae_title, destination.host, destination.port, "OSTEONODE", settings.timeout_s)
    commitments = CommitmentReports(store, clock, settings, "me", get_log())
    courier = Courier(
        destination,
        carrier_to(destination, peer, folder, settings.timeout_s),
        lambda uid, results: request_commitment(peer, uid, results, commitments.take),
        outbox=store,
        clock=clock,
        settings=settings,
        owner="me",
        stopping=Event(),
        log=get_log(),
    )
    try:
        yield Post(store, clock, courier, commitments)
    finally:
        store.close()


def put_results(store: SqlStore, folder: Path, destination: str, classes: Mapping[ResultKind, str]) -> None:
    """Record a study whose results wait to be sent."""
    store.record_arrivals([arrival(STUDY, 1)], START, PATIENCE)
    study = store.study(STUDY)
    assert study is not None
    for event in (StudyEvent.FELL_QUIET, StudyEvent.FOUND_READY):
        study = store.advance(study, event, START, deadline=START)
        assert study is not None
    lease = store.lease_study("me", START, START + timedelta(hours=1))
    assert lease is not None
    results = [
        NewResult(
            kind, write_result(folder, kind, sop_class), sop_class, f"{kind}.dcm", (destination,), "1.2.9"
        )
        for kind, sop_class in classes.items()
    ]
    store.record_results(lease, results, {}, START)


def write_result(folder: Path, kind: ResultKind, sop_class: str) -> str:
    """Write a small object, and return its UID."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = f"1.2.9.{list(ResultKind).index(kind) + 1}"
    dataset.StudyInstanceUID = STUDY
    dataset.SeriesInstanceUID = "1.2.9"
    dataset.PatientID = "17"
    dataset.PatientName = "PLANTED^NAME"
    dataset.Modality = "OT"
    dataset.save_as(folder / f"{kind}.dcm", enforce_file_format=True)
    return str(dataset.SOPInstanceUID)
