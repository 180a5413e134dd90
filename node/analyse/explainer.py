"""What follows a refusal where a site wants it: a text report in the archive that says why."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Protocol

from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from node.analyse.outgoing import outgoing
from node.config import Configuration
from node.domain.backoff import Backoff
from node.domain.records import Study, Unexplained, mr_images
from node.domain.results import Lineage, Outcome
from node.errors import PermanentError, StorageFullError, TransientError
from node.log import Log
from node.ports import Clock, ExplanationQueue, StoredFiles

__all__ = ["Explainer", "Explanation"]

_RETRY = (timedelta(seconds=2), timedelta(minutes=5))
_DISK_PAUSE = timedelta(seconds=30)


class Explanation(Protocol):
    """Writes the text report of a refusal, wherever it runs."""

    def __call__(
        self,
        paths: Sequence[Path],
        configuration: Configuration,
        out: Path,
        reasons: tuple[Reason, ...],
        lineage: Lineage,
    ) -> Outcome:
        """Return the report as a result; none where nobody can be told."""
        ...


class Explainer:
    """The sweep that puts the reason of a refusal into the outbox.

    Parameters
    ----------
    store, instance_store, clock : ExplanationQueue, StoredFiles, Clock
        See `node.ports`.
    write : Explanation
        Usually a call into a worker process.
    configuration : Configuration
        Says in [report] whether refusals are sent, and to whom.
    stopping : Event
        Once set, what is not explained yet is left to the next start.
    log : Log
        Gets one line for each refusal that could not be explained.
    """

    def __init__(
        self,
        *,
        store: ExplanationQueue,
        instance_store: StoredFiles,
        clock: Clock,
        write: Explanation,
        configuration: Configuration,
        stopping: Event,
        log: Log,
    ) -> None:
        self._store = store
        self._instance_store = instance_store
        self._clock = clock
        self._write = write
        self._configuration = configuration
        self._stopping = stopping
        self._log = log
        self._backoff = Backoff(*_RETRY)

    def sweep(self) -> int:
        """Explain every refusal that is due; return how many explanations are to be sent now."""
        return sum(self._explain(one) for one in self._store.due_explanations(self._clock.now()))

    def _explain(self, unexplained: Unexplained) -> bool:
        """Explain one refusal, or try again later; what cannot be explained is told in the log only.

        The refusal stands whatever becomes of this, and `osteonode why` gives its reason too.
        """
        study = unexplained.study
        if self._stopping.is_set():
            return False
        try:
            outcome = self._written(unexplained)
            results = outgoing(outcome.results, self._configuration, self._instance_store.results)
        except StorageFullError as error:
            self._wait_for_disk(study, str(error))
            return False
        except (TransientError, OSError) as error:
            if not self._stopping.is_set():
                # What the system says may name a file, and with it a study.
                self._try_again(
                    study, str(error) if isinstance(error, TransientError) else type(error).__name__
                )
            return False
        except (PermanentError, RefusedError) as error:
            self._give_up(study, str(error))
            return False
        self._store.record_explanation(
            study, results, self._clock.now(), key=outcome.key, replaced=outcome.replaced
        )
        return bool(results)

    def _written(self, unexplained: Unexplained) -> Outcome:
        study_uid, reasons = unexplained.study.study_uid, unexplained.reasons
        if not self._configuration.report.refusals:
            # It was wanted when the study was refused, and is not any more.
            return Outcome((), reasons, {})
        images = mr_images(self._store.instances(study_uid))
        paths = [self._instance_store.path(one) for one in images]
        out = self._instance_store.result_folder(study_uid) / f"refused-{self._clock.now():%Y%m%dT%H%M%S%f}"
        return self._write(paths, self._configuration, out, reasons, self._store.lineage(study_uid))

    def _try_again(self, study: Study, reason: str) -> None:
        attempt = study.attempts + 1
        if attempt >= self._configuration.engine.attempts:
            self._give_up(study, reason)
            return
        pause = self._backoff.pause(attempt)
        self._store.put_off_explanation(study, self._clock.now() + pause, attempts=attempt)
        self._log.warning("refusal_not_explained", study=study.study_uid, attempt=attempt, reason=reason)

    def _wait_for_disk(self, study: Study, reason: str) -> None:
        """Try again for as long as it takes: a full disk is no fault of the study."""
        self._store.put_off_explanation(study, self._clock.now() + _DISK_PAUSE, attempts=study.attempts)
        self._log.error("storage_full", study=study.study_uid, reason=reason)

    def _give_up(self, study: Study, reason: str) -> None:
        self._store.record_explanation(study, (), self._clock.now())
        self._log.error("refusal_not_explained", study=study.study_uid, reason=reason)
