"""Audit messages as DICOM defines them, and their XML.

The purpose of an audit trail is to say whose data went where, so these messages hold the Patient ID. They go
to the hospital's protected audit repository, and never to the log.

References
----------
DICOM PS3.15 A.5.1, DICOM Audit Message Schema; A.5.3, DICOM Specific Audit Messages; A.6, Audit Trail Message
Transmission Profile – SYSLOG-TLS; RFC 5424, The Syslog Protocol; RFC 5425, its transport over TLS.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from xml.etree.ElementTree import Element, SubElement, tostring

__all__ = [
    "AuditMessage",
    "Client",
    "Code",
    "EventOutcome",
    "Party",
    "StudyMoved",
    "application_started",
    "application_stopped",
    "discarded",
    "logged_in",
    "logged_out",
    "ordered",
    "queried",
    "rejected_peer",
    "scanner_accepted",
    "studies_transferred",
    "syslog_line",
    "to_xml",
    "transfer_begins",
    "viewed",
]

_PRIORITY = 10 * 8 + 5
"""Facility 10, security and authorization; severity 5, a normal but significant condition."""
_MESSAGE_ID = "DICOM+RFC3881"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept; the scheme "DCM" is that of PS3.16 Annex D."""

    value: str
    meaning: str
    scheme: str = "DCM"


class EventOutcome(IntEnum):
    """How an event ended; values of the schema's EventOutcomeIndicator."""

    SUCCESS = 0
    MINOR_FAILURE = 4


@dataclass(frozen=True, slots=True)
class Party:
    """A program that takes part in an event.

    Attributes
    ----------
    ae_title : str
        Its AE title; empty if it is not known, and then the address takes its place.
    host : str
        Its address; empty for this node.
    is_requestor : bool
        Whether it started the event.
    role : Code or None
        Its part in the event.
    """

    ae_title: str
    host: str
    is_requestor: bool
    role: Code | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """A person at the status page or the command line.

    Attributes
    ----------
    user : str
        Name with which they logged in, or tried to.
    host : str
        Address from which they came; of a command, the name of this machine.
    """

    user: str
    host: str


@dataclass(frozen=True, slots=True)
class StudyMoved:
    """The objects of a study that were transferred, seen or ordered about.

    Attributes
    ----------
    study_uid : str
        Study Instance UID.
    patient_id : str
        Patient ID of the images.
    instances : mapping of str to int
        Number of objects by SOP Class UID.
    """

    study_uid: str
    patient_id: str
    instances: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditMessage:
    """One audit event.

    Attributes
    ----------
    event : Code
        What happened.
    kind : Code or None
        Its subtype, EventTypeCode.
    action : str
        "C" create, "R" read, "U" update, "D" delete, "E" execute.
    outcome : EventOutcome
        How it ended.
    at : datetime
        When, aware of its time zone.
    parties : tuple of Party
        The programs that took part.
    study : StudyMoved or None
        The study that it is about.
    alert : tuple of str or None
        For a security alert, the address that it is about and what that did.
    client : Client or None
        The person who started the event.
    query : tuple of str, bytes, str, or None
        What was asked for: SOP class, dataset of the question, and its transfer syntax.
    """

    event: Code
    kind: Code | None
    action: str
    outcome: EventOutcome
    at: datetime
    parties: tuple[Party, ...]
    study: StudyMoved | None = None
    alert: tuple[str, str] | None = None
    client: Client | None = None
    query: tuple[str, bytes, str] | None = None


