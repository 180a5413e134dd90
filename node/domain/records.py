"""The rows of the store as values."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from analysis.domain.reason import Reason
from dicom_templates.result_kinds import ResultKind
from node.domain.delivery import DeliveryState
from node.domain.header import InstanceIdentity
from node.domain.study import StudyEvent, StudyState

__all__ = [
    "CONFLICT",
    "IDENTITY_REPLACED",
    "MR_IMAGE_CLASSES",
    "RESULTS_STAND",
    "Arrival",
    "ArrivalOutcome",
    "AssociationRecord",
    "Delivery",
    "DeliveryBatch",
    "Discarded",
    "DueRefusalReport",
    "HistoryEntry",
    "Instance",
    "NewResult",
    "QuarantineEntry",
    "Result",
    "Sameness",
    "StagedFile",
    "Study",
    "StudyLease",
    "StudyQuery",
    "mr_images",
    "reason_of_no_delivery",
    "reason_of_results",
]

MR_IMAGE_CLASSES = frozenset(
    {"1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4"}
)
"""MR, Enhanced MR and Legacy Converted Enhanced MR Image Storage: only these can change a result."""

CONFLICT = "an instance with this UID and other bytes is already stored"
"""Reason in quarantine of an instance whose outcome is `ArrivalOutcome.CONFLICT`."""

IDENTITY_REPLACED = "it came again under another identity of its patient, which counts from then on"
"""Reason in quarantine of an instance that was stored until the same came with a corrected patient."""

RESULTS_STAND = "nothing that is measured or said of the patient changed, so the earlier ones stand"
"""Reason in the history of an analysis that gave the result set which the study had already."""


def reason_of_results(beside: Iterable[str], *, stand: bool) -> str:
    """Say in the history of a study what its results do not say themselves.

    Parameters
    ----------
    beside : iterable of str
        The series that were received and not used, with the reasons.
    stand : bool
        Whether the study had these results already.

    Examples
    --------
    >>> reason_of_results(["MR, 3 instances: not sagittal"], stand=False)
    'made without what was received beside them: MR, 3 instances: not sagittal'
    >>> reason_of_results([], stand=True) == RESULTS_STAND
    True
    """
    others = "; ".join(beside)
    parts = (RESULTS_STAND if stand else "", f"made without what was received beside them: {others}")
    return "; ".join(part for part in (parts if others else parts[:1]) if part)


def reason_of_no_delivery(results: "Iterable[NewResult]") -> str:
    """Say why nothing is to be sent once a study has its results."""
    if any(one.destinations for one in results):
        return "every destination has these results already"
    return "no destination is to get its results; they are kept here"


class Sameness(StrEnum):
    """What an instance is to the one that is kept under its UID with other bytes."""

    SAME = "same"
    """Identity, geometry and pixels are equal, whatever else differs."""
    OTHER_PATIENT = "other patient"
    """Only the identity of the patient differs, as after a merge or a correction."""
    OTHER = "other"
    """Another image under the same UID."""


class ArrivalOutcome(StrEnum):
    """What became of a received instance."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """The same was stored already, perhaps in other bytes; nothing changes."""
    CONFLICT = "conflict"
    """Other content was stored under this UID already; the new one goes to quarantine."""


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A temporary file with a complete dataset, before its sender is told that it is stored.

    Attributes
    ----------
    path : Path
        Where it is.
    size : int
        Size of the dataset in bytes.
    sha256 : str
        SHA-256 of the dataset, in hex.
    """

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One stored object.

    Attributes
    ----------
    sop_uid, series_uid, study_uid, sop_class_uid, transfer_syntax_uid : str
        Its identity and encoding.
    sha256 : str
        SHA-256 of the dataset as received, in hex.
    size : int
        Size of the dataset in bytes.
    patient_key : str
        See `node.domain.header.InstanceIdentity`.
    """

    sop_uid: str
    series_uid: str
    study_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    sha256: str
    size: int
    patient_key: str

    @property
    def is_mr_image(self) -> bool:
        """Whether it can change a result; other objects are stored only."""
        return self.sop_class_uid in MR_IMAGE_CLASSES

    @classmethod
    def of(cls, identity: InstanceIdentity, transfer_syntax_uid: str, *, size: int, sha256: str) -> Self:
        """Make the instance of a dataset with this identity, encoding, size and digest."""
        return cls(
            sop_uid=identity.sop_instance_uid,
            series_uid=identity.series_uid,
            study_uid=identity.study_uid,
            sop_class_uid=identity.sop_class_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            sha256=sha256,
            size=size,
            patient_key=identity.patient_key,
        )


def mr_images(instances: Iterable[Instance]) -> list[Instance]:
    """Return the MR images among instances, in their order."""
    return [one for one in instances if one.is_mr_image]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A received instance, with its sender and association.

    Attributes
    ----------
    instance : Instance
        The instance.
    calling_ae, host : str
        AE title and address of the sender.
    association : str
        Key of the association over which it was received, so that a series whose association was lost is
        known, even after a crash; empty if there was none.
    """

    instance: Instance
    calling_ae: str
    host: str
    association: str = ""


