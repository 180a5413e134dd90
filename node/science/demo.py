"""The demonstration: a simulated study is sent to a node, which reports to a small PACS, all on loopback."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydicom import dcmread
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import MRImageStorage

from node.app import Node
from node.config import (
    AssemblySettings,
    Configuration,
    Destination,
    NodeSettings,
    Source,
    StorageSettings,
    WebSettings,
)
from node.decode import files_below
from node.dicom.contexts import storage_contexts
from node.dicom.pynetdicom_internals import CallingEntity
from node.domain.study import FINISHED_STATES, StudyState
from node.errors import PermanentError
from node.science.sample import write_sample

__all__ = ["SEED", "Demonstration", "run_demo"]

_PACS = "DEMOPACS"
_LIMIT_S = 300.0
SEED = 1
"""Seed of the simulated patient: a woman of 68 with 56 mg/cm³, below both thresholds."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """Result of the demonstration.

    Attributes
    ----------
    summary : dict of str to str
        The answers of the report, by question.
    files : tuple of Path
        The files in the output folder.
    seconds : float
        From the last image sent to the last result received.
    """

    summary: dict[str, str]
    files: tuple[Path, ...]
    seconds: float


def run_demo(out: Path, *, report_progress: Callable[[str], None] = lambda _step: None) -> Demonstration:
    """Send a simulated study through a node and collect the results.

    Parameters
    ----------
    out : Path
        Folder for the results; created if missing. Files of the same names are overwritten.
    report_progress : callable
        Called with the name of each step when it begins.

    Raises
    ------
    PermanentError
        If the results did not come back complete.
    """
    with TemporaryDirectory(prefix="osteonode-demo-") as scratch, _pacs(Path(scratch) / "pacs") as port:
        report_progress("simulating a patient")
        write_sample(Path(scratch) / "sample", patients=1, seed=SEED)
        images = files_below([Path(scratch) / "sample" / "studies"])
        report_progress("starting the node")
        with Node(_configuration(Path(scratch) / "var", port)) as node:
            report_progress(f"sending {len(images)} images by C-STORE")
            _send(images, node.port)
            begin = time.monotonic()
            study_uid = str(dcmread(images[0], stop_before_pixels=True).StudyInstanceUID)
            summary = _wait(node, study_uid, report_progress)
            seconds = time.monotonic() - begin
            results = node.instance_store.results / node.store.results(study_uid)[-1].name
            files = _collect(Path(scratch) / "pacs", results.parent, out)
    return Demonstration(summary, files, seconds)


def _configuration(directory: Path, pacs_port: int) -> Configuration:
    return replace(
        Configuration(),
        node=NodeSettings(port=0),
        sources=(Source("*", ip_network("127.0.0.0/8")),),
        destinations=(Destination(name="demo", ae_title=_PACS, host="127.0.0.1", port=pacs_port),),
        storage=StorageSettings(directory=directory, watermark_mb=0),
        assembly=AssemblySettings(quiet_s=1.0),
        web=WebSettings(port=0),
    )


@contextmanager
def _pacs(folder: Path) -> Iterator[int]:
    """Run a storage SCP that writes each object to a file named by its SOP Instance UID; yield its port."""
    folder.mkdir()

    def keep(event: evt.Event) -> int:
        (folder / f"{event.request.AffectedSOPInstanceUID}.dcm").write_bytes(event.encoded_dataset())
        return 0x0000

    entity = AE(ae_title=_PACS)
    entity.supported_contexts = storage_contexts()
    handlers: list[Any] = [(evt.EVT_C_STORE, keep)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield int(server.socket.getsockname()[1])
    finally:
        server.shutdown()


def _send(images: Sequence[Path], port: int) -> None:
    entity = CallingEntity("DEMO")
    entity.dimse_timeout = _LIMIT_S  # the disk of a busy machine may stall for longer than the usual 30 s
    entity.requested_contexts = [build_context(MRImageStorage)]
    association = entity.associate("127.0.0.1", port, ae_title="OSTEONODE")
    if not association.is_established:
        raise PermanentError("the node did not accept an association")
    try:
        for image in images:
            status = association.send_c_store(image)
            if status.get("Status") != 0x0000:
                raise PermanentError(f"the node answered {status.get('Status')} to an image")
    finally:
        association.release()


def _wait(node: Node, study_uid: str, report_progress: Callable[[str], None]) -> dict[str, str]:
    told = {
        StudyState.RECEIVING: "waiting until the study falls quiet",
        StudyState.ANALYSING: "segmenting, measuring, predicting",
        StudyState.DELIVERING: "sending the results back by C-STORE",
    }
    shown = None
    give_up = time.monotonic() + _LIMIT_S
    while time.monotonic() < give_up:
        study = node.store.study(study_uid)
        if study is not None and study.state is StudyState.DELIVERED:
            return study.summary
        if study is not None and study.state in FINISHED_STATES:
            raise PermanentError(f"the study is {study.state}: {study.reason}")
        if study is not None and study.state is not shown and study.state in told:
            shown = study.state
            report_progress(told[shown])
        time.sleep(0.05)
    raise PermanentError(f"no result within {_LIMIT_S:.0f} s")


def _collect(received: Path, pages: Path, out: Path) -> tuple[Path, ...]:
    """Copy what the PACS received, under the file names that the node uses, and the node's report pages."""
    out.mkdir(parents=True, exist_ok=True)
    by_uid = {path.stem: path for path in received.glob("*.dcm")}
    collected = []
    for original in sorted(pages.iterdir()):
        source = original
        if original.suffix == ".dcm":
            uid = str(dcmread(original, stop_before_pixels=True).SOPInstanceUID)
            if uid not in by_uid:
                raise PermanentError(f"{original.name} did not come back")
            source = by_uid[uid]
        collected.append(Path(shutil.copyfile(source, out / original.name)))
    return tuple(collected)
