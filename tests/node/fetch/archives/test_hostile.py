"""Archives that answer with too much, too little, something else, or never."""

import json
import socket
import threading
import time
import tracemalloc
from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import count, repeat
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element, fromstring

import pytest
from pydicom import Dataset
from pydicom.filereader import read_dataset
from pynetdicom.dimse_primitives import C_GET

from analysis.domain.acquisition import AcquisitionFacts
from node.app import Node
from node.config import ArchiveSettings, AuditSettings, Method
from node.dicom.tls import server_context
from node.domain.archive import ArchiveQuery, FoundSeries
from node.errors import BusyError, NodeError, PermanentError, TooManyFoundError, TransientError
from node.fetch.archives import dicomweb
from node.ports import Archive
from tests.certificates import Authority
from tests.node.fetch.archives.hostile import Dimse, Web, as_parts, served, served_by_web
from tests.node.nodes import in_quarantine, quick, quick_node, slice_of
from tests.patience import PATIENCE_S, wait_until
from tests.peers import free_port

_MULTIPART = 'multipart/related; type="application/dicom"; boundary=parted'
_JSON = "application/dicom+json"
_OTHER = "1.2.826.0.666"
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class There:
    """A node, and what it asks in three ways; `hasty` waits a second only."""

    node: Node
    dimse: Dimse
    web: Web

    def __getitem__(self, name: str) -> Archive:
        return self.node.archives[name]

    def serve(self, images: list[Dataset], *, claimed: list[Dataset] | None = None) -> None:
        """Let both archives send images, and say that they have those that are claimed."""
        told = images if claimed is None else claimed
        self.dimse.find = lambda asked: (
            *((0xFF00, answer_of(one, asked.QueryRetrieveLevel)) for one in told),
            (0, None),
        )
        self.dimse.images = images
        self.web.answer = lambda path: (
            (200, _JSON, [in_json([answer_of(one, "IMAGE") for one in told])])
            if path.endswith("/instances")
            else (200, _MULTIPART, as_parts(images))
        )

    def kept(self, study: str) -> set[str]:
        """Return what the node has stored of a study."""
        return {one.sop_uid for one in self.node.store.instances(study)}


def answer_of(image: Dataset, level: str) -> Dataset:
    answer = Dataset()
    answer.QueryRetrieveLevel = level
    answer.StudyInstanceUID, answer.SeriesInstanceUID = image.StudyInstanceUID, image.SeriesInstanceUID
    answer.SOPInstanceUID = image.SOPInstanceUID
    return answer


def in_json(answers: Iterable[Dataset]) -> bytes:
    return json.dumps([answer.to_json_dict() for answer in answers]).encode()


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    node_port = free_port()
    with served(Dimse(move_to=node_port)) as dimse, served_by_web(Web()) as web:
        patient = [
            ArchiveSettings(
                name=method.value, method=method, port=dimse.port, url=f"http://127.0.0.1:{web.port}"
            )
            for method in Method
        ]
        hasty = [replace(one, name=f"hasty-{one.name}", timeout_s=1.0) for one in patient]
        folder = tmp_path_factory.mktemp("node")
        audit = AuditSettings(file=folder / "audit.xml")
        base = replace(quick(folder, archives=(*patient, *hasty)), audit=audit)
        own = replace(base.node, port=node_port, max_instance_mb=2)
        with quick_node(replace(base, node=own)) as node:
            yield There(node, dimse, web)


@pytest.fixture(autouse=True)
def _honest(there: There) -> None:
    """Let both archives begin each test without any fault."""
    usual = Dimse()
    for name in ("find", "images", "status", "before_image", "on_get"):
        setattr(there.dimse, name, getattr(usual, name))
    there.dimse.move_to = there.node.port
    there.web.answer, there.web.headers = Web().answer, {}
    there.web.before_headers = Web().before_headers


ALL = pytest.mark.parametrize("name", [method.value for method in Method])
TAKING = pytest.mark.parametrize("name", ["get", "dicomweb"])


