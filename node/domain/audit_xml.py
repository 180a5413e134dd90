"""Audit messages as XML, and as the line of syslog that carries it.

References
----------
DICOM PS3.15 A.5.1, DICOM Audit Message Schema; A.6, Audit Trail Message Transmission Profile – SYSLOG-TLS;
RFC 5424, The Syslog Protocol; RFC 5425, its transport over TLS.
"""

from base64 import b64encode
from xml.etree.ElementTree import Element, SubElement, tostring

from node.domain.audit import AuditMessage, Client, Code, Party, StudyMoved

__all__ = ["syslog_line", "to_xml"]

_PRIORITY = 10 * 8 + 5
"""Facility 10, security and authorization; severity 5, a normal but significant condition."""
_MESSAGE_ID = "DICOM+RFC3881"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_STUDY_UID, _NODE_ID = Code("110180", "Study Instance UID"), Code("110182", "Node ID")
_SOP_CLASS_UID = Code("110181", "SOP Class UID")
_PATIENT_NUMBER = Code("2", "Patient Number", "RFC-3881")


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
