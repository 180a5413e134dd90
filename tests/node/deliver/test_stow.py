"""Delivery by STOW-RS, to the DICOMweb plugin of Orthanc and to servers that misbehave."""

import base64
import itertools
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import SSLContext
from types import SimpleNamespace

import pytest

from node.config import DeliverySettings, Destination, default, parse
from node.deliver.carriers import stow
from node.dicom import web
from node.domain.delivery import DeliveryState
from node.domain.study import StudyState
from node.errors import ConfigurationError
from node.operate.doctor import Severity, destinations
from node.show.why import explain
from tests.node.analyses import CLASSES
from tests.node.hostile import UNRESOLVABLE
from tests.node.outboxes import MINUTE, STUDY, outbox
from tests.patience import LOOK_S, PATIENCE_S
from tests.peers import Orthanc, free_port

DICOMWEB = {
    "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
    "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
}
CREDENTIALS = base64.b64encode(b"node:secret").decode()


def by_web(port: int, *, verify: bool = True, authorization: str = "") -> Destination:
    return Destination(
        name="web", stow_url=f"http://127.0.0.1:{port}/dicom-web", verify=verify, authorization=authorization
    )


@contextmanager
def web_server(
    code: int,
    body: bytes | Iterable[bytes],
    kind: str = "application/dicom+json",
    tls: SSLContext | None = None,
) -> Iterator[int]:
    """Run a server that gives the same response to every request; yield its port.

    The body is sent in parts, and without its length, if it is not of bytes.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(code)
            self.send_header("Content-Type", kind)
            if isinstance(body, bytes) and code != HTTPStatus.NO_CONTENT:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):
                for part in (body,) if isinstance(body, bytes) else body:
                    self.wfile.write(part)

        do_GET = do_POST  # noqa: N815 - `http.server` uses this name

        def log_message(self, *_: object) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(LOOK_S,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


FAILED, OTHERS, REFERENCED = "00081198", "0008119A", "00081199"
"""Sequences of a response: of this object, of what has no name, of what was stored."""
NESTED = b"[" * 100_000
FAILURE, WARNING = "00081197", "00081196"


def failing(reason: int, sequence: str = FAILED) -> bytes:
    return told(sequence, {FAILURE: {"vr": "US", "Value": [reason]}})


def stored(warning: int = 0) -> bytes:
    return told(REFERENCED, {WARNING: {"vr": "US", "Value": [warning]}} if warning else {})


def told(sequence: str, item: dict[str, object]) -> bytes:
    named = item | {"00081155": {"vr": "UI", "Value": ["1.2.9.1"]}}
    return json.dumps({sequence: {"vr": "SQ", "Value": [named]}}).encode()


@pytest.mark.peers
def test_orthanc_has_the_results_and_says_so_when_it_is_asked(tmp_path: Path) -> None:
    with (
        Orthanc(tmp_path / "orthanc", DICOMWEB) as orthanc,
        outbox(tmp_path / "node", by_web(orthanc.http_port)) as post,
    ):
        post.courier.sweep()
        assert post.state is StudyState.DELIVERED, {delivery.reason for delivery in post.deliveries}
        stored = {
            orthanc.get(f"/instances/{name}/simplified-tags")["SOPInstanceUID"]
            for name in orthanc.get("/instances")
        }
        assert stored == {delivery.result.sop_uid for delivery in post.deliveries}
        assert set(post.states) == {DeliveryState.SENT}


@pytest.mark.peers
def test_an_archive_that_wants_a_password_gets_it(tmp_path: Path) -> None:
    closed = DICOMWEB | {"AuthenticationEnabled": True, "RegisteredUsers": {"node": "secret"}}
    with Orthanc(tmp_path / "orthanc", closed, credentials=CREDENTIALS) as orthanc:
        with outbox(tmp_path / "without", by_web(orthanc.http_port)) as post:
            post.courier.sweep()
            assert {delivery.reason for delivery in post.deliveries} == {
                "it answered HTTP 401: it does not accept the authorization of this node"
            }
            assert set(post.states) == {DeliveryState.WAITING}, "whoever mends the password loses nothing"
        authorized = by_web(orthanc.http_port, authorization=f"Basic {CREDENTIALS}")
        assert CREDENTIALS not in repr(authorized)
        with outbox(tmp_path / "with", authorized) as post:
            post.courier.sweep()
            assert post.state is StudyState.DELIVERED


@pytest.mark.peers
def test_doctor_sees_whether_a_web_destination_answers(tmp_path: Path) -> None:
    with Orthanc(tmp_path / "orthanc", DICOMWEB) as orthanc:
        there = replace(default(), destinations=(by_web(orthanc.http_port),))
        (good,) = destinations(there)
        assert good.severity is Severity.GOOD
        wrong = replace(by_web(orthanc.http_port), stow_url=f"http://127.0.0.1:{orthanc.http_port}/web")
        (fault,) = destinations(replace(there, destinations=(wrong,)))
        assert fault.severity is Severity.FAULT
        assert "HTTP 404" in fault.message


def test_an_archive_that_is_down_gets_it_later(tmp_path: Path) -> None:
    with outbox(tmp_path, by_web(free_port(), verify=False)) as post:
        post.sweep_for(20 * MINUTE, 3)
        assert {delivery.reason for delivery in post.deliveries} == {"it cannot be reached"}
        assert set(post.states) == {DeliveryState.WAITING}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", UNRESOLVABLE)
def test_an_archive_whose_name_does_not_resolve_is_down_and_why_says_so(
    tmp_path: Path, host: str, scheme: str
) -> None:
    reason = "its host name cannot be resolved"
    lost = Destination(name="web", stow_url=f"{scheme}://{host}/dicom-web")
    with outbox(tmp_path, lost) as post:
        post.courier.sweep()
        assert set(post.states) == {DeliveryState.WAITING}
        assert {delivery.reason for delivery in post.deliveries} == {reason}
        assert f"To web: {len(CLASSES)} waiting ({reason})." in explain(post.store, STUDY)
    (told,) = destinations(replace(default(), destinations=(lost,)))
    assert (told.severity, told.message) == (Severity.FAULT, reason)


@pytest.mark.parametrize(
    ("code", "body", "state", "reason"),
    [
        pytest.param(200, failing(0xA700), DeliveryState.WAITING, "0xA700", id="out of resources"),
        pytest.param(202, failing(0xC000), DeliveryState.FAILED, "0xC000", id="accepted, but failed"),
        pytest.param(409, failing(0xA900), DeliveryState.FAILED, "0xA900", id="conflict"),
        pytest.param(409, b"<html>", DeliveryState.FAILED, "0x0110", id="conflict without a word"),
        pytest.param(409, failing(0x0122), DeliveryState.NOT_ACCEPTED, "0x0122", id="class not supported"),
        pytest.param(503, b"", DeliveryState.WAITING, "HTTP 503", id="busy"),
        # Otherwise one object that an archive does not take would hold up all results of the node for ever.
        pytest.param(413, b"", DeliveryState.FAILED, "HTTP 413", id="too large"),
        pytest.param(415, b"", DeliveryState.FAILED, "HTTP 415", id="of a kind that it does not take"),
        pytest.param(401, b"", DeliveryState.WAITING, "HTTP 401", id="not authorised"),
        pytest.param(307, b"", DeliveryState.WAITING, "leads to another address", id="redirection"),
        pytest.param(200, b"{not json", DeliveryState.WAITING, "no DICOM JSON", id="nonsense"),
        pytest.param(200, NESTED, DeliveryState.WAITING, "no DICOM JSON", id="nested without end"),
        pytest.param(409, NESTED, DeliveryState.FAILED, "0x0110", id="conflict nested without end"),
        pytest.param(999, stored(), DeliveryState.WAITING, "HTTP 999", id="a status of no kind"),
        pytest.param(200, stored(), DeliveryState.SENT, "", id="stored"),
        pytest.param(202, stored(0xB000), DeliveryState.SENT, "0xB000", id="stored with a warning"),
        pytest.param(202, failing(0xA700, OTHERS), DeliveryState.WAITING, "0xA700", id="failed otherwise"),
        # PS3.18 wants a success to name what was stored; nothing that is lost may count as stored.
        pytest.param(200, b"{}", DeliveryState.FAILED, "did not say", id="success without a word"),
        pytest.param(200, b"", DeliveryState.FAILED, "did not say", id="success without a body"),
        pytest.param(204, b"", DeliveryState.FAILED, "did not say", id="no content"),
        pytest.param(409, b"{}", DeliveryState.FAILED, "0x0110", id="conflict with nothing in it"),
    ],
)
def test_each_answer_has_its_consequence(
    tmp_path: Path, code: int, body: bytes, state: DeliveryState, reason: str
) -> None:
    few = DeliverySettings(attempts=2, timeout_s=PATIENCE_S)
    with web_server(code, body) as port, outbox(tmp_path, by_web(port, verify=False), few) as post:
        post.sweep_for(20 * MINUTE, 2)
        assert set(post.states) == {state}
        assert all(reason in delivery.reason for delivery in post.deliveries)
        assert len(post.states) == len(CLASSES)


@pytest.mark.parametrize("code", [200, 409])
@pytest.mark.parametrize(
    "body",
    [
        *(b"[]", b"5", b"null", b'{"00081199": 5}', b'{"zz": {}}'),
        *(b'{"%s": {"vr": "SQ", "Value": [%s]}}' % (FAILED.encode(), one) for one in (b"5", b"null", b"{}")),
        *(b'{"%s": {"vr": "LO", "Value": ["x"]}}' % one.encode() for one in (FAILED, OTHERS, REFERENCED)),
        *(b'{"%s": {"vr": "SQ", "Value": [null]}}' % one.encode() for one in (OTHERS, REFERENCED)),
        told(FAILED, {FAILURE: {"vr": "US"}}),
        told(FAILED, {FAILURE: {"vr": "US", "Value": [-1, 7]}}),
    ],
)
def test_an_answer_that_makes_no_sense_has_stored_nothing_and_stops_nothing(
    tmp_path: Path, code: int, body: bytes
) -> None:
    with web_server(code, body) as port, outbox(tmp_path, by_web(port, verify=False)) as post:
        post.courier.sweep()
        assert set(post.states) == {DeliveryState.WAITING}


@pytest.mark.parametrize(
    ("kind", "body", "state", "reason"),
    [
        ("text/html", b"<html>Please log in", DeliveryState.WAITING, "not as a DICOMweb archive"),
        ("application/dicom+xml", b"<html>&", DeliveryState.WAITING, "no DICOM JSON or XML"),
        ("Application/dicom+JSON; charset=utf-8", failing(0xA900), DeliveryState.FAILED, "0xA900"),
    ],
    ids=["a log-in page", "broken XML", "a media type with a parameter"],
)
def test_a_success_counts_only_as_one_of_dicomweb(
    tmp_path: Path, kind: str, body: bytes, state: DeliveryState, reason: str
) -> None:
    with web_server(200, body, kind) as port, outbox(tmp_path, by_web(port, verify=False)) as post:
        post.courier.sweep()
        assert set(post.states) == {state}
        assert all(reason in delivery.reason for delivery in post.deliveries)


def test_an_archive_that_is_asked_afterwards_need_not_say_that_it_stored_something(tmp_path: Path) -> None:
    with web_server(204, b"") as port, outbox(tmp_path, by_web(port)) as post:
        post.courier.sweep()
        assert set(post.states) == {DeliveryState.UNCONFIRMED}, "it is asked, and has nothing"


@pytest.mark.parametrize("code", [200, 409, 500])
@pytest.mark.parametrize("patched", ["length", "time"])
def test_an_answer_without_end_is_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, patched: str
) -> None:
    if patched == "length":
        monkeypatch.setattr(stow, "_LONGEST", 99)
    else:
        hours = itertools.count(0, 3600).__next__
        monkeypatch.setattr(web, "time", SimpleNamespace(monotonic=hours))
    # The server ends only if nobody reads any more.
    endless = web_server(code, itertools.repeat(b"endless"))
    with endless as port, outbox(tmp_path, by_web(port, verify=False)) as post:
        post.courier.sweep()
        reasons = {delivery.reason for delivery in post.deliveries}
        assert set(post.states) == {DeliveryState.WAITING}
    reason = {"length": "its answer is longer than any that is read"}
    assert reasons == {reason.get(patched, "its answer takes too long to come")}


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ('stow_url = "ftp://pacs"', "must be an http:// or https:// address"),
        ('stow_url = "https://user:word@pacs/x"', "holds a password"),
        ('stow_url = "https://pacs"\nauthorization = "Basic abc"', "is a secret"),
        ('stow_url = "https://pacs"\nauthorization = "env:OSTEONODE_NOT_SET"', "which is not there"),
        ('stow_url = "https://pacs"\nstorage_commitment = true', "is asked for by DIMSE"),
        (
            'stow_url = "http://pacs"\ntls = {ca = "a"}',
            "config.toml:3: destinations.stow_url must be an https",
        ),
    ],
)
def test_faults_of_a_web_destination_are_told(keys: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        parse(f'[[destinations]]\nname = "web"\n{keys}\n')


def test_a_web_destination_needs_no_ae_title() -> None:
    (there,) = parse(
        '[[destinations]]\nname = "web"\nstow_url = "https://pacs/dicom-web/studies/"\n'
    ).destinations
    assert there.stow_url == "https://pacs/dicom-web"