@ALL
def test_half_a_series_is_told_and_the_rest_comes_the_next_time(there: There, study: str, name: str) -> None:
    whole = [slice_of(number, study=study) for number in range(4)]
    there.serve(whole[:2], claimed=whole)
    got = there[name].retrieve(study, f"{study}.1")
    assert (got.completed, got.failed) == (2, 2)
    assert "2 of 4 images did not come" in got.reason
    if name != "move":  # there the series is judged by the association that brought it, which was released
        assert there.node.store.cut_off_series(study) == {f"{study}.1"}
    there.serve(whole)
    assert there[name].retrieve(study, f"{study}.1").completed == 4
    assert there.node.store.cut_off_series(study) == frozenset()


@TAKING
def test_what_was_not_asked_for_is_not_taken(there: There, study: str, name: str) -> None:
    asked = [slice_of(number, study=study) for number in range(2)]
    other = slice_of(1, study=f"{_OTHER}.{study}")
    beside = slice_of(1, study=study, series="2")
    there.serve([other, *asked, beside], claimed=asked)
    before = len(in_quarantine(there.node.store))
    got = there[name].retrieve(study, f"{study}.1")
    assert got.completed == 2
    assert there.kept(study) == {one.SOPInstanceUID for one in asked}
    assert there.node.store.study(other.StudyInstanceUID) is None
    assert len(in_quarantine(there.node.store)) == before
    # An archive that has only something else says nothing of the series that was asked for.
    there.serve([other], claimed=[slice_of(9, study=study, series="3")])
    got = there[name].retrieve(study, f"{study}.3")
    assert (got.completed, got.failed, got.reason) == (0, 1, "it sent what was not asked for")


@TAKING
def test_an_image_larger_than_the_limit_is_refused_and_the_others_are_kept(
    there: There, study: str, name: str
) -> None:
    images = [slice_of(number, study=study) for number in range(3)]
    images[1].PixelData = bytes(3 * _MEGABYTE)
    there.serve(images)
    got = there[name].retrieve(study, f"{study}.1")
    assert (got.completed, got.failed) == (2, 1)
    assert "max_instance_mb" in got.reason


