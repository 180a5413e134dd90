"""What the tests of the node share: small objects, a receiving PACS, nodes whose waits are short."""

import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from node.analyse.worker_process import WorkerProcess
from node.app import Node
from node.clock import SystemClock
from node.config import AssemblySettings, Configuration, DeliverySettings, Destination, WebSettings, default
from node.domain.records import QuarantineEntry
from node.domain.study import StudyState
from node.ports import Clock, Figures
from tests.node.analyses import CLASSES
from tests.patience import PATIENCE_S, application_entity

STUDY = "1.2.826.0.1.1"
PATIENT = "PLANTED^NAME"


def slice_of(
    number: int,
    *,
    study: str = STUDY,
    series: str = "1",
    patient_id: str = "PLANTED-ID",
    sop_class: str = MRImageStorage,
) -> Dataset:
    """Make an image with just enough of a header to be received; each pixel is its number."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = f"{study}.{series}.{number}"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID = study
    dataset.SeriesInstanceUID = f"{study}.{series}"
    dataset.PatientName = PATIENT
    dataset.PatientID = patient_id
    dataset.StudyDescription = "PLANTED DESCRIPTION"
    dataset.Modality = "MR"
    dataset.InstanceNumber = number
    dataset.Rows = dataset.Columns = 8
    dataset.PixelData = bytes([number % 256]) * 128
    dataset["PixelData"].VR = "OW"
    return dataset


def encode(dataset: Dataset, syntax: str) -> bytes:
    """Encode a dataset as it is sent: without file meta information."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax == ImplicitVRLittleEndian
    buffer.is_little_endian = syntax != ExplicitVRBigEndian
    write_dataset(buffer, dataset)
    data = buffer.getvalue()
    if syntax == DeflatedExplicitVRLittleEndian:
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = compressor.compress(data) + compressor.flush()
    return data


@dataclass(slots=True)
class Pacs:
    """A receiving PACS on loopback that answers as a test wants.

    Attributes
    ----------
    status : callable
        From the number of the request (0 for the first) to the status it answers.
    classes : tuple of str
        SOP classes it accepts.
    abort_at : int
        Number of the request at which it aborts the association, without storing it.
    echo : bool or callable
        Whether, or with which status, it answers C-ECHO.
    finds : collection of str, optional
        SOP Instance UIDs that it finds; None if it takes no C-FIND.
    """

    status: Callable[[int], int] = lambda _number: 0
    classes: tuple[str, ...] = tuple(CLASSES.values())
    port: int = 0
    abort_at: int = -1
    echo: bool | Callable[[], int] = False
    finds: Collection[str] | None = None
    received: list[Dataset] = field(default_factory=list)
    associations: int = 0
    _requests: int = 0
    _server: Any = None
    _ae: Any = None

    @property
    def uids(self) -> list[str]:
        return [dataset.SOPInstanceUID for dataset in self.received]

    def start(self) -> None:
        self._ae = application_entity("PACS")
        self._ae.require_called_aet = True
        for sop_class in self.classes:
            self._ae.add_supported_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store), (evt.EVT_ACCEPTED, self._count)]
        if self.echo:
            self._ae.add_supported_context(Verification)
            handlers.append((evt.EVT_C_ECHO, lambda _event: self.echo() if callable(self.echo) else 0))
        if self.finds is not None:
            self._ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
            handlers.append((evt.EVT_C_FIND, self._find))
        self.extend(handlers)
        self._server = self._ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        self.port = self._server.server_address[1]

    def extend(self, handlers: list[Any]) -> None:
        """Add handlers for other services; a subclass overrides this."""

    def stop(self) -> None:
        self._ae.shutdown()

    def _count(self, _event: evt.Event) -> None:
        self.associations += 1

    def _store(self, event: evt.Event) -> int:
        status = self.status(self._requests)
        self._requests += 1
        if self._requests - 1 == self.abort_at:
            event.assoc.abort()
            return 0xC000
        if status == 0 or status >> 8 == 0xB0:
            dataset = event.dataset
            dataset.file_meta = event.file_meta
            self.received.append(dataset)
        return status

    def _find(self, _event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for uid in tuple(self.finds or ()):
            answer = Dataset()
            answer.QueryRetrieveLevel = "IMAGE"
            answer.SOPInstanceUID = uid
            yield 0xFF00, answer

    @property
    def destination(self) -> Destination:
        return Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=self.port)


@contextmanager
def running_pacs(**settings: Any) -> Iterator[Pacs]:
    pacs = Pacs(**settings)
    pacs.start()
    try:
        yield pacs
    finally:
        pacs.stop()


