"""The sweep that has the report of a refusal written and puts it into the outbox, if the site wants one."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Protocol

from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from node.analyse.outbox_rows import outbox_rows
from node.config import Configuration
from node.domain.backoff import Backoff
from node.domain.records import DueRefusalReport, Study, mr_images
from node.domain.results import Lineage, Outcome
from node.domain.wish import brought_by, came_as_backlog
from node.errors import PermanentError, StorageFullError, TransientError
from node.log import Log
from node.ports import Clock, RefusalReportQueue, StoredFiles

__all__ = ["RefusalReporter", "WriteRefusalReport"]

_RETRY = (timedelta(seconds=2), timedelta(minutes=5))
_DISK_PAUSE = timedelta(seconds=30)


class WriteRefusalReport(Protocol):
    """Writes the text report of a refusal."""

    def __call__(
        self,
        paths: Sequence[Path],
        configuration: Configuration,
        out: Path,
        reasons: tuple[Reason, ...],
        lineage: Lineage,
    ) -> Outcome:
        """Return the report as a result; see `node.analyse.refusal_report.write_refusal_report`."""
        ...


class RefusalReporter:
    """Reports refusals to the archive, one study at a time.

    Parameters
    ----------
    store, instance_store, clock : RefusalReportQueue, StoredFiles, Clock
        See `node.ports`.
    write : WriteRefusalReport
        Usually a call of a worker process.
    current : callable
        Returns the configuration: its section [report] says whether refusals are reported, its destinations
        where to. Each report is made and sent by one of them.
    stopping : Event
        Set when the node stops; refusals not reported by then are left to the next start.
    log : Log
        Logs one line per refusal that could not be reported.
    """

    def __init__(
        self,
        *,
        store: RefusalReportQueue,
        instance_store: StoredFiles,
        clock: Clock,
        write: WriteRefusalReport,
        current: Callable[[], Configuration],
        stopping: Event,
        log: Log,
    ) -> None:
        self._store = store
        self._instance_store = instance_store
        self._clock = clock
        self._write = write
        self._current = current
        self._stopping = stopping
        self._log = log
        self._backoff = Backoff(*_RETRY)

    def sweep(self) -> int:
        """Report every refusal that is due; return how many reports were put into the outbox."""
        reported, tried = 0, set[str]()
        due = list(self._store.due_refusal_reports(self._clock.now()))
        while due:
            one = due.pop(0)
            if one.study.study_uid in tried:
                continue
            tried.add(one.study.study_uid)
            reported += self._report(one)
            if came_as_backlog(self._store.wishes(one.study.study_uid)):
                # That took a while, in which a study that goes before the others may have been refused.
                due = list(self._store.due_refusal_reports(self._clock.now()))
        return reported

    def _report(self, due: DueRefusalReport) -> bool:
        """Report one refusal, or schedule another attempt; after the last one the failure is only logged.

        The refusal itself is not affected, and `osteonode why` gives its reason too.
        """
        study, configuration = due.study, self._current()
        if self._stopping.is_set():
            return False
        try:
            outcome = self._written(due, configuration)
            among = configuration.receivers_of(
                brought_by(self._store.wishes(study.study_uid)), self._clock.now().date()
            )
            results = outbox_rows(outcome.results, configuration, self._instance_store.results, among)
        except StorageFullError as error:
            self._wait_for_disk(study, str(error))
            return False
        except (TransientError, OSError) as error:
            if not self._stopping.is_set():
                # The message of an OSError may contain a path.
                self._try_again(
                    study, str(error) if isinstance(error, TransientError) else type(error).__name__
                )
            return False
        except (PermanentError, RefusedError) as error:
            self._give_up(study, str(error))
            return False
        self._store.record_refusal_report(
            study, results, self._clock.now(),
            key=outcome.key, replaced=outcome.replaced, made=outcome.made,
        )  # fmt: skip
        return bool(results)

    def _written(self, due: DueRefusalReport, configuration: Configuration) -> Outcome:
        study_uid, reasons = due.study.study_uid, due.reasons
        if not configuration.report.refusals:
            # Reports were enabled when the study was refused, and have been disabled since.
            return Outcome((), reasons, {})
        images = mr_images(self._store.instances(study_uid))
        paths = [self._instance_store.path(one) for one in images]
        out = self._instance_store.result_folder(study_uid) / f"refused-{self._clock.now():%Y%m%dT%H%M%S%f}"
        return self._write(paths, configuration, out, reasons, self._store.lineage(study_uid))

    def _try_again(self, study: Study, reason: str) -> None:
        attempt = study.attempts + 1
        if attempt >= self._current().engine.attempts:
            self._give_up(study, reason)
            return
        pause = self._backoff.pause(attempt)
        self._store.put_off_refusal_report(study, self._clock.now() + pause, attempts=attempt)
        self._log.warning("refusal_not_explained", study=study.study_uid, attempt=attempt, reason=reason)

    def _wait_for_disk(self, study: Study, reason: str) -> None:
        """Try again without limit: a full disk is not a fault of the study and so not a failed attempt."""
        self._store.put_off_refusal_report(study, self._clock.now() + _DISK_PAUSE, attempts=study.attempts)
        self._log.error("storage_full", study=study.study_uid, reason=reason)

    def _give_up(self, study: Study, reason: str) -> None:
        self._store.record_refusal_report(study, (), self._clock.now())
        self._log.error("refusal_not_explained", study=study.study_uid, reason=reason)
