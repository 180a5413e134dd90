"""The audit trail: DICOM audit messages go to a file and to each kind of syslog, never to the log."""

import socket
import ssl
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from ipaddress import ip_network
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import MRImageStorage

from node.audit import AuditTrail
from node.config import AuditSettings, Source, TlsSettings, parse
from node.domain.audit import (
    AuditMessage,
    EventOutcome,
    Party,
    StudyMoved,
    application_started,
    rejected_peer,
    studies_transferred,
    transfer_begins,
)
from node.domain.audit_xml import syslog_line, to_xml
from node.domain.study import StudyState
from node.errors import ConfigurationError
from node.log import get_log
from tests.certificates import Authority, Credentials
from tests.node.analyses import CLASSES
from tests.node.nodes import PATIENT, quick, quick_node, running_pacs, send, slice_of, state_of
from tests.patience import PATIENCE_S, application_entity, wait_until
from tests.peers import free_port

AT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
SENDER, RECEIVER = Party("MR1", "10.1.2.3", is_requestor=True), Party("OSTEONODE", "", is_requestor=False)
MOVED = StudyMoved("1.2.3", "PID 7", {MRImageStorage: 12})
MESSAGES = (
    application_started("OSTEONODE", AT),
    transfer_begins(RECEIVER, SENDER, MOVED, AT),
    studies_transferred(SENDER, RECEIVER, MOVED, AT, EventOutcome.SUCCESS),
    rejected_peer("OSTEONODE", "10.9.9.9", "TLS: certificate verify failed", AT),
)


def read(xml: bytes) -> ET.Element:
    return ET.fromstring(xml)  # noqa: S314 - our own


def codes(root: ET.Element, path: str) -> list[str | None]:
    return [code.get("csd-code") for code in root.iterfind(path)]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.event.meaning)
def test_every_message_has_what_the_schema_asks_for(message: AuditMessage) -> None:
    """PS3.15 A.5.1: the order of the elements, and the required attributes."""
    root = read(to_xml(message, "node-1"))
    assert root.tag == "AuditMessage"
    order = [
        "EventIdentification",
        "ActiveParticipant",
        "AuditSourceIdentification",
        "ParticipantObjectIdentification",
    ]
    tags = [child.tag for child in root]
    assert tags == sorted(tags, key=order.index)
    event = root.find("EventIdentification")
    assert event is not None
    assert set(event.attrib) == {"EventActionCode", "EventDateTime", "EventOutcomeIndicator"}
    assert event.get("EventDateTime") == "2030-01-02T03:04:05.000+00:00"
    for party in root.iterfind("ActiveParticipant"):
        assert party.get("UserID")
        assert party.get("UserIsRequestor") in {"true", "false"}
    source = root.find("AuditSourceIdentification")
    assert source is not None
    assert source.get("AuditSourceID") == "node-1"
    for code in root.iter():
        if "csd-code" in code.attrib:
            assert code.get("codeSystemName")
            assert code.get("originalText")
    for thing in root.iterfind("ParticipantObjectIdentification"):
        assert thing.find("ParticipantObjectIDTypeCode") is not None


def test_a_transfer_names_both_ends_the_study_and_the_patient() -> None:
    """PS3.15 A.5.3.7, DICOM Instances Transferred."""
    root = read(to_xml(MESSAGES[2], "node-1"))
    assert codes(root, "EventIdentification/EventID") == ["110104"]
    assert codes(root, "ActiveParticipant/RoleIDCode") == ["110153", "110152"]
    assert [party.get("NetworkAccessPointID") for party in root.iterfind("ActiveParticipant")] == [
        "10.1.2.3",
        None,
    ]
    study, patient = root.iterfind("ParticipantObjectIdentification")
    assert (study.get("ParticipantObjectID"), patient.get("ParticipantObjectID")) == ("1.2.3", "PID 7")
    assert codes(root, "ParticipantObjectIdentification/ParticipantObjectIDTypeCode") == ["110180", "2"]
    (sop_class,) = study.iter("SOPClass")
    assert sop_class.attrib == {"UID": MRImageStorage, "NumberOfInstances": "12"}


def test_an_alert_names_the_node_and_what_it_did() -> None:
    """PS3.15 A.5.3.11, Security Alert."""
    root = read(to_xml(MESSAGES[3], "node-1"))
    assert codes(root, "EventIdentification/EventID") == ["110113"]
    assert codes(root, "EventIdentification/EventTypeCode") == ["110126"]
    (subject,) = root.iterfind("ParticipantObjectIdentification")
    assert subject.get("ParticipantObjectID") == "10.9.9.9"
    detail = subject.find("ParticipantObjectDetail")
    assert detail is not None
    assert detail.get("type") == "Alert Description"
    assert b64decode(detail.get("value", "")) == b"TLS: certificate verify failed"


@given(st.text(), st.text())
def test_no_identifier_breaks_the_xml_or_the_line(patient_id: str, ae_title: str) -> None:
    study = StudyMoved("1.2.3", patient_id, {})
    sender = Party(ae_title, "10.1.2.3", is_requestor=True)
    message = studies_transferred(sender, RECEIVER, study, AT, EventOutcome.SUCCESS)
    xml = to_xml(message, "node-1")
    assert b"\n" not in xml
    assert read(xml).tag == "AuditMessage"


