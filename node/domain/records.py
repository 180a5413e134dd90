"""The rows of the store as values; what the sweeps hand to each other."""

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
    "MR_IMAGE_CLASSES",
    "Arrival",
    "ArrivalOutcome",
    "AssociationRecord",
    "Delivery",
    "DeliveryBatch",
    "HistoryEntry",
    "Instance",
    "NewResult",
    "QuarantineEntry",
    "Result",
    "StagedFile",
    "Study",
    "StudyLease",
    "Unexplained",
    "mr_images",
]

MR_IMAGE_CLASSES = frozenset(
    {"1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4"}
)
"""MR, Enhanced MR and Legacy Converted Enhanced MR Image Storage: all that can change a result."""

CONFLICT = "an instance with this UID and other bytes is already stored"
"""Why an instance that meets `ArrivalOutcome.CONFLICT` lies in quarantine."""


class ArrivalOutcome(StrEnum):
    """What became of an instance at the door."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """The same bytes were there already; nothing changes."""
    CONFLICT = "conflict"
    """The UID was there with other bytes; the newcomer is in quarantine."""


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A temporary file that nobody was promised anything about.

    Attributes
    ----------
    path : Path
        Where it lies.
    size : int
        Of its dataset, in bytes.
    sha256 : str
        Over the bytes of its dataset, in hex.
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
        Over the bytes of its dataset as received, in hex.
    size : int
        Of the dataset, in bytes.
    patient_key : str
        Digest of PatientID and its issuer; equal for one patient, and tells nothing of whom; empty where
        there is no PatientID.
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
        """Whether it can change a result; other objects are only kept."""
        return self.sop_class_uid in MR_IMAGE_CLASSES

    @classmethod
    def of(cls, identity: InstanceIdentity, transfer_syntax_uid: str, *, size: int, sha256: str) -> Self:
        """Make the instance of a dataset, by who it says it is and what its bytes are."""
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
    """Return those instances that are MR images, in their order."""
    return [one for one in instances if one.is_mr_image]


@dataclass(frozen=True, slots=True)
class Arrival:
    """An instance on its way in.

    Attributes
    ----------
    instance : Instance
        What came.
    calling_ae, host : str
        Who sent it.
    association : str
        Names the association it came over, so that a series whose association is cut off is known, also
        after a crash; empty if it came over none.
    """

    instance: Instance
    calling_ae: str
    host: str
    association: str = ""


@dataclass(frozen=True, slots=True)
class AssociationRecord:
    """What one association brought.

    Attributes
    ----------
    association : str
        Names it.
    began_at : datetime
        When its first instance came.
    series : frozenset of (str, str)
        Study and Series Instance UIDs of all that it brought, also of what was there already.
    """

    association: str
    began_at: datetime
    series: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Study:
    """Where a study stands.

    Attributes
    ----------
    study_uid : str
        Which.
    state : StudyState
        Where.
    reason : str
        Why, in words, without patient data.
    changed_at, first_arrival, last_arrival : datetime
        Of the state, of its first and latest instance.
    revision : int
        Counts the instances that may change a result; a result belongs to one revision.
    deadline : datetime or None
        When the sweep looks at it again.
    wait_until : datetime
        End of the wait for the other sequence.
    attempts : int
        Broken tries of this revision.
    summary : dict of str to str
        Of the latest report.
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


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A refusal that the archive is still to be told of: the study, and why it was refused."""

    study: Study
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class StudyLease:
    """The right to analyse one revision of a study until a moment.

    Attributes
    ----------
    study_uid : str
        Which.
    revision : int
        Which inputs; once others arrive, the lease is lost.
    attempt : int
        1 for the first try.
    token : str
        Proves the lease; no other has it.
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
        What it is.
    sop_uid, sop_class_uid : str
        Its identity.
    name : str
        Its file, relative to the folder of results.
    destinations : tuple of str
        Names of those that asked for this kind.
    series_uid : str
        The series it belongs to.
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


@dataclass(frozen=True, slots=True)
class Delivery:
    """One result object on its way to one destination.

    Attributes
    ----------
    identifier : int
        Its row.
    destination : str
        By name.
    state : DeliveryState
        Where it stands.
    attempts : int
        Answers that were not acceptance, of this object.
    status : int or None
        The last DIMSE status.
    reason : str
        In words.
    result : Result
        What is sent.
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
        By name.
    study_uid : str
        Whose results.
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
    """One step in the life of a study."""

    at: datetime
    event: StudyEvent
    state: StudyState
    revision: int
    reason: str


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """An object that was not kept among the others, and why.

    Attributes
    ----------
    name : str
        Its file in the quarantine folder.
    sop_uid : str
        What it claims to be; empty if that could not be told.
    reason : str
        In words, without patient data.
    calling_ae, host : str
        Who sent it.
    at : datetime
        When.
    """

    name: str
    sop_uid: str
    reason: str
    calling_ae: str
    host: str
    at: datetime
