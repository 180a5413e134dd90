"""The sweep that leases a ready study, has a worker process analyse it, and records the outcome."""

import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Protocol
from uuid import uuid4

from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from node.analyse.outbox_rows import outbox_rows
from node.analyse.shadows import PATIENCE, Shadows
from node.config import Configuration, ScannerDrift
from node.domain.backoff import Backoff
from node.domain.records import StudyLease, mr_images
from node.domain.results import Lineage, Outcome
from node.domain.study import StudyState
from node.domain.wish import brought_by
from node.errors import LeaseLostError, PermanentError, StorageFullError, TransientError
from node.log import Log
from node.ports import AnalysisQueue, Clock, StoredFiles
from node.settle.early_work import EarlyAnalysis, EarlyWork

__all__ = ["Analysis", "Analyst"]

_LEASE_MARGIN = timedelta(minutes=1)
"""Added to the time that an analysis and the models in the shadow may take, so that a lease runs out only if
its node is dead."""
_RETRY = (timedelta(seconds=2), timedelta(minutes=5))
_DISK_PAUSE = timedelta(seconds=30)
_NOT_BEGUN = frozenset(
    {StudyState.RECEIVING, StudyState.SETTLED, StudyState.WAITING_FOR_PAIR, StudyState.READY}
)
"""In any other state, another node has begun the analysis, or ended it, before this one came to it."""


class Analysis(Protocol):
    """Analyses the files of one study."""

    def __call__(
        self, paths: Sequence[Path], configuration: Configuration, out: Path, lineage: Lineage
    ) -> Outcome:
        """Return the outcome; see `node.analyse.study.analyse_files` and `node.ports.Worker.call`."""
        ...