def test_a_line_of_syslog_has_the_header_of_the_standard() -> None:
    """RFC 5424 6; PS3.15 A.6: facility 10, severity 5, and the name of the message."""
    line = syslog_line(MESSAGES[0], b"<x/>", host="node 1", process=7)
    assert line == b"<85>1 2030-01-02T03:04:05.000+00:00 node1 osteonode 7 DICOM+RFC3881 - \xef\xbb\xbf<x/>"


def audited(directory: Path, **settings: object) -> AuditSettings:
    return AuditSettings(file=directory / "audit" / "trail.xml", **settings)  # type: ignore[arg-type]


def trail_of(settings: AuditSettings) -> list[ET.Element]:
    assert settings.file is not None
    return [read(line) for line in settings.file.read_bytes().splitlines()]


def test_a_node_audits_its_life_what_came_and_whom_it_turned_away(tmp_path: Path, written: StringIO) -> None:
    settings = audited(tmp_path)
    base = replace(
        quick(tmp_path / "var"), audit=settings, sources=(Source("KNOWN", ip_network("127.0.0.0/8")),)
    )
    with quick_node(base) as node:
        send(
            node.port,
            slice_of(1),
            slice_of(2),
            slice_of(1, study="1.2.3", patient_id="PLANTED-2"),
            calling="KNOWN",
        )
        with pytest.raises(ConnectionRefusedError):
            send(node.port, slice_of(1), calling="STRANGER")
        with pytest.raises(ConnectionRefusedError):
            send(node.port, slice_of(1), calling="KNOWN", called="OTHER")
    roots = trail_of(settings)
    events = [codes(root, "EventIdentification/EventID")[0] for root in roots]
    assert (events[0], events[-1]) == ("110100", "110100")
    assert codes(roots[0], "EventIdentification/EventTypeCode") == ["110120"]
    assert codes(roots[-1], "EventIdentification/EventTypeCode") == ["110121"]
    assert events.count("110113") == 2
    moved = [root for root in roots if codes(root, "EventIdentification/EventID") == ["110104"]]
    seen = {
        tuple(
            thing.get("ParticipantObjectID") for thing in root.iterfind("ParticipantObjectIdentification")
        ): next(root.iter("SOPClass")).get("NumberOfInstances")
        for root in moved
    }
    assert seen == {("1.2.826.0.1.1", "PLANTED-ID"): "2", ("1.2.3", "PLANTED-2"): "1"}
    assert PATIENT not in settings.file.read_text()  # type: ignore[union-attr]
    assert "PLANTED" not in written.getvalue()
    assert settings.file.stat().st_mode & 0o077 == 0  # type: ignore[union-attr]


def test_what_a_sender_that_broke_off_brought_is_audited_as_a_failure(tmp_path: Path) -> None:

    settings = audited(tmp_path)
    with quick_node(replace(quick(tmp_path / "var"), audit=settings)) as node:
        ae = application_entity("SENDER")
        ae.add_requested_context(MRImageStorage, "1.2.840.10008.1.2.1")
        association = ae.associate("127.0.0.1", node.port, ae_title="OSTEONODE")
        association.send_c_store(slice_of(1))
        association.abort()
        wait_until(
            lambda: any(
                codes(root, "EventIdentification/EventID") == ["110104"] for root in trail_of(settings)
            )
        )
    (moved,) = (
        root for root in trail_of(settings) if codes(root, "EventIdentification/EventID") == ["110104"]
    )
    event = moved.find("EventIdentification")
    assert event is not None
    assert event.get("EventOutcomeIndicator") == "4"


@pytest.mark.parametrize("takes", [len(CLASSES), 1], ids=["all", "some"])
def test_what_goes_to_a_destination_is_audited_before_and_after(tmp_path: Path, takes: int) -> None:
    settings = audited(tmp_path)
    with running_pacs(classes=tuple(CLASSES.values())[:takes]) as pacs:
        base = replace(quick(tmp_path / "var", pacs.destination), audit=settings)
        with quick_node(base) as node:
            send(node.port, slice_of(1))
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
    sent = [
        root for root in trail_of(settings) if codes(root, "ActiveParticipant/RoleIDCode")[:1] == ["110153"]
    ]
    sent = [root for root in sent if root.find("ActiveParticipant").get("UserID") == "OSTEONODE"]  # type: ignore[union-attr]
    assert [codes(root, "EventIdentification/EventID") for root in sent] == [["110102"], ["110104"]]
    begun, ended = sent
    for root in sent:
        assert [party.get("UserID") for party in root.iterfind("ActiveParticipant")] == ["OSTEONODE", "PACS"]
        ids = [thing.get("ParticipantObjectID") for thing in root.iterfind("ParticipantObjectIdentification")]
        assert ids == ["1.2.826.0.1.1", "PLANTED-ID"]
    assert len(list(begun.iter("SOPClass"))) == len(CLASSES)
    assert len(list(ended.iter("SOPClass"))) == takes
    event = ended.find("EventIdentification")
    assert event is not None
    assert event.get("EventOutcomeIndicator") == ("0" if takes == len(CLASSES) else "4")


