"""What follows a refusal where a site wants it: a text report in the archive that says why."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from analysis.domain.reason import Reason
from node.config import Configuration
from node.dimse import IMAGE_CLASSES
from node.domain.results import Lineage, Outcome
from node.errors import PermanentError, TransientError
from node.instance_store import DiskInstanceStore
from node.observe import Log
from node.outgoing import outgoing
from node.ports import Clock, Store

__all__ = ["Explainer", "Explanation"]


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
    """Puts the reason of a refusal into the outbox.

    Parameters
    ----------
    store, instance_store, clock : Store, DiskInstanceStore, Clock
        See `node.ports`.
    write : Explanation
        Usually a call into a worker process.
    configuration : Configuration
        Says in [report] whether refusals are sent, and to whom.
    log : Log
        Gets one line for each refusal that could not be explained.
    """

    def __init__(
        self,
        *,
        store: Store,
        instance_store: DiskInstanceStore,
        clock: Clock,
        write: Explanation,
        configuration: Configuration,
        log: Log,
    ) -> None:
        self._store = store
        self._instance_store = instance_store
        self._clock = clock
        self._write = write
        self._configuration = configuration
        self._log = log

    def explain(self, study_uid: str, reasons: Sequence[Reason]) -> None:
        """Send why a study was refused, if the site wants that.

        The refusal itself is recorded already; what goes wrong here is told in the log and costs the
        explanation only, since `osteonode why` gives the reason too.
        """
        if not self._configuration.report.refusals:
            return
        instances = self._store.instances(study_uid)
        images = [one for one in instances if one.sop_class_uid in IMAGE_CLASSES]
        paths = [self._instance_store.path(one) for one in images]
        now = self._clock.now()
        out = self._instance_store.result_folder(study_uid) / f"refused-{now:%Y%m%dT%H%M%S%f}"
        try:
            outcome = self._write(
                paths, self._configuration, out, tuple(reasons), self._store.lineage(study_uid)
            )
        except (TransientError, PermanentError) as error:
            self._log.warning("refusal_not_explained", study=study_uid, reason=str(error))
            return
        if not outcome.results:
            return
        results = outgoing(outcome.results, self._configuration, self._instance_store.results)
        self._store.record_explanation(study_uid, results, now, key=outcome.key, replaced=outcome.replaced)