class Analyst:
    """Has studies analysed, one at a time.

    Parameters
    ----------
    store, instance_store, clock : AnalysisQueue, StoredFiles, Clock
        See `node.ports`.
    analyse : Analysis
        Usually a call of a worker process.
    current : callable
        Returns the configuration: the limits of the engine, the destinations, and the settings that are
        passed to the analysis. Each study is worked on with one of them, from the analysis to the outbox.
    owner : str
        Identifies this node in its leases.
    shadows : Shadows
        Asks the models in the shadow.
    early_work : EarlyWork or None
        Analyses that are done before a study has settled; None to do none.
    left_to_others : callable, optional
        Returns the studies that are left to other nodes; None if this node may begin none now.
    before_early : callable, optional
        Called when an early analysis is about to begin, so that other nodes leave the study to this one.
    after_broken : callable, optional
        Told each study of which an attempt failed here.
    stopping : Event
        Set when the node stops; nothing is begun after that, and a failure is left to the next start.
    log : Log
        Logs one line per study.
    """

    def __init__(
        self,
        *,
        store: AnalysisQueue,
        instance_store: StoredFiles,
        clock: Clock,
        analyse: Analysis,
        current: Callable[[], Configuration],
        owner: str,
        shadows: Shadows,
        early_work: EarlyWork | None,
        stopping: Event,
        log: Log,
        left_to_others: Callable[[], Collection[str] | None] = tuple,
        before_early: Callable[[], None] | None = None,
        after_broken: Callable[[str], None] | None = None,
    ) -> None:
        self._store = store
        self._instance_store = instance_store
        self._clock = clock
        self._analyse = analyse
        self._current = current
        self._owner = owner
        self._shadows = shadows
        self._early_work = early_work
        self._stopping = stopping
        self._log = log
        self._left_to_others = left_to_others
        self._before_early = before_early
        self._after_broken = after_broken
        self._backoff = Backoff(*_RETRY)
        self._unrecorded: list[StudyLease] = []

    def sweep(self) -> int:
        """Analyse all studies that are ready, one after the other; return how many were analysed."""
        self._release_unrecorded()
        count = 0
        while self._analyse_next() or self._work_early():
            count += 1
        return count

    def _analyse_next(self) -> bool:
        """Analyse the study that has waited longest; return False if none is ready."""
        others = None if self._stopping.is_set() else self._left_to_others()
        if others is None:
            return False
        now = self._clock.now()
        limit = timedelta(seconds=self._current().engine.time_limit_s)
        early = self._early_work.running() if self._early_work else ()
        but_not = (*early, *others)
        until = now + limit + PATIENCE + _LEASE_MARGIN
        lease = self._store.lease_study(self._owner, now, until, but_not=but_not)
        if lease is None:
            return False
        try:
            self._work_on(lease)
        except LeaseLostError:
            # More images arrived meanwhile; the study was re-opened and will be analysed with all of them. Or
            # this node was silent for too long, and another one has taken the study up.
            self._log.info("analysis_superseded", study=lease.study_uid, revision=lease.revision)
            # Nothing else would remove it, if the study has been purged meanwhile.
            shutil.rmtree(self._folder(lease), ignore_errors=True)
        except Exception:
            self._unrecorded.append(lease)
            raise
        return True

    def _release_unrecorded(self) -> None:
        """Release the leases whose end the store could not record; they would otherwise run for long."""
        while self._unrecorded:
            with suppress(LeaseLostError):
                self._record_broken(self._unrecorded[-1], "its end could not be recorded")
            self._unrecorded.pop()

    def _work_early(self) -> bool:
        """Analyse a study that has not settled yet; return False if no early analysis is requested."""
        requested = self._early_work.take() if self._early_work and not self._stopping.is_set() else None
        if self._early_work is None or requested is None:
            return False
        study_uid, revision = requested
        analysis = None
        try:
            if self._before_early is not None:
                self._before_early()
            analysis = self._analyse_early(study_uid, revision)
        finally:
            self._early_work.done(study_uid, analysis)
        return True

    def _analyse_early(self, study_uid: str, revision: int) -> EarlyAnalysis | None:
        if not self._is_at(study_uid, revision, _NOT_BEGUN):
            return None
        started = self._clock.now()
        lineage, configuration = self._store.lineage(study_uid), self._current()
        folder = self._instance_store.result_folder(study_uid) / uuid4().hex
        try:
            outcome = self._outcome(study_uid, folder, lineage, configuration)
        except (PermanentError, TransientError) as error:
            # Tried again, and counted as an attempt, once the study has settled.
            self._log.info("early_analysis_broke", study=study_uid, reason=str(error))
            return None
        if not self._is_at(study_uid, revision):
            self._log.info("early_analysis_discarded", study=study_uid, revision=revision)
            shutil.rmtree(folder, ignore_errors=True)
            return None
        seconds = self._seconds_since(started)
        return EarlyAnalysis(revision, lineage, configuration, outcome, folder, seconds)

    def _is_at(
        self, study_uid: str, revision: int, states: Collection[StudyState] = frozenset(StudyState)
    ) -> bool:
        study = self._store.study(study_uid)
        return study is not None and study.revision == revision and study.state in states

    def _outcome(self, study_uid: str, out: Path, lineage: Lineage, configuration: Configuration) -> Outcome:
        images = mr_images(self._store.instances(study_uid))
        paths = [self._instance_store.path(image) for image in images]
        # An attempt that was killed may have left files, and as FHIR results say what earlier ones observed.
        self._instance_store.keep_results(study_uid, [one.name for one in self._store.results(study_uid)])
        try:
            outcome = self._analyse(paths, configuration, out, lineage)
        except RefusedError as error:
            return Outcome(results=(), refusals=error.reasons, summary={})
        return self._shadows.added(outcome, configuration)

    def _work_on(self, lease: StudyLease) -> None:
        started = self._clock.now()
        lineage, configuration = self._store.lineage(lease.study_uid), self._current()
        out = self._folder(lease)
        early = self._early_work and self._early_work.claim(
            lease.study_uid, lease.revision, lineage, configuration
        )
        try:
            outcome = early.outcome if early else self._outcome(lease.study_uid, out, lineage, configuration)
        except PermanentError as error:
            self._fail(lease, f"the analysis stopped: {error}")
            return
        except StorageFullError as error:
            self._wait_for_disk(lease, str(error))
            return
        except TransientError as error:
            if self._stopping.is_set():
                # The node itself killed the worker; the lease is released when the store closes.
                return
            self._record_broken(lease, str(error))
            return
        seconds = early.seconds if early else self._seconds_since(started)
        if outcome.refusals or not outcome.results:
            reasons = outcome.refusals or (Reason("no_results"),)
            reasons_to_report = reasons if configuration.report.refusals else ()
            told = (*reasons, *outcome.beside)
            self._store.record_refusal(lease, told, self._clock.now(), reasons_to_report=reasons_to_report)
            self._log.info("study_refused", study=lease.study_uid, reason="; ".join(told), seconds=seconds)
            return
        wish = brought_by(self._store.wishes(lease.study_uid))
        among = configuration.receivers_of(wish, self._clock.now().date())
        results = outbox_rows(outcome.results, configuration, self._instance_store.results, among)
        self._store.record_results(
            lease, results, outcome.summary, self._clock.now(),
            key=outcome.key, replaced=outcome.replaced, beside=outcome.beside, made=outcome.made,
            examination=outcome.examination, earlier=outcome.earlier, answers=outcome.answers,
            distances={} if configuration.models.scanner_drift is ScannerDrift.OFF else outcome.distances,
            model_answers=outcome.model_answers,
        )  # fmt: skip
        self._log.info("study_reported", study=lease.study_uid, count=len(results), seconds=seconds)

    def _folder(self, lease: StudyLease) -> Path:
        """Return the folder for the results of a lease, to which nothing else writes."""
        return self._instance_store.result_folder(lease.study_uid) / lease.token

    def _seconds_since(self, moment: datetime) -> float:
        return round((self._clock.now() - moment).total_seconds(), 1)

    def _record_broken(self, lease: StudyLease, reason: str) -> None:
        if self._after_broken is not None:
            self._after_broken(lease.study_uid)
        now = self._clock.now()
        if lease.attempt >= self._current().engine.attempts:
            self._fail(lease, f"the analysis failed {lease.attempt} times; the last time {reason}")
            return
        pause = self._backoff.pause(lease.attempt)
        self._store.record_broken(lease, reason, now, now + pause)
        self._log.warning("analysis_broke", study=lease.study_uid, attempt=lease.attempt, reason=reason)

    def _wait_for_disk(self, lease: StudyLease, reason: str) -> None:
        """Try again without limit: a full disk is not a fault of the study and so not a failed attempt."""
        now = self._clock.now()
        uncounted = replace(lease, attempt=lease.attempt - 1)
        self._store.record_broken(uncounted, reason, now, now + _DISK_PAUSE)
        self._log.error("storage_full", study=lease.study_uid, reason=reason)

    def _fail(self, lease: StudyLease, reason: str) -> None:
        self._store.record_broken(lease, reason, self._clock.now(), None)
        self._log.error("study_set_aside", study=lease.study_uid, reason=reason)
