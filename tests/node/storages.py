"""What a stopped node leaves: a database, images and results, for the commands that work on them."""

# ruff: noqa: D102 - small methods are named for what they do
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from pydicom import Dataset
from typer.testing import CliRunner, Result

from analysis.domain.examination import Examination
from dicom_templates.result_kinds import ResultKind
from node.cli import application
from node.domain.completeness import Patience
from node.domain.delivery import DeliveryState
from node.domain.records import Arrival, Instance, NewResult
from node.domain.study import StudyEvent
from node.store.instance_store import DiskInstanceStore
from node.store.sql import SqlStore
from tests.node.analyses import CLASSES
from tests.node.nodes import slice_of

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
_LEASE = timedelta(minutes=5)


@dataclass
class Storage:
    """A storage folder with its configuration file; the store is open beside the commands."""

    folder: Path
    destinations: Sequence[str] = ("pacs", "archive")
    config: Path = field(init=False)

    def __post_init__(self) -> None:
        self.files = DiskInstanceStore(self.folder / "var")
        self.store = SqlStore(f"sqlite:///{self.folder / 'var' / 'osteonode.db'}")
        self.config = self.folder / "config.toml"
        self.configure(*self.destinations)

    def configure(self, *destinations: str) -> None:
        named = (
            f'[[destinations]]\nname = "{name}"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = 104\n'
            for name in destinations
        )
        self.config.write_text(f'[storage]\ndirectory = "{self.folder / "var"}"\n' + "".join(named))

    def take(
        self, study: str, *, at: datetime = START, number: int = 1, **header: str | list[str]
    ) -> Dataset:
        """Store an image with these values in its header."""
        image = slice_of(number, study=study)
        for name, value in header.items():
            setattr(image, name, value)
        instance = Instance(
            image.SOPInstanceUID, image.SeriesInstanceUID, study, image.SOPClassUID,
            image.file_meta.TransferSyntaxUID, sha256(image.PixelData).hexdigest(), 1,
            sha256(str(image.PatientID).encode()).hexdigest(),
        )  # fmt: skip
        path = self.files.path(instance)
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save_as(path, enforce_file_format=True)
        patience = Patience(quiet=timedelta(seconds=5), wait=timedelta(minutes=10))
        self.store.record_arrivals([Arrival(instance, "MR", "127.0.0.1")], at, patience)
        return image

    def move(self, study: str, *events: StudyEvent, reason: str = "", at: datetime = START) -> None:
        for event in events:
            found = self.store.study(study)
            assert found is not None
            assert self.store.advance(found, event, at, reason=reason, deadline=None) is not None

    def report(
        self, study: str, *destinations: str, at: datetime = START, scores: Examination | None = None
    ) -> list[NewResult]:
        """Record results, with their files, that wait to be sent, and scores to compare with."""
        found = self.store.study(study)
        assert found is not None
        for event in (StudyEvent.FELL_QUIET, StudyEvent.FOUND_READY):
            found = self.store.advance(found, event, at, deadline=at)
            assert found is not None
        lease = self.store.lease_study("w", at, at + _LEASE)
        assert lease is not None
        results = [self._result(study, kind, destinations) for kind in CLASSES]
        self.store.record_results(lease, results, {}, at, key="key", examination=scores)
        return results

    def _result(self, study: str, kind: ResultKind, destinations: tuple[str, ...]) -> NewResult:
        name = f"{study}/{kind}.dcm"
        path = self.files.results / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"a result")
        return NewResult(kind, f"2.25.{study.replace('.', '')}{len(kind)}", CLASSES[kind], name, destinations)

    def end(self, study: str, state: DeliveryState, reason: str = "", *, at: datetime = START) -> None:
        """Let every delivery that waits end so, and the study with them."""
        for destination in {one.destination for one in self.store.deliveries(study)}:
            batch = self.store.lease_deliveries(destination, "c", at, at + _LEASE)
            for one in () if batch is None else batch.deliveries:
                assert batch is not None
                self.store.record_delivery(batch, one, state, status=0, reason=reason, now=at)
        self.store.finish_deliveries(study, at)

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(application, [*words, "--config", str(self.config)])
