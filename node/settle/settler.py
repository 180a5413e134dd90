"""The sweep that decides about studies that receive no more images.

The rules are in `node.domain.completeness`; the settler collects what they need and records what they decide.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

from pydicom.uid import UID

from analysis.errors import RefusedError
from node.domain.backoff import Backoff
from node.domain.completeness import (
    PAIR,
    Count,
    Decision,
    Examination,
    decide,
    identity_fault,
    never_fell_quiet,
    refused,
    too_many_images,
    with_arrival_evidence,
)
from node.domain.records import Instance, Study, mr_images
from node.domain.study import StudyEvent, StudyState
from node.domain.wish import came_as_backlog
from node.errors import PermanentError, TransientError
from node.log import Log
from node.ports import Clock, OpenAssociations, SettlingQueue, StoredFiles
from node.settle.early_work import EarlyWork

__all__ = ["StudySettler"]

_RETRY = (timedelta(seconds=1), timedelta(minutes=1))
_SENT_AGAIN = "a series that was cut off was sent again while it was judged"


class StudySettler:
    """Decides, for each study whose images stopped coming, whether it is complete and what happens next.

    Parameters
    ----------
    store, instance_store, associations, clock : SettlingQueue, StoredFiles, OpenAssociations, Clock
        See `node.ports`.
    examine : callable
        Examines the headers of MR instances, given their paths, and returns an `Examination`. It runs in a
        worker process, which may refuse or die.
    count : callable
        Asks the sources of a study how many images each series has; see
        `node.settle.source_counts.SourceCounts.of_study`.
    reports_refusals : bool
        Whether a refusal is reported to the archive; see `node.analyse.refusal_sweep`.
    early_work : EarlyWork or None
        Work that is done before a study has settled; None to do nothing early.
    grace : timedelta
        How long a study must be silent before early work on it begins. A sender that opens an association for
        each image is between two of them most of the time, and must not start an analysis after each.
    gone_on : timedelta
        How long an open association may send other studies only until it no longer holds back a study. A
        router may keep one open for days.
    most_images : int
        Number of MR images above which a study is set aside unread.
    attempts : int
        Number of failed examinations after which a study is set aside.
    stopping : Event
        Set when the node stops; a failure after that is not recorded but left to the next start.
    log : Log
        Logs one line per decision.
    """

    def __init__(
        self,
        *,
        store: SettlingQueue,
        instance_store: StoredFiles,
        associations: OpenAssociations,
        clock: Clock,
        examine: Callable[[Sequence[Path]], Examination],
        count: Callable[[Collection[tuple[str, str]], str], Sequence[Count]],
        reports_refusals: bool,
        early_work: EarlyWork | None,
        grace: timedelta,
        gone_on: timedelta,
        most_images: int,
        attempts: int,
        stopping: Event,
        log: Log,
    ) -> None:
        self._store = store
        self._instance_store = instance_store
        self._associations = associations
        self._clock = clock
        self._examine = examine
        self._count = count
        self._reports_refusals = reports_refusals
        self._early_work = early_work
        self._grace = grace
        self._gone_on = gone_on
        self._most_images = most_images
        self._attempts = attempts
        self._stopping = stopping
        self._log = log
        self._backoff = Backoff(*_RETRY)
        self._endless: set[str] = set()

    def sweep(self) -> int:
        """Decide about every study whose deadline has passed; return how many can be analysed now.

        What was sent to this node waits for one examination at most, however many of the backlog are due.
        """
        decided: set[str] = set()
        ready = self._settle_due(decided)
        if self._early_work is not None:
            ready += self._request_early_analyses(self._early_work, decided)
        self._tell_what_never_falls_quiet()
        return ready

    def _settle_due(self, decided: set[str]) -> int:
        """Decide about what is due and was not decided in this sweep; return how many can be analysed now."""
        ready = 0
        due = list(self._store.due_studies(self._clock.now()))
        while due:
            study = due.pop(0)
            # DICOM has no end-of-study signal; a slice may still arrive over any open association.
            is_open = study.state is not StudyState.SETTLED and self._is_coming(study.study_uid)
            if study.study_uid in decided or is_open:
                continue
            decided.add(study.study_uid)
            moved = self._settle(study)
            ready += moved is not None and moved.state is StudyState.READY
            if came_as_backlog(self._store.wishes(study.study_uid)):
                # That took a while, in which a study that goes before the others may have become due.
                due = list(self._store.due_studies(self._clock.now()))
        return ready

    def next_in(self, within: timedelta) -> timedelta | None:
        """Tell in what time a sweep will have something to do for which it need not wait for an event.

        Parameters
        ----------
        within : timedelta
            The time that is looked ahead.

        Returns
        -------
        timedelta or None
            Until the next deadline of a study, or until early work on one can begin; None if neither lies
            within this time. What has passed already was looked at in the last sweep.
        """
        now = self._clock.now()
        moments = [one.deadline for one in self._store.due_studies(now + within) if one.deadline is not None]
        if self._early_work is not None:
            coming = self._store.coming_studies(now)
            moments += [one.last_arrival + self._grace for one in coming]
        ahead = [one - now for one in moments if now < one <= now + within]
        return min(ahead, default=None)

    def _tell_what_never_falls_quiet(self) -> None:
        coming = self._store.coming_studies(self._clock.now())
        endless = {one.study_uid for one in coming if never_fell_quiet(one.changed_at, one.last_arrival)}
        for study_uid in endless - self._endless:
            self._log.warning("study_never_quiet", study=study_uid)
        self._endless = endless

    def _is_coming(self, study_uid: str) -> bool:
        return self._associations.is_open(study_uid, self._gone_on)

    def _request_early_analyses(self, early_work: EarlyWork, decided: set[str]) -> int:
        """Request the analysis of studies that look complete although their quiet time is not over.

        What is due goes first, also what becomes due meanwhile; return how many can be analysed now.
        """
        requested = 0
        for study in self._store.coming_studies(self._clock.now() - self._grace):
            study_uid, revision = study.study_uid, study.revision
            if study_uid in decided or early_work.was_examined(study_uid, revision):
                continue
            if self._is_coming(study_uid):
                continue
            examination = self._examine_early(study_uid)
            early_work.note_examination(study_uid, revision, examination)
            if examination is not None and self._is_whole_pair(study_uid, examination):
                early_work.request(study_uid, revision)
                requested += 1
            requested += self._settle_due(decided)
        return requested

    def _examine_early(self, study_uid: str) -> Examination | None:
        images = self._images(study_uid)
        if not images or self._fault(images):
            return None
        try:
            return self._examine([self._instance_store.path(image) for image in images])
        except (RefusedError, TransientError, PermanentError):
            return None  # logged and counted as an attempt once the study has settled

    def _is_whole_pair(self, study_uid: str, examination: Examination) -> bool:
        return with_arrival_evidence(examination, self._store.cut_off_series(study_uid), ()).whole == PAIR

    def _fault(self, images: Sequence[Instance]) -> str:
        """Tell why the headers of a study are not examined; empty if they are."""
        if too_many := too_many_images(len(images), self._most_images):
            return too_many
        patients = set(map(self._instance_store.patient, images))
        return identity_fault({image.patient_key for image in images}, patients)

    def _images(self, study_uid: str) -> list[Instance]:
        return mr_images(self._store.instances(study_uid))

    def _settle(self, study: Study) -> Study | None:
        settled: Study | None = study
        if study.state is not StudyState.SETTLED:
            now = self._clock.now()
            settled = self._store.advance(study, StudyEvent.FELL_QUIET, now, deadline=now)
        if settled is None:
            return None
        cut_off = self._store.cut_off_series(settled.study_uid)
        decision = self._decide(settled, cut_off)
        if decision.event is StudyEvent.BROKE and self._stopping.is_set():
            return None
        attempts = settled.attempts + 1 if decision.event is StudyEvent.BROKE else 0
        moved = self._store.advance(
            settled,
            decision.event,
            self._clock.now(),
            reason=decision.reason,
            deadline=decision.deadline,
            attempts=attempts,
            reasons=decision.refusals,
            reasons_to_report=decision.refusals if self._reports_refusals else (),
        )
        if moved is not None:
            self._log.info(
                "study_examined", study=moved.study_uid, state=moved.state.value, reason=decision.reason
            )
        if moved is not None and self._was_overtaken(moved, cut_off):
            return self._store.advance(
                moved,
                StudyEvent.MADE_WHOLE,
                self._clock.now(),
                reason=_SENT_AGAIN,
                deadline=self._clock.now(),
            )
        return moved

    def _was_overtaken(self, moved: Study, cut_off: Collection[str]) -> bool:
        """Tell whether a series that counted as cut off was sent again before the decision was recorded.

        The end of an association re-opens only studies that wait or were refused. A study under examination
        is in neither state, so the check is repeated here once the decision stands.
        """
        if moved.state not in {StudyState.WAITING_FOR_PAIR, StudyState.REFUSED}:
            return False
        return not set(cut_off) <= self._store.cut_off_series(moved.study_uid)

    def _decide(self, study: Study, cut_off: Collection[str]) -> Decision:
        instances = self._store.instances(study.study_uid)
        images = mr_images(instances)
        if not images:
            return Decision(StudyEvent.FOUND_NOTHING, _no_mr_images(instances))
        if fault := self._fault(images):
            return Decision(StudyEvent.GAVE_UP, fault)
        try:
            examination = self._examination(study, images)
        except RefusedError as error:
            return refused(error.reasons)
        except (TransientError, PermanentError) as error:
            return self._after_failure(study, f"the examination of its headers failed: {error}")
        examined = self._with_arrival_evidence(study.study_uid, examination, cut_off)
        return decide(examined, self._clock.now(), study.wait_until)

    def _examination(self, study: Study, images: Sequence[Instance]) -> Examination:
        """Examine the headers, unless that was done early with the same images."""
        early = self._early_work and self._early_work.examination(study.study_uid, study.revision)
        return early or self._examine([self._instance_store.path(image) for image in images])

    def _with_arrival_evidence(
        self, study_uid: str, examination: Examination, cut_off: Collection[str]
    ) -> Examination:
        """Add how the series arrived; the sources are asked only if there is a series to analyse."""
        counts = self._count(self._store.senders(study_uid), study_uid) if examination.candidates else ()
        return with_arrival_evidence(examination, cut_off, counts)

    def _after_failure(self, study: Study, reason: str) -> Decision:
        attempts = study.attempts + 1
        if attempts >= self._attempts:
            return Decision(StudyEvent.GAVE_UP, f"{reason} (tried {attempts} times)")
        return Decision(StudyEvent.BROKE, reason, self._retry_at(attempts))

    def _retry_at(self, attempts: int) -> datetime:
        return self._clock.now() + self._backoff.pause(attempts)


def _no_mr_images(instances: Sequence[Instance]) -> str:
    """Say what a study without MR images holds instead."""
    names = sorted({UID(instance.sop_class_uid).name for instance in instances})
    return f"it holds no MR images, only {', '.join(names)}" if names else "its images are no longer here"
