"""What a worker process returns for one study."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from analysis.domain.examination import Examination
from analysis.domain.priors import latest_before
from analysis.domain.reason import Reason
from analysis.domain.remoteness import Departure, TrainingDistance
from dicom_templates.options import Predecessor
from dicom_templates.result_kinds import ResultKind
from node.domain.drift import Subject
from node.domain.model_answer import ModelAnswer, ModelQuestion
from node.domain.notice import Answer

__all__ = ["Compared", "Lineage", "Outcome", "ResultFile"]

_STEP = timedelta(seconds=1)
"""The smallest difference between two times in result objects."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What a result set compares with.

    Attributes
    ----------
    person : str
        Whose examination it is (`Examination.person`).
    earlier : Examination or None
        The earlier examination; None if there was none.
    """

    person: str
    earlier: Examination | None


@dataclass(frozen=True, slots=True)
class Lineage:
    """What the next result set of a study may have to replace, and what it may compare with.

    Attributes
    ----------
    key : str
        Digest of what decided the content of the latest result set; empty if there is none.
    replaced : tuple of Predecessor
        The documents that the latest set replaced.
    documents : tuple of Predecessor
        The documents of the latest set; empty if sending was never begun, so that no archive can hold them.
    corrected : bool
        Whether the identity of the patient was corrected after a result was made that an archive may hold.
    made : datetime or None
        When the latest set was first made; None if there is none.
    compared : Compared or None
        What the latest set compares with; None if there is none, or if it is the report of a refusal.
    priors : tuple of Examination
        The other examinations that are kept under the Patient ID of the study.
    sent_as_fhir : tuple of int and int
        Number of FHIR reports of the study that a server may hold: of earlier sets, and of the latest one.
    departures : mapping of Subject to Departure
        The scanners that have left the range of a model's training. It is what is known when the analysis
        begins; the latest set may have been made when they had not left.
    departed : tuple of Departure
        What is said of the scanner of the study instead, where there is no node that knows it.
    """

    key: str = ""
    replaced: tuple[Predecessor, ...] = ()
    documents: tuple[Predecessor, ...] = ()
    corrected: bool = False
    made: datetime | None = None
    compared: Compared | None = None
    priors: tuple[Examination, ...] = ()
    sent_as_fhir: tuple[int, int] = (0, 0)
    departures: Mapping[Subject, Departure] = field(default_factory=dict)
    departed: tuple[Departure, ...] = ()

    def earlier_as_fhir(self, key: str) -> int:
        """Return how many FHIR reports of the study were sent before that of a result set with this key."""
        before, latest = self.sent_as_fhir
        return before if key == self.key else before + latest

    def departures_of(self, scanner: str, bundle: str) -> tuple[Departure, ...]:
        """Return the bases in which a scanner has left the range of the model with this digest."""
        return self.departed or tuple(
            one
            for subject, one in sorted(self.departures.items())
            if (subject.scanner, subject.bundle) == (scanner, bundle)
        )

    def prior_of(self, now: Examination) -> Examination | None:
        """Return the earlier examination that the next result set compares with.

        It is the one of the latest set, so that a study that is analysed again gives the same result,
        whatever was received meanwhile; under another patient it is chosen again.
        """
        if self.compared is not None and self.compared.person == now.person:
            return self.compared.earlier
        return latest_before(self.priors, now)

    def predecessors(self, key: str) -> tuple[Predecessor, ...]:
        """Return the documents that a result set with this key replaces.

        A set with the same key is the same result again: it replaces what it replaced, and keeps its UIDs.
        """
        if key == self.key:
            return self.replaced
        # A set without a document of some class, such as the report of a refusal, leaves the earlier one.
        classes = {one.sop_class_uid for one in self.documents}
        return (*self.documents, *(one for one in self.replaced if one.sop_class_uid not in classes))

    def made_at(self, key: str, now: datetime) -> datetime:
        """Return when a result set with this key was first made.

        The same result again keeps its time. Another is made now, and after the latest one even if the clock
        was set back, so that the times of the sets of a study tell their order.

        Examples
        --------
        >>> noon = datetime(2026, 1, 5, 12)
        >>> latest = Lineage("a", made=noon)
        >>> latest.made_at("a", now=noon + timedelta(days=1)) == noon
        True
        >>> print(latest.made_at("b", now=noon - timedelta(hours=1)))
        2026-01-05 12:00:01
        """
        if self.made is None:
            return now
        return self.made if key == self.key else max(now, self.made + _STEP)


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One result object on disk.

    Attributes
    ----------
    kind : ResultKind
        Its kind.
    path : Path
        A DICOM Part 10 file.
    sop_class_uid, sop_instance_uid, series_uid : str
        Its identity, which is the same for the same inputs, model, configuration and predecessors.
    """

    kind: ResultKind
    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the analysis of a study ended.

    Attributes
    ----------
    results : tuple of ResultFile
        The objects to send; empty for a refusal.
    refusals : tuple of Reason
        Why nothing is reported, without patient data; empty for a report. This is what a report of the
        refusal says.
    summary : dict of str to str
        One line per answer, for log and status page, without patient data
        ("Osteoporosis": "probability 12 % (95 % interval 4 % to 22 %), BELOW the decision threshold of
        34 %").
    key : str
        Digest of what decided the content of the results, except what they replace; empty for a refusal.
    replaced : tuple of Predecessor
        The documents that the results name as their predecessors.
    beside : tuple of Reason
        The series that are in neither, and why; they change nothing, and are told to operators only.
    made : datetime or None
        When the results were first made; None if nothing was made.
    examination : Examination or None
        What later examinations of the patient compare with; None if nothing was made, or if the site wants no
        comparisons.
    earlier : Examination or None
        The earlier one that the results compare with.
    answers : tuple of Answer
        The answers of the model, for those who want to be told of some.
    distances : mapping of Subject to TrainingDistance
        How far the study lies from the training of the model; empty if its scanner is not known.
    model_answers : tuple of ModelAnswer
        The same and more of them, to be kept; and those of the models in the shadow, once they were asked.
    question : ModelQuestion or None
        What models in the shadow are asked; None if nothing was measured.
    """

    results: tuple[ResultFile, ...]
    refusals: tuple[Reason, ...]
    summary: dict[str, str]
    key: str = ""
    replaced: tuple[Predecessor, ...] = ()
    beside: tuple[Reason, ...] = ()
    made: datetime | None = None
    examination: Examination | None = None
    earlier: Examination | None = None
    answers: tuple[Answer, ...] = ()
    distances: Mapping[Subject, TrainingDistance] = field(default_factory=dict)
    model_answers: tuple[ModelAnswer, ...] = ()
    question: ModelQuestion | None = None