_APPLICATION_ACTIVITY = Code("110100", "Application Activity")
_START, _STOP = Code("110120", "Application Start"), Code("110121", "Application Stop")
_BEGIN_TRANSFER = Code("110102", "Begin Transferring DICOM Instances")
_TRANSFERRED = Code("110104", "DICOM Instances Transferred")
_SECURITY_ALERT, _NODE_AUTHENTICATION = (
    Code("110113", "Security Alert"),
    Code("110126", "Node Authentication"),
)
_SOFTWARE_CONFIGURATION = Code("110131", "Software Configuration")
_APPLICATION = Code("110150", "Application")
_USER_AUTHENTICATION = Code("110114", "User Authentication")
_LOGIN, _LOGOUT = Code("110122", "Login"), Code("110123", "Logout")
_ACCESSED, _DELETED = Code("110103", "DICOM Instances Accessed"), Code("110105", "DICOM Study Deleted")
_QUERY = Code("110112", "Query")
_OWN_SCHEME = "99OSTEONODE"
_DESTINATION, _SOURCE = Code("110152", "Destination Role ID"), Code("110153", "Source Role ID")
_STUDY_UID, _NODE_ID = Code("110180", "Study Instance UID"), Code("110182", "Node ID")
_SOP_CLASS_UID = Code("110181", "SOP Class UID")
_PATIENT_NUMBER = Code("2", "Patient Number", "RFC-3881")


def application_started(ae_title: str, at: datetime) -> AuditMessage:
    """Report that this node started; PS3.15 A.5.3.1."""
    return _application(_START, ae_title, at)


def application_stopped(ae_title: str, at: datetime) -> AuditMessage:
    """Report that this node stopped; PS3.15 A.5.3.1."""
    return _application(_STOP, ae_title, at)


def _application(kind: Code, ae_title: str, at: datetime) -> AuditMessage:
    party = Party(ae_title, "", is_requestor=False, role=_APPLICATION)
    return AuditMessage(_APPLICATION_ACTIVITY, kind, "E", EventOutcome.SUCCESS, at, (party,))


def transfer_begins(sender: Party, receiver: Party, study: StudyMoved, at: datetime) -> AuditMessage:
    """Report that this node is about to send objects of a study; PS3.15 A.5.3.3."""
    return AuditMessage(_BEGIN_TRANSFER, None, "E", EventOutcome.SUCCESS, at, _both(sender, receiver), study)


def studies_transferred(
    sender: Party, receiver: Party, study: StudyMoved, at: datetime, outcome: EventOutcome
) -> AuditMessage:
    """Report that objects of a study were received or sent; PS3.15 A.5.3.7."""
    return AuditMessage(_TRANSFERRED, None, "C", outcome, at, _both(sender, receiver), study)


def _both(sender: Party, receiver: Party) -> tuple[Party, Party]:
    return (
        Party(sender.ae_title, sender.host, is_requestor=True, role=_SOURCE),
        Party(receiver.ae_title, receiver.host, is_requestor=False, role=_DESTINATION),
    )


def rejected_peer(ae_title: str, host: str, reason: str, at: datetime) -> AuditMessage:
    """Report that a peer was rejected; PS3.15 A.5.3.11.

    Parameters
    ----------
    ae_title : str
        AE title of this node.
    host : str
        Address of the peer.
    reason : str
        Why it was rejected.
    at : datetime
        When.
    """
    party = Party(ae_title, "", is_requestor=True)
    return AuditMessage(
        _SECURITY_ALERT,
        _NODE_AUTHENTICATION,
        "E",
        EventOutcome.MINOR_FAILURE,
        at,
        (party,),
        alert=(host, reason),
    )


def logged_in(client: Client, ae_title: str, at: datetime, outcome: EventOutcome) -> AuditMessage:
    """Report that a person logged in at the status page, or failed to; PS3.15 A.5.3.12."""
    return _authentication(_LOGIN, client, ae_title, at, outcome)


def logged_out(client: Client, ae_title: str, at: datetime) -> AuditMessage:
    """Report that a person logged out; PS3.15 A.5.3.12."""
    return _authentication(_LOGOUT, client, ae_title, at, EventOutcome.SUCCESS)


def _authentication(
    kind: Code, client: Client, ae_title: str, at: datetime, outcome: EventOutcome
) -> AuditMessage:
    party = Party(ae_title, "", is_requestor=False)
    return AuditMessage(_USER_AUTHENTICATION, kind, "E", outcome, at, (party,), client=client)


