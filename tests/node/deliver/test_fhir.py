"""Results reach a FHIR server as one report of a study, whatever is sent to it how often."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from fhirclient.models.bundle import Bundle

from dicom_templates import result_set
from dicom_templates.pictures import html_report, overlay
from dicom_templates.result_kinds import ResultKind
from node.analyse import study
from node.clock import SystemClock
from node.config import AuditSettings, Configuration, Destination, ReportSettings, parse
from node.deliver.carriers.fhir import FhirCarrier
from node.domain.delivery import DeliveryResponse, DeliveryState, Disposition
from node.domain.records import Result
from node.domain.study import StudyState
from node.errors import BusyError, ConfigurationError, TransientError
from node.operate.doctor import Severity, destinations
from node.operate.retry import restart_study
from tests.node.analyses import REFUSES
from tests.node.by_hand import images_by_hand, science
from tests.node.nodes import quick, quick_node, send, slice_of, state_of
from tests.node.storages import START
from tests.patience import PATIENCE_S, wait_until

STUDY = "1.2.826.0.1.1"
OUTCOME = {"resourceType": "OperationOutcome"}


@dataclass
class FhirServer:
    """A FHIR server on loopback: it takes valid transactions, and keeps one resource for each condition.

    Attributes
    ----------
    status : callable
        From the number of the transaction (0 for the first) to the HTTP status that it answers.
    """

    status: Callable[[int], int] = lambda _number: 200
    told: Any = field(default_factory=lambda: {"resourceType": "Bundle", "type": "transaction-response"})
    kept: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    transactions: list[bytes] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def reports(self) -> list[dict[str, Any]]:
        """The reports that it keeps."""
        return [one for one in self.kept.values() if one["resourceType"] == "DiagnosticReport"]

    def take(self, body: bytes) -> int:
        """Take a transaction, and return the HTTP status of the answer."""
        status = self.status(len(self.transactions))
        self.transactions.append(body)
        if status != 200:
            return status
        bundle = json.loads(body)
        try:
            Bundle(bundle)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it
            self.invalid.append(str(error))
            return 422
        self.kept |= {one["request"]["url"]: one["resource"] for one in bundle["entry"]}
        return 200

    @property
    def destination(self) -> Destination:
        """The destination that sends to it."""
        return Destination(
            name="fhir", fhir_url=self.url, results=(ResultKind.FHIR,), authorization="Bearer t"
        )


@contextmanager
def running_fhir(**settings: Any) -> Iterator[FhirServer]:
    fhir = FhirServer(**settings)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fits = self.headers["Content-Type"] == "application/fhir+json" and self.path == "/r4"
            allowed = self.headers["Authorization"] == "Bearer t"
            status = (fhir.take(body) if fits else 415) if allowed else 401
            self._answer(status, fhir.told)

        def do_GET(self) -> None:
            told = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}
            self._answer(200 if self.path == "/r4/metadata" else 404, told)

        def _answer(self, status: int, told: Any) -> None:
            content = told if isinstance(told, bytes) else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for name, value in fhir.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fhir.url = f"http://127.0.0.1:{server.server_port}/r4"
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield fhir
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "analyse_series", science)
    # These take most of the time, and are of no interest here.
    monkeypatch.setattr(html_report, "page_html", lambda *_: "")
    monkeypatch.setattr(overlay, "draw_overlay", lambda *_, **__: np.zeros((1, 1, 3), np.uint8))
    monkeypatch.setattr(result_set, "draw_summary", lambda *_: np.zeros((8, 8, 3), np.uint8))


@pytest.mark.usefixtures("by_hand")
def test_a_server_has_one_report_of_a_study_however_often_it_is_analysed_and_tried(tmp_path: Path) -> None:
    with running_fhir(status=lambda number: 503 if number < 2 else 200) as fhir:
        english = replace(quick(tmp_path, fhir.destination), audit=AuditSettings(file=tmp_path / "audit.xml"))
        german = replace(english, report=ReportSettings(language="de"))
        told = []
        for configuration in (english, english, german, english):
            with quick_node(configuration, analyse="by_templates") as node:
                if node.store.study(STUDY) is None:
                    send(node.port, *images_by_hand(STUDY, "20260105"))
                else:
                    restart_study(node.store, STUDY, SystemClock().now())
                wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            (report,) = fhir.reports
            told.append((report["language"], report["status"], len(fhir.transactions)))
        first = [json.loads(body)["entry"] for body in fhir.transactions]
        assert told == [
            ("en", "preliminary", 3),  # the first two tries failed
            ("en", "preliminary", 3),  # the same is not sent again
            ("de", "amended", 4),
            ("en", "amended", 5),  # it came back after another, which it replaces
        ]  # fmt: skip
    assert len({tuple(one["request"]["url"] for one in entries) for entries in first}) == 1
    assert not fhir.invalid
    assert report["subject"]["identifier"]["value"] in (tmp_path / "audit.xml").read_text()


def test_a_refusal_is_told_with_its_reasons_as_codes(tmp_path: Path) -> None:
    refused = f"1.2.826.0.7.{REFUSES}"
    with running_fhir() as fhir:
        configuration = replace(quick(tmp_path, fhir.destination), report=ReportSettings(refusals=True))
        with quick_node(configuration, analyse="by_study") as node:
            send(node.port, *(slice_of(number, study=refused) for number in range(3)))
            wait_until(lambda: fhir.reports)
            wait_until(lambda: [one.state for one in node.store.deliveries(refused)] == [DeliveryState.SENT])
        (report,) = fhir.reports
    assert (report["status"], fhir.invalid) == ("cancelled", [])
    assert "only two usable vertebrae" in report["conclusion"]
    assert report["conclusionCode"][0]["text"] == "only two usable vertebrae"


@pytest.mark.usefixtures("by_hand")
def test_the_file_is_written_beside_the_objects_where_a_site_wants_it(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number, image in enumerate(images_by_hand(STUDY, "20260105")):
        image.save_as(images / f"{number}.dcm", enforce_file_format=True)
    base = quick(tmp_path)
    paths = sorted(images.iterdir())
    study.analyse_files(paths, base, tmp_path / "without")
    assert not (tmp_path / "without" / "fhir.json").exists()
    wanted: Configuration = replace(base, report=ReportSettings(fhir=True))
    outcome = study.analyse_files(paths, wanted, tmp_path / "with")
    Bundle(json.loads((tmp_path / "with" / "fhir.json").read_text()))
    assert outcome.results[-1].kind is ResultKind.FHIR
    assert outcome.key == study.analyse_files(paths, base, tmp_path / "again").key


def test_the_doctor_asks_the_server_what_it_is(tmp_path: Path) -> None:
    with running_fhir() as fhir:
        (well,) = destinations(quick(tmp_path, fhir.destination))
        other = replace(fhir.destination, fhir_url=fhir.url.removesuffix("/r4"))
        (ill,) = destinations(quick(tmp_path, other))
    assert (well.severity, well.message) == (Severity.GOOD, "answers, and is a server of FHIR 4.0.1")
    assert (ill.severity, ill.message) == (Severity.FAULT, "it answered HTTP 404: nothing is at this address")


@pytest.mark.parametrize(
    "more",
    [
        'fhir_url = "https://fhir.example/r4"\nresults = ["sr"]\n',
        'fhir_url = "https://fhir.example/r4"\nresults = ["sr", "fhir"]\n',
        'fhir_url = "https://fhir.example/r4"\nstow_url = "https://pacs.example/"\n',
        'fhir_url = "https://fhir.example/r4"\nverify = true\n',
        'ae_title = "A"\nhost = "h"\nport = 1\nresults = ["fhir"]\n',
    ],
)
def test_a_destination_is_either_for_fhir_or_for_dicom(more: str) -> None:
    start = '[[destinations]]\nname = "a"\n'
    (usual,) = parse(f'{start}fhir_url = "https://fhir.example/r4/"\n').destinations
    assert (usual.results, usual.fhir_url) == ((ResultKind.FHIR,), "https://fhir.example/r4")
    with pytest.raises(ConfigurationError, match="fhir_url"):
        parse(start + more)


@pytest.mark.parametrize(
    ("status", "told", "reason"),
    [
        (412, {}, "it answered HTTP 412 (several of its resources have the same identifier)"),
        (
            422,
            OUTCOME | {"issue": [{"code": "value", "diagnostics": "PLANTED"}]},
            "it answered HTTP 422 (value)",
        ),
        (
            422,
            {"resourceType": "OperationOutcome", "issue": [{"code": "PLANTED"}, 5]},
            "it answered HTTP 422",
        ),
        (400, b"<html>PLANTED</html>", "it answered HTTP 400"),
    ],
)
def test_what_a_server_has_against_a_transaction_is_told_in_codes(
    tmp_path: Path, status: int, told: Any, reason: str
) -> None:
    with running_fhir(status=lambda _: status, told=told) as fhir:
        answer = sent(fhir, tmp_path)
    assert (answer.disposition, answer.reason) == (Disposition.RETRY_A_FEW_TIMES, reason)


@pytest.mark.parametrize("told", [b"<html>Please log in</html>", b"endless" * 99, b"", {}, [], OUTCOME])
def test_a_page_that_answers_in_place_of_the_server_has_stored_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Any
) -> None:
    monkeypatch.setattr("node.deliver.carriers.fhir._LONGEST", 60)
    with running_fhir(told=told) as fhir, pytest.raises(TransientError, match="not as a FHIR server"):
        sent(fhir, tmp_path)


def test_a_server_that_keeps_the_transaction_as_a_document_has_stored_nothing(tmp_path: Path) -> None:
    kept = {"resourceType": "Bundle", "type": "transaction", "entry": []}
    with (
        running_fhir(told=kept) as fhir,
        pytest.raises(TransientError, match="check that fhir_url is the base"),
    ):
        sent(fhir, tmp_path)


@pytest.mark.parametrize(
    ("statuses", "reason"),
    [
        (["200 OK", "201", "204 No Content", "304"], ""),
        (["200 OK", "422 PLANTED"], "it did not store all of it (HTTP 422)"),
        (["PLANTED"], "it did not store all of it"),
        ([None, 5], ""),
    ],
)
def test_a_part_that_a_server_did_not_store_is_told(
    tmp_path: Path, statuses: list[str | int | None], reason: str
) -> None:
    entries = [{"response": {"status": status}} for status in statuses]
    told = {"resourceType": "Bundle", "type": "transaction-response", "entry": [*entries, 5, {}]}
    with running_fhir(told=told) as fhir:
        answer = sent(fhir, tmp_path)
    refused = Disposition.RETRY_A_FEW_TIMES if reason else Disposition.ACCEPTED
    assert (answer.disposition, answer.reason) == (refused, reason)


def test_a_server_that_is_busy_is_left_alone_as_long_as_it_asks(tmp_path: Path) -> None:
    busy = running_fhir(status=lambda _: 503, headers={"Retry-After": "77"})
    with busy as fhir, pytest.raises(BusyError) as caught:
        sent(fhir, tmp_path)
    assert caught.value.wait_s == 77


def sent(fhir: FhirServer, folder: Path) -> DeliveryResponse:
    """Send an empty transaction, and return what the carrier makes of the answer."""
    (folder / "fhir.json").write_text('{"resourceType": "Bundle", "type": "transaction", "entry": []}')
    result = Result(STUDY, 1, ResultKind.FHIR, "1.2.3", "", "fhir.json", START)
    carrier = FhirCarrier(fhir.destination, folder, PATIENCE_S)
    with carrier.open([result]) as send_one:
        return send_one(result)
