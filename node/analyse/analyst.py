"""The sweep that analyses: leases a ready study, has it analysed elsewhere, records how that ended."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Protocol
from uuid import uuid4

from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from node.analyse.outgoing import outgoing
from node.config import Configuration
from node.domain.backoff import Backoff
from node.domain.records import StudyLease, mr_images
from node.domain.results import Lineage, Outcome
from node.errors import LeaseLostError, PermanentError, StorageFullError, TransientError
from node.log import Log
from node.ports import AnalysisQueue, Clock, StoredFiles
from node.settle.foresight import Foreseen, Foresight

__all__ = ["Analysis", "Analyst"]

_LEASE_MARGIN = timedelta(minutes=1)
"""A lease outlives the time limit of the process by this, so that only a dead node ever loses one."""
_RETRY = (timedelta(seconds=2), timedelta(minutes=5))
_DISK_PAUSE = timedelta(seconds=30)


class Analysis(Protocol):
    """The analysis of one study, wherever it runs."""

    def __call__(
        self, paths: Sequence[Path], configuration: Configuration, out: Path, lineage: Lineage
    ) -> Outcome:
        """Return the outcome; may refuse, or be lost."""
        ...


class Analyst:
    """Takes one study at a time.

    Parameters
    ----------
    store, instance_store, clock : AnalysisQueue, StoredFiles, Clock
        See `node.ports`.
    analyse : Analysis
        Usually a call into a worker process.
    configuration : Configuration
        Limits, destinations, and what is handed to the analysis.
    owner : str
        Names this node in its leases.
    foresight : Foresight, optional
        What was wanted early, and what was done so.
    stopping : Event
        Once set, nothing new is begun, and what breaks is left to the next start.
    log : Log
        Gets one line for each study.
    """

    def __init__(
        self,
        *,
        store: AnalysisQueue,
        instance_store: StoredFiles,
        clock: Clock,
        analyse: Analysis,
        configuration: Configuration,
        owner: str,
        foresight: Foresight | None = None,
        stopping: Event,
        log: Log,
    ) -> None:
        self._store = store
        self._instance_store = instance_store
        self._clock = clock
        self._analyse = analyse
        self._configuration = configuration
        self._owner = owner
        self._foresight = foresight
        self._stopping = stopping
        self._log = log
        self._backoff = Backoff(*_RETRY)
        self._unrecorded: list[StudyLease] = []

    def sweep(self) -> int:
        """Analyse all that is ready, one after the other; return how many studies that were."""
        self._give_back()
        count = 0
        while self.work_once() or self._look_ahead():
            count += 1
        return count

    def work_once(self) -> bool:
        """Analyse the study that waited longest; False if none is ready."""
        if self._stopping.is_set():
            return False
        now = self._clock.now()
        limit = timedelta(seconds=self._configuration.engine.time_limit_s)
        early = self._foresight.running() if self._foresight else ()
        lease = self._store.lease_study(self._owner, now, now + limit + _LEASE_MARGIN, but_not=early)
        if lease is None:
            return False
        try:
            self._work_on(lease)
        except LeaseLostError:
            # More images arrived meanwhile; the study is already on its way again with all of them.
            self._log.info("analysis_superseded", study=lease.study_uid, revision=lease.revision)
        except Exception:
            self._unrecorded.append(lease)
            raise
        return True

    def _give_back(self) -> None:
        """Give back what a store that did not answer knows as being analysed: its lease may last for long."""
        while self._unrecorded:
            with suppress(LeaseLostError):
                self._record_broken(self._unrecorded[-1], "its end could not be recorded")
            self._unrecorded.pop()

    def _look_ahead(self) -> bool:
        """Analyse a study that has not settled, when none that has waits; False if none is wanted."""
        wanted = self._foresight.take() if self._foresight and not self._stopping.is_set() else None
        if self._foresight is None or wanted is None:
            return False
        study_uid, revision = wanted
        foreseen = None
        try:
            foreseen = self._foresee(study_uid, revision)
        finally:
            self._foresight.done(study_uid, foreseen)
        return True

    def _foresee(self, study_uid: str, revision: int) -> Foreseen | None:
        if not self._is_at(study_uid, revision):
            return None
        lineage = self._store.lineage(study_uid)
        folder = self._instance_store.result_folder(study_uid) / uuid4().hex
        try:
            outcome = self._outcome(study_uid, folder, lineage)
        except (PermanentError, TransientError) as error:
            # It will be tried again, and counted, once the study has settled.
            self._log.info("early_analysis_broke", study=study_uid, reason=str(error))
            return None
        if not self._is_at(study_uid, revision):
            self._log.info("early_analysis_discarded", study=study_uid, revision=revision)
            shutil.rmtree(folder, ignore_errors=True)
            return None
        return Foreseen(revision, lineage, outcome, folder)

    def _is_at(self, study_uid: str, revision: int) -> bool:
        study = self._store.study(study_uid)
        return study is not None and study.revision == revision

    def _outcome(self, study_uid: str, out: Path, lineage: Lineage) -> Outcome:
        images = mr_images(self._store.instances(study_uid))
        paths = [self._instance_store.path(image) for image in images]
        try:
            return self._analyse(paths, self._configuration, out, lineage)
        except RefusedError as error:
            return Outcome(results=(), refusals=error.reasons, summary={})

    def _work_on(self, lease: StudyLease) -> None:
        started = self._clock.now()
        lineage = self._store.lineage(lease.study_uid)
        out = self._instance_store.result_folder(lease.study_uid) / lease.token
        early = self._foresight and self._foresight.claim(lease.study_uid, lease.revision, lineage)
        try:
            outcome = early or self._outcome(lease.study_uid, out, lineage)
        except PermanentError as error:
            self._set_aside(lease, f"the analysis stopped: {error}")
            return
        except StorageFullError as error:
            self._wait_for_disk(lease, str(error))
            return
        except TransientError as error:
            if self._stopping.is_set():
                # The node ended the worker itself; the lease is freed as the store closes.
                return
            self._record_broken(lease, str(error))
            return
        seconds = round((self._clock.now() - started).total_seconds(), 1)
        if outcome.refusals or not outcome.results:
            reasons = outcome.refusals or (Reason("no_results"),)
            unexplained = reasons if self._configuration.report.refusals else ()
            self._store.record_refusal(lease, reasons, self._clock.now(), unexplained=unexplained)
            self._log.info("study_refused", study=lease.study_uid, reason="; ".join(reasons), seconds=seconds)
            return
        results = outgoing(outcome.results, self._configuration, self._instance_store.results)
        self._store.record_results(
            lease, results, outcome.summary, self._clock.now(), key=outcome.key, replaced=outcome.replaced
        )
        self._log.info("study_reported", study=lease.study_uid, count=len(results), seconds=seconds)

    def _record_broken(self, lease: StudyLease, reason: str) -> None:
        now = self._clock.now()
        if lease.attempt >= self._configuration.engine.attempts:
            self._set_aside(lease, f"the analysis failed {lease.attempt} times; the last time {reason}")
            return
        pause = self._backoff.pause(lease.attempt)
        self._store.record_broken(lease, reason, now, now + pause)
        self._log.warning("analysis_broke", study=lease.study_uid, attempt=lease.attempt, reason=reason)

    def _wait_for_disk(self, lease: StudyLease, reason: str) -> None:
        """Try again for as long as it takes: that is no fault of the study, and costs it no attempt."""
        now = self._clock.now()
        uncounted = replace(lease, attempt=lease.attempt - 1)
        self._store.record_broken(uncounted, reason, now, now + _DISK_PAUSE)
        self._log.error("storage_full", study=lease.study_uid, reason=reason)

    def _set_aside(self, lease: StudyLease, reason: str) -> None:
        self._store.record_broken(lease, reason, self._clock.now(), None)
        self._log.error("study_set_aside", study=lease.study_uid, reason=reason)