def ordered(
    order: str, client: Client, ae_title: str, study: StudyMoved, *, at: datetime, outcome: EventOutcome
) -> AuditMessage:
    """Report that a person gave an order for a study; PS3.15 A.5.3.6, and A.5.3.8 for its removal.

    Parameters
    ----------
    order : str
        In a word, such as "retry"; "purge" is a removal.
    client : Client
        Who gave it.
    ae_title : str
        AE title of this node.
    study : StudyMoved
        The study.
    at : datetime
        When.
    outcome : EventOutcome
        Whether it was carried out.
    """
    removal = order == "purge"
    kind = None if removal else Code(order.upper(), order, _OWN_SCHEME)
    event, action = (_DELETED, "D") if removal else (_ACCESSED, "U")
    party = Party(ae_title, "", is_requestor=False)
    return AuditMessage(event, kind, action, outcome, at, (party,), study, client=client)


def scanner_accepted(
    scanner: str, client: Client, ae_title: str, *, at: datetime, outcome: EventOutcome
) -> AuditMessage:
    """Report that a person let models answer again to the studies of a scanner; PS3.15 A.5.3.11.

    Parameters
    ----------
    scanner : str
        Key of the scanner.
    client : Client
        Who gave the order.
    ae_title : str
        AE title of this node.
    at : datetime
        When.
    outcome : EventOutcome
        Whether it was carried out.
    """
    party = Party(ae_title, "", is_requestor=False)
    told = f"models answer again to studies of the scanner {scanner}, which had left their training range"
    return AuditMessage(
        _SECURITY_ALERT, _SOFTWARE_CONFIGURATION, "E", outcome, at, (party,),
        alert=(ae_title, told), client=client,
    )  # fmt: skip


def discarded(rule: str, node: Party, study: StudyMoved, at: datetime) -> AuditMessage:
    """Report that received objects of a study were deleted at once because of a rule; PS3.15 A.5.3.6.

    Parameters
    ----------
    rule : str
        Name of the rule.
    node : Party
        This node.
    study : StudyMoved
        The study and the objects.
    at : datetime
        When.
    """
    party = Party(node.ae_title, node.host, is_requestor=True)
    kind = Code("DISCARD", f"discarded by the rule {rule}", _OWN_SCHEME)
    return AuditMessage(_ACCESSED, kind, "D", EventOutcome.SUCCESS, at, (party,), study)


def queried(
    asker: Party,
    archive: Party,
    query: tuple[str, bytes, str],
    *,
    at: datetime,
    outcome: EventOutcome,
    client: Client | None = None,
) -> AuditMessage:
    """Report that an archive was asked what it has; PS3.15 A.5.3.10.

    Parameters
    ----------
    asker, archive : Party
        This node, and the archive.
    query : tuple of str, bytes, str
        SOP class, dataset of the question, and its transfer syntax.
    at : datetime
        When.
    outcome : EventOutcome
        Whether it answered.
    client : Client, optional
        The person who asked.
    """
    return AuditMessage(_QUERY, None, "E", outcome, at, _both(asker, archive), client=client, query=query)


def viewed(client: Client, ae_title: str, study: StudyMoved, at: datetime) -> AuditMessage:
    """Report that a person was shown a picture of a study; PS3.15 A.5.3.6."""
    party = Party(ae_title, "", is_requestor=False)
    return AuditMessage(_ACCESSED, None, "R", EventOutcome.SUCCESS, at, (party,), study, client=client)


def to_xml(message: AuditMessage, source: str) -> bytes:
    """Write a message as XML in UTF-8, in one line.

    Parameters
    ----------
    message : AuditMessage
        The message.
    source : str
        Name of this node in the audit trail, AuditSourceID.
    """
    root = Element("AuditMessage")
    event = SubElement(
        root,
        "EventIdentification",
        EventActionCode=message.action,
        EventDateTime=message.at.isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=str(message.outcome.value),
    )
    _code(event, "EventID", message.event)
    if message.kind is not None:
        _code(event, "EventTypeCode", message.kind)
    if message.client is not None:
        _client(root, message.client)
    for party in message.parties:
        _party(root, party)
    SubElement(root, "AuditSourceIdentification", AuditSourceID=_clean(source))
    if message.study is not None:
        _study(root, message.study)
    if message.query is not None:
        _question(root, *message.query)
    if message.alert is not None:
        host, reason = message.alert
        subject = _object(root, host, kind="2", role=None, id_type=_NODE_ID)
        SubElement(subject, "ParticipantObjectDetail", type="Alert Description", value=_base64(reason))
    xml: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return xml.replace(b"\n", b"", 1)