@TAKING
def test_images_without_end_are_broken_off(
    there: There, study: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("dicomweb", "dimse_get"):
        monkeypatch.setattr(f"node.fetch.archives.{module}.most_images", lambda _: 5)
    there.serve([slice_of(number, study=study) for number in range(40)], claimed=[slice_of(1, study=study)])
    with pytest.raises(PermanentError, match="more images than it said"):
        there[name].retrieve(study, f"{study}.1")
    assert len(there.kept(study)) <= 5


def test_an_archive_that_sends_the_images_elsewhere_is_not_believed(there: There, study: str) -> None:
    there.serve([slice_of(number, study=study) for number in range(2)])
    with served(Dimse()) as elsewhere:
        there.dimse.move_to = elsewhere.port
        got = there["move"].retrieve(study, f"{study}.1")
    assert (got.completed, got.failed) == (0, 2)
    assert "2 of 2 images did not come" in got.reason


def test_an_association_that_breaks_off_keeps_what_came_and_may_be_asked_again(
    there: There, study: str
) -> None:
    images = [slice_of(number, study=study) for number in range(4)]
    there.serve(images)
    there.dimse.before_image = lambda event, number: event.assoc.abort() if number == 2 else None
    with pytest.raises(TransientError):
        there["get"].retrieve(study, f"{study}.1")
    assert there.kept(study) == {one.SOPInstanceUID for one in images[:2]}
    assert there.node.store.cut_off_series(study) == {f"{study}.1"}
    there.dimse.before_image = lambda *_: None
    assert there["get"].retrieve(study, f"{study}.1").completed == 4


def test_a_response_that_breaks_off_keeps_what_came_and_may_be_asked_again(there: There, study: str) -> None:
    images = [slice_of(number, study=study) for number in range(4)]
    there.serve(images)
    answer, body = there.web.answer, b"".join(as_parts(images))
    there.web.answer = lambda path: (
        answer(path) if path.endswith("/instances") else (200, _MULTIPART, [body[: len(body) // 2]])
    )
    with pytest.raises(TransientError, match="broke off"):
        there["dicomweb"].retrieve(study, f"{study}.1")
    assert 0 < len(there.kept(study)) < 4
    assert there.node.store.cut_off_series(study) == {f"{study}.1"}
    there.web.answer = answer
    assert there["dicomweb"].retrieve(study, f"{study}.1").completed == 4


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, TransientError) for status in (0xA701, 0xA702, 0xC001, 0xFE00)),
        *((status, PermanentError) for status in (0xA801, 0xA900, 0x0122, 0x0124)),
    ],
    ids=lambda value: f"{value:04X}" if isinstance(value, int) else value.__name__,
)  # fmt: skip
@pytest.mark.parametrize("name", ["move", "get"])
def test_each_refusal_says_whether_to_ask_again(
    there: There, study: str, name: str, status: int, kind: type[NodeError]
) -> None:
    there.serve([slice_of(1, study=study)])
    there.dimse.status = status
    with pytest.raises(kind, match=f"0x{status:04X}"):
        there[name].retrieve(study, f"{study}.1")
    there.dimse.find = lambda _: ((status, None),)
    with pytest.raises(kind, match=f"0x{status:04X}"):
        there[name].find_studies(ArchiveQuery(), 10)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (500, TransientError), (408, TransientError), (302, TransientError), (503, BusyError),
        (429, BusyError), (400, PermanentError), (401, PermanentError), (403, PermanentError),
        (404, PermanentError), (405, PermanentError), (410, PermanentError), (422, PermanentError),
        (413, TooManyFoundError),
    ],
)  # fmt: skip
def test_each_http_status_says_whether_to_ask_again(there: There, code: int, kind: type[NodeError]) -> None:
    there.web.answer = lambda _: (code, "text/html", [b"<html>"])
    there.web.headers = {"Location": "http://127.0.0.1:1/"} if code == 302 else {"Retry-After": "60"}
    with pytest.raises(kind, match=str(code)) as caught:
        there["dicomweb"].find_studies(ArchiveQuery(), 10)
    assert getattr(caught.value, "wait_s", 60) == 60


def test_a_wrong_url_is_told_and_is_no_study_that_the_archive_lacks(there: There, study: str) -> None:
    """Only an archive that answers other questions may say by 404 that it does not have a study."""
    there.web.answer = lambda _: (404, "text/html", [b"<html>"])
    for ask in (
        there["dicomweb"].reach,
        lambda: there["dicomweb"].find_studies(ArchiveQuery(study_uid=study), 1),
        lambda: there["dicomweb"].find_series(study),
    ):
        with pytest.raises(PermanentError, match="404: nothing is at this address; check url"):
            ask()
    there.web.answer = lambda path: (204 if path == "/studies" else 404, "text/html", [])
    assert there["dicomweb"].find_series(study) == []


def test_an_archive_that_ends_the_association_in_place_of_an_answer_is_told_as_such(
    there: There, study: str
) -> None:
    """As Orthanc does if it does not know the node; it has not let the node wait."""
    there.serve([slice_of(1, study=study)])
    there.dimse.on_get = lambda event: event.assoc.abort()
    with pytest.raises(TransientError, match="maybe it does not let this node"):
        there["get"].retrieve(study, f"{study}.1")


def test_every_question_is_in_the_audit_trail_and_names_who_was_asked(there: There, study: str) -> None:
    there.serve([slice_of(1, study=study)])
    there.web.answer = lambda _: (200, _JSON, [b"[]"])
    query = ArchiveQuery(accession_number="Ä-4711")
    for name in ("get", "dicomweb"):
        there[name].find_studies(query, 10)
    there.dimse.find = lambda _: ((0xA900, None),)
    with pytest.raises(PermanentError):
        there["get"].find_studies(query, 10)
    written, event = there.node.configuration.audit.file, "EventIdentification"
    assert written is not None

    def entries() -> list[Element]:
        lines = written.read_text().splitlines() if written.exists() else []
        messages = [fromstring(line) for line in lines]  # noqa: S314 - our own
        queries = [one for one in messages if one.find(f"{event}/EventID[@csd-code='110112']") is not None]
        return [one for one in queries if asked_in(one).get("AccessionNumber") == "Ä-4711"]

    wait_until(lambda: len(entries()) == 3)
    web, dimse = entries()[1], entries()[0]
    outcomes = [found.get("EventOutcomeIndicator") for one in entries() for found in one.findall(event)]
    assert outcomes == ["0", "0", "4"]
    assert dimse.find("ActiveParticipant[@AlternativeUserID='AETITLE=ARCHIVE']") is not None
    assert web.find("ActiveParticipant[@UserID='127.0.0.1']") is not None


