"""What each model answered to a study, as it is kept to compare models and scanners; without patient data."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from analysis.domain.readings import Reading
from analysis.domain.target import Target

__all__ = ["AnswerState", "KeptAnswer", "ModelAnswer", "ModelQuestion", "Origin", "Role"]


class Role(StrEnum):
    """What a model was to a node when it answered."""

    CHOSEN = "chosen"
    """Its answer is the result of the study."""
    SHADOW = "shadow"
    """Its answer is kept, compared and shown to operators, and is in no result."""


class AnswerState(StrEnum):
    """What an answer says of a target."""

    ABOVE = "above"
    BELOW = "below"
    INDETERMINATE = "indeterminate"
    """There is a probability, and it is too uncertain to say on which side of the threshold it lies."""
    ABSTAINED = "abstained"
    """The model was not asked: `ModelAnswer.reasons` says why."""
    FAULT = "fault"
    """The model of a shadow failed."""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """The answer of one model to one target of one study.

    Attributes
    ----------
    target : Target
        What was predicted.
    role : Role
        Whether this answer is the result of the study.
    bundle : str
        SHA-256 (hex) of the bundle. If that cannot be read (`AnswerState.FAULT`), the name of its folder, of
        at most 64 characters.
    name, version : str
        Of the model; empty if its card cannot be read.
    basis : str
        What the answer was read from: "T1", "T2" or "T1+T2"; empty for a fault.
    state : AnswerState
        The answer.
    probability : float or None
        Calibrated, 0 to 1, also where it is indeterminate; None if the model was not asked.
    threshold : float or None
        Decision threshold of the model, 0 to 1; None for a fault.
    reasons : tuple of str
        Codes of the reasons, such as "protocol_outside"; for a fault, its kind in one word.
    distance, limit : float or None
        How far the features lie from those of the training (dimensionless, `TrainingRange.distances`), and
        the 99th percentile of the training patients; None if the features could not be compared.
    acquired : str
        Month of the study, "2026-03"; empty if the header has no date.
    scanner : str
        See `node.domain.scanner.scanner_key`.
    """

    target: Target
    role: Role
    bundle: str
    name: str = ""
    version: str = ""
    basis: str = ""
    state: AnswerState = AnswerState.FAULT
    probability: float | None = None
    threshold: float | None = None
    reasons: tuple[str, ...] = ()
    distance: float | None = None
    limit: float | None = None
    acquired: str = ""
    scanner: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and when the images of a study were made.

    Attributes
    ----------
    acquired : str
        See `ModelAnswer.acquired`.
    scanners : mapping of str to str
        Key of the scanner by sequence; at least one.
    """

    acquired: str
    scanners: Mapping[str, str]

    def scanner(self, basis: str) -> str:
        """Return the scanner of the first sequence of a basis; that of the other if the study lacks this one.

        Examples
        --------
        >>> Origin("2026-03", {"T2": "A, ?, 3 T"}).scanner("T1")
        'A, ?, 3 T'
        """
        first = basis.partition("+")[0]
        return self.scanners.get(first) or next(iter(self.scanners.values()))


@dataclass(frozen=True, slots=True)
class ModelQuestion:
    """What any model is asked about one study.

    Attributes
    ----------
    readings : mapping of str to Reading
        What can be read of the study, by basis.
    origin : Origin
        Where and when the images were made.
    """

    readings: Mapping[str, Reading]
    origin: Origin


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer in the database.

    Attributes
    ----------
    study_uid : str
        Study Instance UID.
    analysed_at : datetime
        When the result of the study was recorded.
    answer : ModelAnswer
        The answer.
    """

    study_uid: str
    analysed_at: datetime
    answer: ModelAnswer
