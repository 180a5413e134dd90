"""No header of a study leaves a trace where no patient data may be; reading and analysis are real."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]
from pydicom.uid import ImplicitVRLittleEndian, MRImageStorage
from typer.testing import CliRunner

from analysis.domain.volume import Grid, Volume
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from node.app import Node
from node.cli import application
from node.config import AuditSettings, Destination, Source, WebSettings
from node.domain.study import FINISHED_STATES
from node.operate.doctor import CHECKS, model, run_checks
from node.show.why import explain
from tests.node.decode.test_decode import AXES, FACTS
from tests.node.nodes import encode, quick, running_pacs, send
from tests.node.show.test_web import ask
from tests.node.wire import COMMAND, LAST, P_DATA, fragment, pdu, request_association, store_request, wire_to
from tests.patience import wait_until
from tests.peers import free_port

CANARY = "CANARY7"
TEXTS = frozenset({"PN", "LO", "SH", "LT", "ST", "UC", "UT"})
NUMBERS = frozenset({"DS", "IS", "DA", "TM", "DT", "AS", "CS"})
UNTOUCHED = frozenset(
    {
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Modality", "SpecificCharacterSet",
        "PhotometricInterpretation", "NumberOfFrames", "ContrastBolusAgent",
    }
)  # fmt: skip
"""Elements in which a canary would merely end the study before its analysis."""


def images(study: str) -> tuple[Dataset, ...]:
    voxels = np.random.default_rng(1).integers(0, 1000, (12, 64, 64)).astype(np.float32)
    volume = Volume(voxels, Grid((12, 64, 64), (4.4, 4.0, 4.0), (24.0, -60.0, 120.0), AXES))
    identity = ImageIdentity(
        patient_id=CANARY, patient_name=CANARY, study_uid=study, series_uid=f"{study}.4",
        frame_of_reference_uid=f"{study}.5", study_date="20260101", study_time="080000",
    )  # fmt: skip
    return tuple(mr_images(volume, FACTS, identity))


def plant(dataset: Dataset, vrs: frozenset[str]) -> int:
    """Put the canary into every element of the DICOM dictionary with one of these VRs; return how many."""
    count = 0
    for tag, (vr, _multiplicity, _name, _retired, keyword) in DicomDictionary.items():
        # Sequences in front of the identity stay few, and a file has no group 2 of its own.
        if vr not in vrs or tag >> 16 in {0, 2, 4} or keyword in UNTOUCHED or not keyword:
            continue
        # As text, whatever its VR: no library would write a canary as a number.
        dataset.add_new(tag, "LO", CANARY)
        count += 1
    return count


def send_implicitly(port: int, dataset: Dataset) -> int | None:
    """Send a dataset whose numeric elements hold text, in implicit VR, so that the reader adds the VRs."""
    content = encode(dataset, ImplicitVRLittleEndian)
    with wire_to(port) as wire:
        request_association(wire)
        request = store_request(dataset.SOPInstanceUID.encode(), sop_class=MRImageStorage)
        wire.send(pdu(P_DATA, fragment(1, request, control=COMMAND | LAST)))
        for at in range(0, len(content), 100_000):
            last = LAST if at + 100_000 >= len(content) else 0
            wire.send(pdu(P_DATA, fragment(1, content[at : at + 100_000], control=last)))
        return wire.status()


@contextmanager
def real_node(directory: Path, *destinations: Destination, audit: AuditSettings) -> Iterator[Node]:
    quickly = quick(directory, *destinations, web=WebSettings(port=free_port()))
    configuration = replace(quickly, audit=audit, sources=(Source(),))
    with Node(configuration, sweep_s=0.1) as node:
        yield node


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_no_canary_is_in_any_log_answer_page_or_row(
    tmp_path: Path, written: StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    texts, numbers = "1.2.826.0.1.7.1", "1.2.826.0.1.7.2"
    audit = AuditSettings(file=tmp_path / "audit.xml")
    # A destination that turns everything away has reasons too.
    with (
        running_pacs(status=lambda _number: 0xC000) as pacs,
        real_node(tmp_path / "var", pacs.destination, audit=audit) as node,
    ):
        for dataset in images(texts):
            assert plant(dataset, TEXTS) > 500
            assert send(node.port, dataset) == [0]
        # What is quarantined is shown too: the same under other bytes, and one without a study.
        dataset.Rows = 9
        assert send(node.port, dataset) == [0xB111]
        del dataset.StudyInstanceUID
        assert send(node.port, dataset) == [0xC000]
        for dataset in images(numbers):
            assert plant(dataset, NUMBERS) > 500
            assert send_implicitly(node.port, dataset) == 0
        finished = {*FINISHED_STATES}
        wait_until(
            lambda: all(node.store.study(uid).state in finished for uid in (texts, numbers))  # type: ignore[union-attr]
        )
        pages = ("/", "/metrics", "/readyz", f"/studies/{texts}", f"/studies/{numbers}")
        port = node.configuration.web.port
        shown = {page: repr(ask(port, page)) for page in pages} | {
            "why": explain(node.store, texts) + explain(node.store, numbers),
            "rows": repr([(node.store.history(uid), node.store.deliveries(uid)) for uid in (texts, numbers)]),
            "doctor": repr(list(run_checks(node.configuration, [c for c in CHECKS if c is not model]))),
        }
    config = tmp_path / "config.toml"
    config.write_text(f'[storage]\ndirectory = "{tmp_path / "var"}"\n')
    for command in (["studies"], ["studies", "--json"], ["why", texts], ["why", numbers]):
        answer = CliRunner().invoke(application, [*command, "--config", str(config)])
        assert answer.exit_code == 0
        shown[" ".join(command)] = answer.output
    out, err = capfd.readouterr()
    shown |= {"log": written.getvalue(), "standard output": out, "standard error": err}
    assert "study_examined" in shown["log"]
    assert all(uid in shown["/"] and uid in shown[f"/studies/{uid}"] for uid in (texts, numbers))
    assert 'osteonode_deliveries{destination="pacs"' in shown["/metrics"]
    assert 'osteonode_instances_quarantined_total{reason="it has no Study' in shown["/metrics"]
    assert "Put aside last" in shown["/"]
    assert texts in shown["why"]
    assert "analysing" in shown["rows"], "no study came as far as the analysis"
    for where, text in shown.items():
        assert CANARY not in text, f"a canary is in {where}: {text[max(0, text.find(CANARY) - 200) :][:400]}"
    for database in (tmp_path / "var").glob("osteonode.db*"):
        assert CANARY.encode() not in database.read_bytes()
    # The audit trail holds the Patient ID, as the standard asks, and nothing else of the patient.
    trail = (tmp_path / "audit.xml").read_text()
    assert trail.count(CANARY) == trail.count(f'ParticipantObjectID="{CANARY}"') > 0