@dataclass(frozen=True, slots=True)
class Discarded:
    """How many objects of a study a rule discarded, and when.

    Attributes
    ----------
    study_uid : str
        Study Instance UID.
    rule : str
        Name of the rule.
    count : int
        Number of objects; one that is sent twice counts twice.
    first_at, last_at : datetime
        When they were counted.
    """

    study_uid: str
    rule: str
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class AssociationRecord:
    """The series that were received over one association.

    Attributes
    ----------
    association : str
        Its key; see `Arrival`.
    began_at : datetime
        When its first instance was received.
    series : frozenset of (str, str)
        Study and Series Instance UIDs of everything received over it, duplicates included.
    """

    association: str
    began_at: datetime
    series: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Study:
    """The state of a study.

    Attributes
    ----------
    study_uid : str
        Study Instance UID.
    state : StudyState
        Its state.
    reason : str
        Why it is in this state, in words, without patient data.
    changed_at, first_arrival, last_arrival : datetime
        When it entered this state; when its first and its latest instance were received.
    revision : int
        Counts the instances that may change a result; a result belongs to one revision.
    deadline : datetime or None
        When a sweep looks at it again; None if never.
    wait_until : datetime
        End of the wait for a missing sequence.
    attempts : int
        Failed attempts of this revision.
    summary : dict of str to str
        Summary of the latest report; see `node.domain.results.Outcome`.
    reasons : tuple of Reason
        What `reason` is made of, where that has codes; else empty.
    """

    study_uid: str
    state: StudyState
    reason: str
    changed_at: datetime
    first_arrival: datetime
    last_arrival: datetime
    revision: int
    deadline: datetime | None
    wait_until: datetime
    attempts: int
    summary: dict[str, str] = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyQuery:
    """Which studies an operator asks for; without values, all.

    Attributes
    ----------
    states : frozenset of StudyState
        Only studies in one of these states, if any is named.
    since, until : datetime or None
        Only studies whose last image came in this time; the end is not part of it.
    destination : str
        Only studies of which something is or was to be sent to the destination with this name.
    text : str
        Only studies whose UID or reason holds these words, in upper or lower case.
    uid_prefix : str
        Only studies whose UID begins with this.
    """

    states: frozenset[StudyState] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    destination: str = ""
    text: str = ""
    uid_prefix: str = ""


@dataclass(frozen=True, slots=True)
class DueRefusalReport:
    """A refusal of which a report is still to be sent, and the reasons for it."""

    study: Study
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class StudyLease:
    """The right to analyse one revision of a study, for a limited time.

    Attributes
    ----------
    study_uid : str
        Study Instance UID.
    revision : int
        The revision; the lease is lost when a further image arrives.
    attempt : int
        1 for the first attempt.
    token : str
        Proves the lease; no other lease has it.
    """

    study_uid: str
    revision: int
    attempt: int
    token: str


@dataclass(frozen=True, slots=True)
class NewResult:
    """A result object to be recorded and sent.

    Attributes
    ----------
    kind : ResultKind
        Its kind.
    sop_uid, sop_class_uid : str
        SOP Instance UID and SOP Class UID.
    name : str
        Its file, relative to the folder of results.
    destinations : tuple of str
        Names of the destinations that asked for this kind.
    series_uid : str
        Series Instance UID.
    """

    kind: ResultKind
    sop_uid: str
    sop_class_uid: str
    name: str
    destinations: tuple[str, ...]
    series_uid: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """A recorded result object; see `NewResult`.

    Attributes
    ----------
    created_at : datetime
        When its result set was first made; the object says the same.
    current : bool
        Whether it belongs to the latest result set of its study; at most one set is current.
    """

    study_uid: str
    revision: int
    kind: ResultKind
    sop_uid: str
    sop_class_uid: str
    name: str
    created_at: datetime
    series_uid: str = ""
    current: bool = True

    def queued_for(self, destinations: tuple[str, ...]) -> NewResult:
        """Return it as one to be sent once more, to the destinations with these names."""
        return NewResult(
            self.kind, self.sop_uid, self.sop_class_uid, self.name, destinations, self.series_uid
        )


@dataclass(frozen=True, slots=True)
class Delivery:
    """One result object on its way to one destination.

    Attributes
    ----------
    identifier : int
        Primary key of its row.
    destination : str
        Name of the destination.
    state : DeliveryState
        Its state.
    attempts : int
        Failed attempts to send it or, once it was accepted, to have it confirmed.
    status : int or None
        The last status that the destination gave, of DIMSE or HTTP.
    reason : str
        Why it is in this state, in words; empty if it needs none.
    result : Result
        The object.
    """

    identifier: int
    destination: str
    state: DeliveryState
    attempts: int
    status: int | None
    reason: str
    result: Result


@dataclass(frozen=True, slots=True)
class DeliveryBatch:
    """The results of one study that one association takes to one destination.

    Attributes
    ----------
    destination : str
        Name of the destination.
    study_uid : str
        Study Instance UID.
    deliveries : tuple of Delivery
        At least one.
    token : str
        Proves the lease.
    """

    destination: str
    study_uid: str
    deliveries: tuple[Delivery, ...]
    token: str


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One event in the history of a study, and the state that it led to."""

    at: datetime
    event: StudyEvent
    state: StudyState
    revision: int
    reason: str


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """An object in quarantine.

    Attributes
    ----------
    name : str
        Its file in the quarantine folder.
    sop_uid : str
        SOP Instance UID that it claims; empty if it could not be read.
    reason : str
        Why it was not stored, in words, without patient data.
    calling_ae, host : str
        AE title and address of the sender.
    at : datetime
        When it was put there.
    """

    name: str
    sop_uid: str
    reason: str
    calling_ae: str
    host: str
    at: datetime

    @classmethod
    def of(cls, name: str, arrival: Arrival, reason: str, at: datetime) -> Self:
        """Return that of a received instance, or of the kept one that it replaces."""
        return cls(name, arrival.instance.sop_uid, reason, arrival.calling_ae, arrival.host, at)
