"""The worker processes; if one of them fails, the node continues."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

from analysis.domain.reason import Reason
from analysis.settings import AnalysisSettings
from node.analyse.analyst import Analysis
from node.app.resources import Resources
from node.config import Configuration
from node.domain.completeness import Examination, SeriesDecision
from node.domain.model_answer import ModelAnswer, ModelQuestion
from node.domain.records import Sameness
from node.domain.results import Lineage, Outcome
from node.errors import WorkerLostError
from node.ports import Worker
from node.tally import WorkerActivity

__all__ = ["Workers"]

_EXAMINATION_LIMIT_S = 120.0


class Workers:
    """Processes that examine, report refusals, compare and tell of series, one each, and those that analyse.

    Parameters
    ----------
    resources : Resources
        Supplies the configuration, with the number of processes and their limits.
    make_worker : callable
        Makes a worker from the name of a function and a memory limit in MB, or None.
    analyse_study, examine_study, report_refusal, compare_instances, tell_series, answer_in_shadow : str
        The functions that they run, as "module:function".

    Attributes
    ----------
    activities : tuple of WorkerActivity
        What each of the processes that analyse is doing.
    """

    def __init__(
        self,
        resources: Resources,
        make_worker: Callable[[str, int | None], Worker],
        *,
        analyse_study: str,
        examine_study: str = "node.settle.examine_headers:examine_headers",
        report_refusal: str = "node.analyse.refusal_report:write_refusal_report",
        compare_instances: str = "node.decode.sameness:compare_instances",
        tell_series: str = "node.settle.tell_series:tell_series",
        answer_in_shadow: str = "node.analyse.model_answers:answer_in_shadow",
    ) -> None:
        engine = resources.configuration.engine
        self._limit_s = engine.time_limit_s
        self._examiner = make_worker(examine_study, engine.memory_limit_mb)
        # Started by its first call, which most sites never make.
        self._writer = make_worker(report_refusal, engine.memory_limit_mb)
        # Compares instances that are sent again in other bytes; started by its first call, too.
        self._comparer = make_worker(compare_instances, engine.memory_limit_mb)
        # Tells the status page of series; started by its first call, so never where nobody logs in.
        self._teller = make_worker(tell_series, engine.memory_limit_mb)
        self._tells = threading.Lock()
        # A process of its own, so that a model in the shadow that hangs or crashes ends no analysis. It is
        # started by its first call, so never where no such model is configured.
        self._shadow = make_worker(answer_in_shadow, engine.memory_limit_mb)
        self._shadow_is_asked = threading.Lock()
        self._analysts = [make_worker(analyse_study, engine.memory_limit_mb) for _ in range(engine.processes)]
        self._all = (
            *self._analysts,
            self._examiner,
            self._writer,
            self._comparer,
            self._teller,
            self._shadow,
        )
        self.activities = tuple(
            WorkerActivity(resources.clock, resources.tally, monotonic) for _ in self._analysts
        )

    def start(self, *, examines: bool = True) -> None:
        """Start the processes that every study needs; they take seconds to import `analysis`.

        Parameters
        ----------
        examines : bool
            Whether this node examines studies; if not, it only analyses.
        """
        for worker in (*self._analysts, *((self._examiner,) if examines else ())):
            worker.start(warm=True)

    def interrupt(self) -> None:
        """End running calls, and accept no more calls."""
        for worker in self._all:
            worker.interrupt()

    def stop(self) -> None:
        """End all processes, once nothing calls them any more."""
        for worker in self._all:
            worker.stop()

    def examine(self, paths: Sequence[Path]) -> Examination:
        """Examine the headers of a study."""
        examination: Examination = self._examiner.call(paths, time_limit_s=_EXAMINATION_LIMIT_S)
        return examination

    def compare(self, kept: Path, arrived: Path) -> Sameness:
        """Compare an instance with the one that is kept under its UID."""
        found: Sameness = self._comparer.call(kept, arrived, time_limit_s=_EXAMINATION_LIMIT_S)
        return found

    def tell_series(
        self, images: Sequence[Path], segmentations: Sequence[Path]
    ) -> tuple[SeriesDecision, ...]:
        """Tell what was decided of each series of a study; from any thread."""
        with self._tells:
            told: tuple[SeriesDecision, ...] = self._teller.call(
                images, segmentations, time_limit_s=_EXAMINATION_LIMIT_S
            )
        return told

    def ask_shadow(
        self, asked: ModelQuestion, bundle: Path, settings: AnalysisSettings, limit_s: float
    ) -> tuple[ModelAnswer, ...]:
        """Ask a model in the shadow about a study, within a time; from any thread.

        Raises
        ------
        WorkerLostError
            If it does not answer in time, or the model that another study asks takes all of it.
        """
        began = monotonic()
        if not self._shadow_is_asked.acquire(timeout=limit_s):
            raise WorkerLostError(f"another study asked a model in the shadow for longer than {limit_s:g} s")
        try:
            left_s = max(0.0, limit_s - (monotonic() - began))
            told: tuple[ModelAnswer, ...] = self._shadow.call(asked, bundle, settings, time_limit_s=left_s)
        finally:
            self._shadow_is_asked.release()
        return told

    def report_refusal(
        self,
        paths: Sequence[Path],
        configuration: Configuration,
        out: Path,
        reasons: tuple[Reason, ...],
        lineage: Lineage,
    ) -> Outcome:
        """Write the text report of a refusal."""
        outcome: Outcome = self._writer.call(
            paths, configuration, out, reasons, lineage, time_limit_s=_EXAMINATION_LIMIT_S
        )
        return outcome

    def analyses(self) -> list[Analysis]:
        """Return a function that analyses a study, for each process that analyses."""
        return [self._analysis(*place) for place in zip(self._analysts, self.activities, strict=True)]

    def _analysis(self, worker: Worker, activity: WorkerActivity) -> Analysis:
        def analyse(
            paths: Sequence[Path], configuration: Configuration, out: Path, lineage: Lineage
        ) -> Outcome:
            with activity.analysing() as ended:
                outcome: Outcome = worker.call(paths, configuration, out, lineage, time_limit_s=self._limit_s)
                ended("refused" if outcome.refusals else "reported")
            return outcome

        return analyse
