"""What people and programs outside can be told of, as values without patient data."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from uuid import uuid4

from analysis.domain.target import Target

__all__ = [
    "ABOVE",
    "AT_THRESHOLD",
    "OF_STUDIES",
    "Answer",
    "Happening",
    "Notice",
    "NoticeBatch",
    "NoticeFigures",
    "NoticeKind",
    "NoticeState",
    "Topic",
    "is_study_key",
    "met",
    "study_key",
]

_KEY = re.compile(r"S-[0-9a-f]{16}")
ABOVE = "above"
"""The verdict of an answer whose probability is above the decision threshold of the model."""
AT_THRESHOLD = -1.0
"""Stands for the decision threshold of the model where a probability is configured."""


class Topic(StrEnum):
    """What a contact can ask to be told of; the words of `[[notify]] on`."""

    SET_ASIDE = "set_aside"
    DESTINATION = "destination"
    CERTIFICATE = "certificate"
    DISK = "disk"
    SCANNER = "scanner"
    RESULT = "result"


class NoticeKind(StrEnum):
    """What a notification tells; the type of its CloudEvent, after the prefix "osteonode."."""

    SET_ASIDE = "study.set_aside"
    RESULT = "result.condition_met"
    DESTINATION_DOWN = "destination.down"
    DESTINATION_UP = "destination.up"
    CERTIFICATE_ENDS = "certificate.ends"
    DISK_FILLS = "disk.fills"
    DISK_FULL = "disk.full"
    SCANNER_LEFT = "scanner.left"
    SCANNER_BACK = "scanner.back"
    TEST = "test"

    @property
    def topic(self) -> Topic | None:
        """The topic that it belongs to; None for a test, which is sent on demand."""
        return _TOPICS.get(self)


_TOPICS = {
    NoticeKind.SET_ASIDE: Topic.SET_ASIDE,
    NoticeKind.RESULT: Topic.RESULT,
    NoticeKind.DESTINATION_DOWN: Topic.DESTINATION,
    NoticeKind.DESTINATION_UP: Topic.DESTINATION,
    NoticeKind.CERTIFICATE_ENDS: Topic.CERTIFICATE,
    NoticeKind.DISK_FILLS: Topic.DISK,
    NoticeKind.DISK_FULL: Topic.DISK,
    NoticeKind.SCANNER_LEFT: Topic.SCANNER,
    NoticeKind.SCANNER_BACK: Topic.SCANNER,
}
OF_STUDIES = frozenset({NoticeKind.SET_ASIDE, NoticeKind.RESULT})
"""The kinds that may come once for each study, so that their number has to be bounded."""


class NoticeState(StrEnum):
    """Where a notice stands on its way to one contact."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a model to one target.

    Attributes
    ----------
    target : Target
        What was predicted.
    verdict : str
        Name of the `Verdict` in lower case: `ABOVE`, "below" or "indeterminate".
    probability : float or None
        0 to 1; None where the model abstains.
    threshold : float
        Decision threshold of the model, 0 to 1.
    model : str
        Name and version of the model.
    simulated : bool
        Whether the model was trained on simulated patients.
    """

    target: Target
    verdict: str
    probability: float | None
    threshold: float
    model: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class Happening:
    """What happened to a study, before it is known who is to be told of it.

    Attributes
    ----------
    identifier : str
        Of the event; every notice of it has the same.
    kind : NoticeKind
        One of `OF_STUDIES`.
    study_uid : str
        Study Instance UID.
    at : datetime
        When.
    reason : str
        Why, in words, without patient data; empty for a result.
    answers : tuple of Answer
        Of a result.
    """

    identifier: str
    kind: NoticeKind
    study_uid: str
    at: datetime
    reason: str = ""
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """One event on its way to one contact.

    Attributes
    ----------
    identifier : str
        Of the event: the same at each attempt, and for each contact.
    contact : str
        Name of the contact.
    kind : NoticeKind
        What it tells.
    at : datetime
        When that happened.
    facts : mapping of str to object
        What happened, in values that JSON can hold, without patient data.
    study_uid : str
        Study Instance UID; empty if it is about no study.
    state : NoticeState
        Where it stands.
    attempts : int
        Failed attempts.
    reason : str
        Why it is in this state; empty if it needs none.
    """

    identifier: str
    contact: str
    kind: NoticeKind
    at: datetime
    facts: Mapping[str, object] = field(default_factory=dict)
    study_uid: str = ""
    state: NoticeState = NoticeState.WAITING
    attempts: int = 0
    reason: str = ""

    @classmethod
    def new(cls, contact: str, kind: NoticeKind, at: datetime, facts: Mapping[str, object]) -> "Notice":
        """Return a notice of an event that is about no study."""
        return cls(str(uuid4()), contact, kind, at, facts)


@dataclass(frozen=True, slots=True)
class NoticeBatch:
    """What is sent to a contact as one event: one notice, or many of one kind that came at once.

    Attributes
    ----------
    identifier : str
        Of the event that is sent. A batch stays as it is until it is sent, and so does this.
    notices : tuple of Notice
        At least one; all of one kind.
    """

    identifier: str
    notices: tuple[Notice, ...]

    @property
    def kind(self) -> NoticeKind:
        """What it tells."""
        return self.notices[0].kind

    @property
    def attempts(self) -> int:
        """Failed attempts."""
        return self.notices[0].attempts


@dataclass(frozen=True, slots=True)
class NoticeFigures:
    """What was and is to be told to one contact.

    Attributes
    ----------
    counts : mapping of NoticeState to int
        Number of notices in each state.
    oldest : datetime or None
        When the first event happened that is still to be told; None if none is.
    reason : str
        Why the latest attempt of one that waits, or that failed since a moment, did not succeed.
    failed : int
        Number of notices that were given up since that moment.
    """

    counts: Mapping[NoticeState, int] = field(default_factory=dict)
    oldest: datetime | None = None
    reason: str = ""
    failed: int = 0

    @property
    def waiting(self) -> int:
        """Number of notices that are still to be sent."""
        return self.counts.get(NoticeState.WAITING, 0)


def met(answers: Sequence[Answer], thresholds: Mapping[Target, float]) -> tuple[Answer, ...]:
    """Return the answers that meet a condition; an indeterminate one never does.

    Parameters
    ----------
    answers : sequence of Answer
        Of one result.
    thresholds : mapping of Target to float
        The probability from which each target is told; `AT_THRESHOLD` for the threshold of the model.

    Examples
    --------
    >>> likely = Answer(Target.OSTEOPOROSIS, "above", 0.5, 0.34, "m 1", simulated=True)
    >>> [bool(met([likely], {Target.OSTEOPOROSIS: limit})) for limit in (AT_THRESHOLD, 0.5, 0.6)]
    [True, True, False]
    """
    return tuple(
        one
        for one in answers
        if one.target in thresholds
        and one.verdict != "indeterminate"
        and one.probability is not None
        and (
            one.verdict == ABOVE
            if thresholds[one.target] == AT_THRESHOLD
            else one.probability >= thresholds[one.target]
        )
    )


def is_study_key(text: str) -> bool:
    """Tell whether a text has the form of `study_key`."""
    return _KEY.fullmatch(text) is not None


def study_key(study_uid: str) -> str:
    """Return the key by which notifications name a study without its UID; `osteonode why` takes it.

    Examples
    --------
    >>> study_key("1.2.3")
    'S-c47f5b18b8a430e6'
    """
    return f"S-{sha256(study_uid.encode()).hexdigest()[:16]}"
