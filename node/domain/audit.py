"""Audit messages as DICOM defines them.

The purpose of an audit trail is to say whose data went where, so these messages hold the Patient ID. They go
to the hospital's protected audit repository, and never to the log.

References
----------
DICOM PS3.15 A.5.3, DICOM Specific Audit Messages.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

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
    "transfer_begins",
    "viewed",
]


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