def _client(root: Element, client: Client) -> None:
    attributes = {"UserID": _clean(client.user), "UserIsRequestor": "true"} | _access_point(client.host)
    SubElement(root, "ActiveParticipant", attributes)


def _access_point(host: str) -> dict[str, str]:
    if not host:
        return {}
    # Type 2 is an IP address, and 1 a name of a machine.
    is_address = host.replace(".", "").isdigit() or ":" in host
    return {
        "NetworkAccessPointID": _clean(host),
        "NetworkAccessPointTypeCode": "2" if is_address else "1",
    }


def _party(root: Element, party: Party) -> None:
    attributes = {
        "UserID": _clean(party.ae_title or party.host),
        "UserIsRequestor": str(party.is_requestor).lower(),
    }
    if party.ae_title:
        attributes["AlternativeUserID"] = f"AETITLE={_clean(party.ae_title)}"
    attributes |= _access_point(party.host)
    participant = SubElement(root, "ActiveParticipant", attributes)
    if party.role is not None:
        _code(participant, "RoleIDCode", party.role)


def _study(root: Element, study: StudyMoved) -> None:
    # Type 2 is a system object and role 3 a report: what PS3.15 prescribes for a study.
    moved = _object(root, study.study_uid, kind="2", role="3", id_type=_STUDY_UID)
    description = SubElement(moved, "ParticipantObjectDescription")
    for sop_class, count in sorted(study.instances.items()):
        SubElement(description, "SOPClass", UID=_clean(sop_class), NumberOfInstances=str(count))
    _object(root, study.patient_id, kind="1", role="1", id_type=_PATIENT_NUMBER)


def _question(root: Element, sop_class_uid: str, dataset: bytes, transfer_syntax_uid: str) -> None:
    asked = _object(root, sop_class_uid, kind="2", role="3", id_type=_SOP_CLASS_UID)
    SubElement(asked, "ParticipantObjectQuery").text = b64encode(dataset).decode()
    syntax = _base64(transfer_syntax_uid)
    SubElement(asked, "ParticipantObjectDetail", type="TransferSyntax", value=syntax)


def _object(root: Element, identifier: str, *, kind: str, role: str | None, id_type: Code) -> Element:
    attributes = {"ParticipantObjectID": _clean(identifier), "ParticipantObjectTypeCode": kind}
    if role is not None:
        attributes["ParticipantObjectTypeCodeRole"] = role
    thing = SubElement(root, "ParticipantObjectIdentification", attributes)
    _code(thing, "ParticipantObjectIDTypeCode", id_type)
    return thing


def _code(parent: Element, name: str, code: Code) -> None:
    attributes = {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning}
    SubElement(parent, name, attributes)


def _base64(text: str) -> str:
    """Encode the value of a ParticipantObjectDetail, which is xsd:base64Binary in the schema."""
    return b64encode(text.encode()).decode()


def _clean(text: str) -> str:
    """Replace characters that XML 1.0 cannot hold: some senders write control characters into identifiers."""
    return "".join(character if character.isprintable() else _REPLACEMENT for character in text)


def syslog_line(message: AuditMessage, xml: bytes, *, host: str, process: int) -> bytes:
    """Write a message as a line of syslog.

    Parameters
    ----------
    message : AuditMessage
        The message, for its time.
    xml : bytes
        From `to_xml`.
    host : str
        Host name of this machine.
    process : int
        Process ID.

    References
    ----------
    RFC 5424 6; DICOM PS3.15 A.6.
    """
    name = "".join(character for character in host if "!" <= character <= "~") or "-"
    at = message.at.isoformat(timespec="milliseconds")
    header = f"<{_PRIORITY}>1 {at} {name} osteonode {process} {_MESSAGE_ID} - "
    return header.encode() + _BYTE_ORDER_MARK + xml
