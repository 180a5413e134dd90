"""Rows of the in-memory store, and the steps that several of its methods share."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from threading import RLock

from analysis.domain.examination import Examination
from analysis.domain.reason import Reason
from analysis.domain.remoteness import Departure, TrainingDistance
from dicom_templates.options import Predecessor
from node.domain.delivery import OPEN_DELIVERY_STATES, DeliveryState
from node.domain.drift import WINDOW, Observation, ScannerRange, Subject, follow
from node.domain.model_answer import KeptAnswer
from node.domain.records import (
    Arrival,
    Delivery,
    Discarded,
    HistoryEntry,
    Instance,
    NewResult,
    QuarantineEntry,
    Result,
    Study,
)
from node.domain.results import Compared
from node.domain.study import StudyEvent, StudyState, next_state
from node.domain.wish import Batch, Priority, Wish

__all__ = ["DeliveryRow", "ExaminationRow", "InstanceRow", "ResultRow", "StudyRow", "Tables", "WishRow"]


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """A stored instance, and the group that it was recorded with."""

    arrival: Arrival
    group: int
    at: datetime

    @property
    def instance(self) -> Instance:
        """The instance itself."""
        return self.arrival.instance


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study, its lease, and why it was refused if a report of that is due."""

    study: Study
    reasons_to_report: tuple[Reason, ...] = ()
    token: str = ""
    lease_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A result, and what decided the content of its set."""

    result: Result
    key: str
    replaced: tuple[Predecessor, ...]
    compared: Compared | None = None


@dataclass(frozen=True, slots=True)
class ExaminationRow:
    """What is kept of a study to compare later ones with."""

    examination: Examination
    patient_key: str
    revision: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery and its lease."""

    identifier: int
    destination: str
    sop_uid: str
    study_uid: str
    not_before: datetime
    state: DeliveryState = DeliveryState.WAITING
    attempts: int = 0
    tried: bool = False
    status: int | None = None
    reason: str = ""
    token: str = ""
    lease_until: datetime | None = None
    transaction_uid: str | None = None
    recorded_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done."""
        return self.state in OPEN_DELIVERY_STATES

    @property
    def is_unconfirmed(self) -> bool:
        """Whether the destination accepted it and has not confirmed it."""
        return self.state is DeliveryState.UNCONFIRMED


@dataclass(frozen=True, slots=True)
class WishRow:
    """A wish, its lease, and when its series were judged."""

    wish: Wish
    begun_at: datetime | None = None
    token: str = ""
    lease_until: datetime | None = None


@dataclass(slots=True)
class Tables:
    """Everything that an in-memory store holds; a store that is opened on the same tables continues from it.

    Rows are frozen, so that a shallow copy is a snapshot.
    """

    instances: dict[str, InstanceRow] = field(default_factory=dict)
    associations: dict[tuple[str, str, str], datetime | None] = field(default_factory=dict)
    """By association, study and series; when it was cut off."""
    studies: dict[str, StudyRow] = field(default_factory=dict)
    history: dict[str, tuple[HistoryEntry, ...]] = field(default_factory=dict)
    results: dict[str, ResultRow] = field(default_factory=dict)
    deliveries: dict[int, DeliveryRow] = field(default_factory=dict)
    quarantine: tuple[QuarantineEntry, ...] = ()
    examinations: dict[str, ExaminationRow] = field(default_factory=dict)
    answers: dict[str, tuple[KeptAnswer, ...]] = field(default_factory=dict)
    """By study."""
    batches: dict[str, Batch] = field(default_factory=dict)
    wishes: dict[tuple[str, str], WishRow] = field(default_factory=dict)
    """By archive and study."""
    discards: dict[tuple[str, str], Discarded] = field(default_factory=dict)
    """By study and rule."""
    distances: dict[tuple[str, Subject], Observation] = field(default_factory=dict)
    """By study and what was judged."""
    scanners: dict[Subject, ScannerRange] = field(default_factory=dict)
    is_claimed: bool = False
    lock: RLock = field(default_factory=RLock, repr=False)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock; if the block fails, everything is as it was before."""
        with self.lock:
            names = [one.name for one in fields(self) if one.name != "lock"]
            before = {
                name: value.copy() if isinstance(value := getattr(self, name), dict) else value
                for name in names
            }
            try:
                yield
            except BaseException:
                for name, value in before.items():
                    setattr(self, name, value)
                raise

    def study(self, study_uid: str) -> Study | None:
        """Return a study, or None."""
        row = self.studies.get(study_uid)
        return None if row is None else row.study

    def all_studies(self) -> list[Study]:
        """Return every study."""
        with self.lock:
            return [row.study for row in self.studies.values()]

    def instances_of(self, study_uid: str) -> tuple[Instance, ...]:
        """Return the stored instances of a study, ordered by UID."""
        with self.lock:
            rows = sorted(self.instances.items())
        return tuple(row.instance for _, row in rows if row.instance.study_uid == study_uid)

    def apply_event(
        self,
        study: Study,
        event: StudyEvent,
        now: datetime,
        *,
        reason: str = "",
        deadline: datetime | None = None,
        attempts: int = 0,
        reasons: Sequence[Reason] = (),
        reasons_to_report: Sequence[Reason] = (),
    ) -> Study:
        """Apply an event to a study and add it to the history; this ends any lease."""
        moved = replace(
            self.studies[study.study_uid].study,
            state=next_state(study.state, event),
            reason=reason,
            changed_at=now,
            deadline=now if reasons_to_report else deadline,
            attempts=attempts,
            reasons=tuple(reasons),
        )
        self.studies[study.study_uid] = StudyRow(moved, tuple(reasons_to_report))
        self.add_step(moved, event, now)
        return moved

    def add_step(self, study: Study, event: StudyEvent, now: datetime) -> None:
        """Add the latest event of a study to its history."""
        step = HistoryEntry(now, event, study.state, study.revision, study.reason)
        self.history[study.study_uid] = (*self.history.get(study.study_uid, ()), step)

    def change_study(self, study_uid: str, **values: object) -> None:
        """Change values of a study that are no event."""
        row = self.studies[study_uid]
        self.studies[study_uid] = replace(row, study=replace(row.study, **values))  # type: ignore[arg-type]

    def reopen(self, study: Study, now: datetime, reason: str) -> None:
        """Return a study to receiving; results that are not sent yet are superseded."""
        if study.state is StudyState.DELIVERING:
            self.supersede(study.study_uid, "more images came before it was sent")
        self.apply_event(study, StudyEvent.ARRIVED, now, reason=reason, deadline=now)

    def put_results(
        self,
        study: Study,
        results: Sequence[NewResult],
        now: datetime,
        *,
        key: str,
        replaced: Sequence[Predecessor],
        made: datetime,
        compared: Compared | None = None,
    ) -> None:
        """Record a result set as the current one, and queue its deliveries."""
        for uid, row in self.results.items():
            if row.result.study_uid == study.study_uid:
                self.results[uid] = replace(row, result=replace(row.result, current=False))
        for new in results:
            result = Result(
                study.study_uid,
                study.revision,
                new.kind,
                new.sop_uid,
                new.sop_class_uid,
                new.name,
                made,
                new.series_uid,
            )
            self.results[new.sop_uid] = ResultRow(result, key, tuple(replaced), compared)
        self.put_deliveries(study, results, now)

    def put_examination(self, study: Study, examination: Examination | None, now: datetime) -> None:
        """Keep the scores of a study instead of those that it had; none of a patient who is not certain."""
        self.examinations.pop(study.study_uid, None)
        if examination is not None and examination.person and examination.day and examination.scores:
            key = self.instances_of(study.study_uid)[0].patient_key
            self.examinations[study.study_uid] = ExaminationRow(examination, key, study.revision, now)

    def put_distances(
        self, study_uid: str, distances: Mapping[Subject, TrainingDistance], now: datetime
    ) -> None:
        """Keep how far a study lies from the training of a model, and judge its scanner."""
        for subject, found in sorted(distances.items()):
            mine = [one for uid, one in self.distances if uid == study_uid]
            same = [one for one in mine if (one.bundle, one.basis) == (subject.bundle, subject.basis)]
            at = self.distances.pop((study_uid, same[0])).at if same else now
            self.distances[study_uid, subject] = Observation(study_uid, subject, at, found)
            before = self.scanners.get(subject, ScannerRange())
            counted = [
                one
                for one in self.distances.values()
                if one.subject == subject and (before.accepted_at is None or one.at > before.accepted_at)
            ]
            counted.sort(key=lambda one: (one.at, one.study_uid))
            far = [one.found.is_far for one in counted[-WINDOW:]]
            self.scanners[subject] = follow(before, far, now)

    def departures(self) -> dict[Subject, Departure]:
        """Return the scanners that have left the range of the training of a model."""
        found = {subject: one.departure(subject.basis) for subject, one in self.scanners.items()}
        return {subject: one for subject, one in found.items() if one is not None}

    def other_examinations(self, study_uid: str) -> tuple[Examination, ...]:
        """Return what is kept of the other studies under the Patient ID of a study."""
        keys = {one.patient_key for one in self.instances_of(study_uid)}
        return tuple(
            row.examination
            for uid, row in sorted(self.examinations.items())
            if uid != study_uid and row.patient_key in keys
            if row.revision == self.studies[uid].study.revision
        )

    def put_deliveries(self, study: Study, results: Sequence[NewResult], now: datetime) -> None:
        """Queue results for their destinations, unless those have or await them already."""
        for result in results:
            for destination in result.destinations:
                self._put_delivery(study.study_uid, result.sop_uid, destination, now)

    def _put_delivery(self, study_uid: str, sop_uid: str, destination: str, now: datetime) -> None:
        for row in self.deliveries.values():
            if (row.destination, row.sop_uid) == (destination, sop_uid):
                if row.state in {DeliveryState.SUPERSEDED, DeliveryState.FAILED}:
                    self.change_delivery(
                        row, state=DeliveryState.WAITING, attempts=0, reason="", not_before=now
                    )
                return
        identifier = len(self.deliveries) + 1
        self.deliveries[identifier] = DeliveryRow(identifier, destination, sop_uid, study_uid, now)

    def change_delivery(self, row: DeliveryRow, **values: object) -> None:
        """Change values of a delivery."""
        self.deliveries[row.identifier] = replace(row, **values)  # type: ignore[arg-type]

    def supersede(self, study_uid: str, reason: str, *, but: Collection[str] = ()) -> None:
        """Supersede open deliveries of a study, except those of some results by UID."""
        for row in tuple(self.deliveries.values()):
            if row.study_uid == study_uid and row.is_open and row.sop_uid not in but:
                self.change_delivery(
                    row, state=DeliveryState.SUPERSEDED, reason=reason, token="", lease_until=None
                )

    def is_backlog(self, study_uid: str) -> bool:
        """Tell whether a study came only because it was fetched as backlog."""
        return any(
            row.wish.images and not row.wish.was_here and row.wish.priority is Priority.BACKLOG
            for (_, study), row in self.wishes.items()
            if study == study_uid
        )

    def has_open_deliveries(self, study_uid: str) -> bool:
        """Tell whether something of a study is still to be delivered."""
        return any(row.is_open for row in self.deliveries.values() if row.study_uid == study_uid)

    def delivery(self, row: DeliveryRow) -> Delivery:
        """Return a delivery with its result."""
        return Delivery(
            row.identifier,
            row.destination,
            row.state,
            row.attempts,
            row.status,
            row.reason,
            self.results[row.sop_uid].result,
        )