def asked_in(message: Element) -> Dataset:
    """Return the dataset of the question in an audit message."""
    content = message.findtext("ParticipantObjectIdentification/ParticipantObjectQuery") or ""
    return read_dataset(BytesIO(b64decode(content)), is_implicit_VR=True, is_little_endian=True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"[1]",
        b'[{"0020000D": 5}]',
        b"[" * 9999,
    ],
)
def test_an_answer_that_is_no_dicom_json_is_told(there: There, body: bytes) -> None:
    there.web.answer = lambda _: (200, _JSON, [body] if body else [])
    with pytest.raises(PermanentError, match="no DICOM JSON"):
        there["dicomweb"].find_series("1.2")


@pytest.mark.parametrize(
    "damaged",
    [
        b"5", b'{"0020000D": 5}', b'{"0020000D": {"vr": "UI", "Value": 7}}',
        b'{"00100020": {"vr": "LO", "Value": ["\xc4"]}}',
    ],
)  # fmt: skip
def test_one_damaged_study_does_not_hide_the_others(there: There, damaged: bytes) -> None:
    good = b'{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}, "00201208": {"vr": "IS", "Value": ["many"]}}'
    there.web.answer = lambda _: (200, _JSON, [b"[" + damaged + b"," + good + b"]"])
    (found,) = there["dicomweb"].find_studies(ArchiveQuery(), 10)
    assert (found.study_uid, found.images) == ("1.2.3", None)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<html>"),
        ("multipart/related", b"--parted\r\n\r\n"),
        (_MULTIPART, b"<html>"),
        (_MULTIPART, b"--parted\r\n\r\n<html>\r\n--parted--\r\n"),
        (_MULTIPART, b"--parted\r\n\r\n" + bytes(128) + b"DICM" + bytes(600) + b"\r\n--parted--\r\n"),
        (
            _MULTIPART,
            b"--parted\r\n\r\n" + bytes(128) + b"DICM\x02\0\0\0UL\x04\0\xff\xff\xff\xff" + bytes(99),
        ),
    ],
    ids=["HTML", "no boundary", "no multipart", "no file", "no meta information", "4 GB of meta information"],
)
def test_a_body_that_holds_no_files_is_told(there: There, study: str, kind: str, body: bytes) -> None:
    there.serve([slice_of(1, study=study)])
    answer = there.web.answer
    there.web.answer = lambda path: answer(path) if path.endswith("/instances") else (200, kind, [body])
    with pytest.raises(PermanentError):
        there["dicomweb"].retrieve(study, f"{study}.1")
    assert there.kept(study) == set()


def endless_answers() -> Iterator[tuple[int, Dataset]]:
    for number in count(1):
        answer = Dataset()
        answer.StudyInstanceUID = f"{_OTHER}.{number}"
        yield 0xFF00, answer