@contextmanager
def running(settings: AuditSettings) -> Iterator[AuditTrail]:
    trail = AuditTrail(settings, "OSTEONODE", get_log())
    trail.start()
    try:
        yield trail
    finally:
        trail.stop()


@pytest.mark.parametrize("way", ["udp", "unix"])
def test_a_message_goes_to_syslog_as_a_datagram(tmp_path: Path, way: str) -> None:
    family = socket.AF_INET if way == "udp" else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_DGRAM) as repository:
        repository.bind(("127.0.0.1", 0) if way == "udp" else str(tmp_path / "log"))
        repository.settimeout(PATIENCE_S)
        there = (
            f"udp://127.0.0.1:{repository.getsockname()[1]}" if way == "udp" else f"unix:{tmp_path / 'log'}"
        )
        with running(AuditSettings(syslog=there)) as trail:
            trail.record(MESSAGES[0])
            line = repository.recv(65536)
    assert line.startswith(b"<85>1 ")
    assert read(line.partition(b"\xef\xbb\xbf")[2]).tag == "AuditMessage"


def repository(shown: Credentials) -> ssl.SSLContext:
    """Return the TLS context of an audit repository that trusts its own authority only."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=shown.ca)
    context.load_cert_chain(shown.certificate, shown.key)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_a_message_goes_to_syslog_over_tls_once_it_is_there(
    tmp_path: Path, written: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.audit._RETRY_S", 0.2)
    authority = Authority(tmp_path)
    ours, theirs = authority.issue("node"), authority.issue("repository")
    port = free_port()
    settings = AuditSettings(syslog=f"tls://127.0.0.1:{port}", tls=ours.settings)
    with running(settings) as trail:
        trail.record(MESSAGES[0])
        trail.record(MESSAGES[3])
        wait_until(lambda: "audit_not_written" in written.getvalue())
        context = repository(theirs)
        with socket.create_server(("127.0.0.1", port)) as listening:
            listening.settimeout(PATIENCE_S)
            plain, _ = listening.accept()
            with context.wrap_socket(plain, server_side=True) as connection:
                connection.settimeout(PATIENCE_S)
                stream = connection.makefile("rb")
                for message in (MESSAGES[0], MESSAGES[3]):
                    length = int(b"".join(iter(lambda: stream.read(1), b" ")))
                    xml = stream.read(length).partition(b"\xef\xbb\xbf")[2]
                    assert codes(read(xml), "EventIdentification/EventID") == [message.event.value]


def test_a_repository_with_a_revoked_certificate_is_told_nothing(
    tmp_path: Path, written: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.audit._RETRY_S", 0.2)
    authority = Authority(tmp_path)
    ours, lost, sound = (authority.issue(name) for name in ("node", "lost", "sound"))
    trust = replace(ours.settings, crl=authority.revocation_list())
    port = free_port()
    with running(AuditSettings(syslog=f"tls://127.0.0.1:{port}", tls=trust)) as trail:
        trail.record(MESSAGES[0])
        wait_until(lambda: "audit_not_written" in written.getvalue())
        # Revoked only now: the list must be read again for each connection.
        authority.revocation_list(lost)
        with socket.create_server(("127.0.0.1", port)) as listening:
            listening.settimeout(PATIENCE_S)
            plain, _ = listening.accept()
            with plain, pytest.raises(ssl.SSLError, match=r"(?i)certificate.revoked"):
                repository(lost).wrap_socket(plain, server_side=True)
            plain, _ = listening.accept()
            with repository(sound).wrap_socket(plain, server_side=True) as connection:
                connection.settimeout(PATIENCE_S)
                told = connection.recv(65536)
    assert codes(read(told.partition(b"\xef\xbb\xbf")[2]), "EventIdentification/EventID") == [
        MESSAGES[0].event.value
    ]


@pytest.mark.parametrize("place", ["unix:/nowhere/at/all", "udp://no.such.host.invalid:514"])
def test_a_repository_that_is_down_holds_nobody_up_and_the_loss_is_told(
    written: StringIO, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr("node.audit._QUEUE_LENGTH", 3)
    monkeypatch.setattr("node.audit._STOP_LIMIT_S", 0.1)
    with running(AuditSettings(syslog=place)) as trail:
        for _ in range(10):
            trail.record(MESSAGES[0])
    assert "audit_message_lost" in written.getvalue()
    assert "audit_not_written" in written.getvalue()


@pytest.mark.parametrize(
    "wrong", ['syslog = "host"', 'syslog = "tcp://host:514"', 'syslog = "tls://host:6514"']
)
def test_a_place_that_is_none_is_a_fault(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="audit"):
        parse(f"[audit]\n{wrong}\n")


def test_a_node_without_a_trail_writes_none(tmp_path: Path) -> None:
    before = threading.active_count()
    with running(AuditSettings(tls=TlsSettings())) as trail, suppress(OSError):
        trail.record(MESSAGES[0])
        assert threading.active_count() == before
    assert not list(tmp_path.iterdir())