def quick(directory: Path, *destinations: Destination, **sections: Any) -> Configuration:
    """Make a configuration on loopback whose waits are short, and which cuts off no sender that is slow."""
    base = default()
    return replace(
        base,
        node=replace(base.node, port=0, idle_timeout_s=PATIENCE_S, greeting_timeout_s=PATIENCE_S),
        destinations=destinations,
        web=sections.pop("web", WebSettings(port=0)),
        storage=replace(base.storage, directory=directory, watermark_mb=0),
        assembly=sections.pop("assembly", AssemblySettings(quiet_s=0.2, max_wait_s=0.5, start_early=False)),
        delivery=sections.pop(
            "delivery", DeliverySettings(retry_first_s=0.1, retry_longest_s=0.4, timeout_s=PATIENCE_S)
        ),
        engine=replace(base.engine, **sections.pop("engine", {})),
        **sections,
    )


class InThread:
    """A worker without a process: quick to start, and enough for any analysis that ends by itself."""

    def __init__(self, function: str, _memory_limit_mb: int | None) -> None:
        module, _, name = function.partition(":")
        self._function = getattr(import_module(module), name)

    def start(self, *, warm: bool = False) -> None:
        """Do nothing: there is no process."""

    def call(self, *arguments: object, time_limit_s: float) -> Any:
        assert time_limit_s > 0
        return self._function(*arguments)

    def interrupt(self) -> None:
        """Do nothing: there is no process."""

    def stop(self) -> None:
        """Do nothing: there is no process."""


class MovedClock:
    """The system clock, moved forward by as much as a test says."""

    def __init__(self) -> None:
        self._ahead = timedelta()
        self._still: datetime | None = None

    def now(self) -> datetime:
        return (self._still or SystemClock().now()) + self._ahead

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Go on by nothing but `move`."""
        self._still = SystemClock().now()
        try:
            yield
        finally:
            self._still = None

    def move(self, **by: float) -> None:
        self._ahead += timedelta(**by)


def quick_node(
    configuration: Configuration,
    *,
    analyse: str = "report",
    examine: str = "examine_as_pair",
    explain: str = "node.analyse.refusal_report:write_refusal_report",
    ask_shadow: str = "node.analyse.model_answers:answer_in_shadow",
    processes: bool = False,
    clock: Clock | None = None,
    sweep_s: float = 0.1,
) -> Node:
    """Make a node whose sweeps run often, with one of `tests.node.analyses` for its science.

    Worker processes take seconds to start, so only a test of them asks for `processes`.
    """
    return Node(
        configuration,
        analyse_study=f"tests.node.analyses:{analyse}",
        examine_study=f"tests.node.analyses:{examine}",
        report_refusal=explain,
        answer_in_shadow=ask_shadow,
        make_worker=WorkerProcess if processes else InThread,
        sweep_s=sweep_s,
        clock=clock,
    )


def send(port: int, *datasets: Dataset, calling: str = "SENDER", called: str = "OSTEONODE") -> list[int]:
    """Send objects over one association and return the statuses; raise if the association is rejected."""
    association = open_association(port, *datasets, calling=calling, called=called)
    try:
        return [association.send_c_store(dataset).Status for dataset in datasets]
    finally:
        association.release()


def open_association(
    port: int, *datasets: Dataset, calling: str = "SENDER", called: str = "OSTEONODE"
) -> Association:
    """Open an association that can carry these objects."""
    ae = application_entity(calling)
    for sop_class in {dataset.SOPClassUID for dataset in datasets}:
        syntaxes = {d.file_meta.TransferSyntaxUID for d in datasets if d.SOPClassUID == sop_class}
        ae.add_requested_context(sop_class, sorted(syntaxes))
    association = ae.associate("127.0.0.1", port, ae_title=called)
    if not association.is_established:
        raise ConnectionRefusedError(f"rejected={association.is_rejected}")
    return association


def is_running(pid: int) -> bool:
    """Tell whether a process is running, a child or not; a zombie is not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def in_quarantine(store: Figures) -> Sequence[QuarantineEntry]:
    """Return all that was ever put into quarantine, the latest first."""
    return store.figures(0, 10**6, datetime.max.replace(tzinfo=UTC)).latest_quarantined


def state_of(node: Node, study: str = STUDY) -> StudyState | None:
    found = node.store.study(study)
    return None if found is None else found.state


__all__ = [name for name in dir() if not name.startswith("_")]