def test_an_endless_list_is_broken_off(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    there.dimse.find = lambda _: endless_answers()
    for name in ("move", "get"):
        with pytest.raises(TooManyFoundError):
            there[name].find_studies(ArchiveQuery(), 100)
    monkeypatch.setattr(dicomweb, "_LONGEST_JSON", _MEGABYTE)
    there.web.answer = lambda _: (200, _JSON, (b"[" + b" " * 65536 for _ in count()))
    with pytest.raises(TooManyFoundError):
        there["dicomweb"].find_studies(ArchiveQuery(), 100)
    there.web.answer, there.web.headers = (lambda _: (200, _JSON, [b"[]"])), {"Warning": '299 x "more"'}
    with pytest.raises(TooManyFoundError, match="does not return all"):
        there["dicomweb"].find_studies(ArchiveQuery(), 100)


def test_an_archive_with_a_limit_of_its_own_is_asked_for_the_rest(there: There) -> None:
    answers = [answer_of(slice_of(1, study=f"{_OTHER}.{number:03d}"), "STUDY") for number in range(100, 125)]

    def answer(_: str) -> tuple[int, str, list[bytes]]:
        offset = int(there.web.asked_for["offset"])
        return 200, _JSON, [in_json(answers[offset : offset + 10])]

    there.web.answer = answer
    assert len(there["dicomweb"].find_studies(ArchiveQuery(), 50)) == 25


def test_a_list_is_taken_for_whole_from_an_archive_without_offset_only_if_it_is_short(there: There) -> None:
    answers = [answer_of(slice_of(1, study=f"{_OTHER}.{number:03d}"), "STUDY") for number in range(100, 110)]
    there.web.answer = lambda _: (200, _JSON, [in_json(answers[:9])])
    assert len(there["dicomweb"].find_studies(ArchiveQuery(), 50)) == 9
    there.web.answer = lambda _: (200, _JSON, [in_json(answers)])
    with pytest.raises(TooManyFoundError, match="repeats its answers"):
        there["dicomweb"].find_studies(ArchiveQuery(), 50)


def test_headers_that_come_byte_by_byte_end_with_the_time_of_the_request(there: There) -> None:
    def drip(file: BinaryIO) -> None:
        file.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            file.write(b"x")
            file.flush()
            time.sleep(0.01)

    there.web.answer = lambda _: (200, _JSON, [b"[]"])
    there.web.before_headers = drip
    with pytest.raises(TransientError, match="no answer in time"):
        there["hasty-dicomweb"].find_studies(ArchiveQuery(), 50)


def test_an_image_without_end_costs_no_memory_and_no_disk(there: There, study: str) -> None:
    image = slice_of(1, study=study)
    there.serve([image])
    answer = there.web.answer
    start = b"".join(as_parts([image]))[:600]
    endless = (part for parts in ((start,), repeat(bytes(65536))) for part in parts)
    there.web.answer = lambda path: (
        answer(path) if path.endswith("/instances") else (200, _MULTIPART, endless)
    )
    tracemalloc.start()
    with pytest.raises(TransientError, match="too long"):
        there["hasty-dicomweb"].retrieve(study, f"{study}.1")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * _MEGABYTE
    incoming = there.node.configuration.storage.directory / "incoming"
    assert sum(path.stat().st_size for path in incoming.iterdir()) == 0


def goes_on(event: Any, stopped: threading.Event) -> None:
    """Answer "pending" for ever."""
    while event.assoc.is_established and not stopped.wait(0.05):
        response = C_GET()
        response.MessageIDBeingRespondedTo = event.request.MessageID
        response.AffectedSOPClassUID = event.request.AffectedSOPClassUID
        response.Status = 0xFF00
        event.assoc.dimse.send_msg(response, event.context.context_id)


@pytest.mark.parametrize("name", ["hasty-get", "hasty-move", "hasty-dicomweb"])
def test_an_archive_that_never_answers_is_not_waited_for(there: There, study: str, name: str) -> None:
    silent = threading.Event()

    def nothing(_: object) -> Iterator[Any]:
        silent.wait()
        yield from ()

    there.dimse.find = nothing
    there.web.answer = lambda _: (200, _JSON, nothing(None))
    try:
        with pytest.raises(TransientError):
            there[name].find_series(study)
    finally:
        silent.set()


def test_an_archive_that_goes_on_and_sends_nothing_is_broken_off(there: There, study: str) -> None:
    there.serve([slice_of(1, study=study)])
    there.dimse.before_image = lambda event, _: goes_on(event, there.dimse.stopped)
    with pytest.raises(TransientError, match="nothing comes"):
        there["hasty-get"].retrieve(study, f"{study}.1")


@pytest.mark.parametrize(
    "said",
    [
        b"\x02\0\xff\xff\xff\xf0" + bytes(4096),
        b"\x04\0\0\0\0\x10" + bytes(16),
        bytes(4096),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x02",
    ],
    ids=["a PDU of 4 GB", "data before an association", "zeros", "HTTP", "one byte"],
)
def test_what_is_no_dicom_ends_the_connection(tmp_path: Path, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = ArchiveSettings(name="raw", method=Method.GET, port=server.getsockname()[1], timeout_s=1.0)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(10)
                connection.sendall(said)
                finished.wait()

        finished = threading.Event()
        thread = threading.Thread(target=serve)
        node = quick_node(quick(tmp_path, archives=(settings,)))
        with node:
            thread.start()
            with pytest.raises(TransientError):
                node.archives["raw"].reach()
            finished.set()
            thread.join()


@pytest.mark.filterwarnings("ignore:Failed to decode")
def test_damaged_answers_are_left_out_and_others_are_read(there: There) -> None:
    good, bad, worse = Dataset(), Dataset(), Dataset()
    good.StudyInstanceUID, good.StudyDate, good.PatientBirthDate = "1.2.3", "2024.03.01", "unknown"
    good.NumberOfStudyRelatedSeries = "99999999"
    good.SpecificCharacterSet = "ISO 2022 IR 87"
    good.StudyDescription = "x"
    good["StudyDescription"]._value = b"\x1b$B;3ED\xff"
    bad.StudyInstanceUID = "../../etc/passwd"
    worse.PatientID = "no UID at all"
    there.dimse.find = lambda _: (*((0xFF00, one) for one in (good, bad, worse, good)), (0, None))
    (found,) = there["get"].find_studies(ArchiveQuery(), 10)
    assert (found.study_uid, found.birth_date, found.series, found.age_years) == ("1.2.3", None, None, None)


@pytest.mark.parametrize("value", ["*", "A?", "A\\B", "A\nB"])
def test_an_identifier_that_would_match_others_is_not_asked_for(there: There, value: str) -> None:
    for query in (
        ArchiveQuery(accession_number=value),
        ArchiveQuery(patient_id=value),
        ArchiveQuery(study_uid=value),
    ):
        for name in ("get", "dicomweb"):
            with pytest.raises(PermanentError) as caught:
                there[name].find_studies(query, 10)
            assert value not in str(caught.value)


def test_an_archive_that_answers_for_studies_only_is_believed_by_its_counts(there: There, study: str) -> None:
    images = [slice_of(number, study=study) for number in range(3)]
    there.serve(images)
    there.dimse.find = lambda asked: (
        ((0xA900, None),) if asked.QueryRetrieveLevel == "IMAGE" else ((0, None),)
    )
    assert there["get"].retrieve(study, f"{study}.1").completed == 3
    known = AcquisitionFacts(series_description="t1")
    assert there["get"].read_facts(FoundSeries(study, f"{study}.1", known)) == known


def test_dicomweb_over_tls_reaches_no_impostor(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    own, theirs = authority.issue("node"), authority.issue("archive")
    study = "1.2.826.0.79"
    web = Web()
    with served_by_web(web, server_context(theirs.settings)) as served_web:
        right = ArchiveSettings(
            name="right", method=Method.DICOMWEB, url=f"https://127.0.0.1:{served_web.port}", tls=own.settings
        )
        wrong = replace(right, name="wrong", tls=replace(own.settings, ca=other.certificate))
        web.answer = lambda _: (200, _JSON, [in_json([answer_of(slice_of(1, study=study), "SERIES")])])
        with quick_node(quick(tmp_path / "node", archives=(right, wrong))) as node:
            (found,) = node.archives["right"].find_series(study)
            assert found.series_uid == f"{study}.1"
            asked = len(web.asked)
            with pytest.raises(TransientError, match="certificate"):
                node.archives["wrong"].find_series(study)
            assert len(web.asked) == asked
