"""Analyse all studies of some folders: each in a worker process, as many side by side as there are cores."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from analysis.domain.examination import Examination
from analysis.domain.reason import Reason
from analysis.domain.remoteness import Departure
from analysis.errors import AnalysisError
from node.analyse.worker_process import WorkerProcess
from node.config import Configuration, EngineSettings
from node.domain.results import Lineage, Outcome
from node.errors import NodeError

__all__ = ["StudyOutcome", "analyse_folder"]

_READ = "node.decode.files:studies_below"
_ANALYSE = "node.analyse.study:analyse_files"
"""Functions are named, because only the worker processes import what they need."""

Progress = Callable[[str], None]
"""Told each next step, in words."""


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """The outcome of one of several studies.

    Attributes
    ----------
    study_uid : str
        Study Instance UID; empty for the files that could not be read.
    outcome : Outcome
        Result files or refusals; neither if the program failed at the study.
    fault : str
        How the program failed at it; empty if it did not.
    """

    study_uid: str
    outcome: Outcome
    fault: str = ""


def analyse_folder(
    paths: Sequence[Path],
    configuration: Configuration,
    out: Path,
    *,
    now: datetime | None = None,
    priors: Sequence[Examination] = (),
    departures: Sequence[Departure] = (),
    analyse: str = _ANALYSE,
    report_progress: Progress = lambda _step: None,
) -> tuple[StudyOutcome, ...]:
    """Analyse all studies found at or below the paths, with the limits of `[engine]` for each.

    A study at which the program fails costs no other study its result.

    Parameters
    ----------
    paths : sequence of Path
        Files, or folders that hold them.
    configuration : Configuration
        See `node.analyse.study.analyse_files`.
    out : Path
        Folder for the results of a single study; those of several go to a subfolder each.
    now : datetime, optional
        When the results are made; by default, when they are written.
    priors : sequence of Examination
        Earlier examinations; each study is compared with the latest of its own patient.
    departures : sequence of Departure
        Bases in which the scanners of all these studies have left the range of the configured model.
    analyse : str
        The function, "module:function", that analyses the files of a study in a worker process.
    report_progress : callable, optional
        Told each next step of a single study, or the beginning of each of several, in words.

    Returns
    -------
    tuple of StudyOutcome
        In the order of the Study Instance UIDs; last the files that could not be read, if there are any.

    Raises
    ------
    FileNotFoundError
        If one of the paths does not exist.
    NodeError
        If the headers could not be read within the limits.
    """
    engine, lineage = configuration.engine, Lineage(priors=tuple(priors), departed=tuple(departures))
    with closing(_Crew(_READ, engine)) as reader, closing(_Crew(analyse, engine)) as analysts:
        report_progress("reading headers")
        studies, unreadable = reader.call(tuple(paths))
        tasks = [
            partial(analysts.call, files, configuration, folder, lineage, now, report_progress=told)
            for (_, files), folder, told in zip(
                studies, _folders(out, len(studies)), _steps(report_progress, len(studies)), strict=True
            )
        ]
        outcomes = [
            StudyOutcome(study_uid, outcome, fault)
            for (study_uid, _), (outcome, fault) in zip(studies, analysts.side_by_side(tasks), strict=True)
        ]
    if unreadable or not outcomes:
        outcomes.append(StudyOutcome("", Outcome((), unreadable or (Reason("no_files"),), {})))
    return tuple(outcomes)


class _Crew:
    """Worker processes that do the same work side by side; the first of them is started at once.

    Each call waits for a worker that is idle.
    """

    def __init__(self, function: str, limits: EngineSettings) -> None:
        self._function = function
        self._limits = limits
        self._idle: SimpleQueue[WorkerProcess] = SimpleQueue()
        self._workers: list[WorkerProcess] = []
        self._hire()

    def _hire(self) -> None:
        worker = WorkerProcess(self._function, self._limits.memory_limit_mb)
        self._workers.append(worker)
        worker.start(warm=True)
        self._idle.put(worker)

    def close(self) -> None:
        """End the processes; no call may be in progress."""
        for worker in self._workers:
            worker.stop()

    def call(self, *arguments: object, report_progress: Progress | None = None) -> Any:  # noqa: ANN401 - any
        """Call the function in a worker; see `WorkerProcess.call` for what it raises."""
        worker = self._idle.get()
        try:
            return worker.call(
                *arguments, time_limit_s=self._limits.time_limit_s, report_progress=report_progress
            )
        finally:
            self._idle.put(worker)

    def side_by_side(self, calls: Sequence[Callable[[], Outcome]]) -> Iterator[tuple[Outcome, str]]:
        """Yield for each call, in their order, its outcome and how it failed."""
        most = max(1, min(len(calls), len(os.sched_getaffinity(0))))
        while len(self._workers) < most:
            self._hire()
        with ThreadPoolExecutor(most) as pool:
            try:
                yield from pool.map(_with_fault, calls)
            except BaseException:
                # A person who presses Ctrl-C waits for no analysis.
                for worker in self._workers:
                    worker.interrupt()
                pool.shutdown(cancel_futures=True)
                raise


def _with_fault(call: Callable[[], Outcome]) -> tuple[Outcome, str]:
    try:
        return call(), ""
    except (AnalysisError, NodeError) as error:
        return Outcome((), (), {}), str(error)


def _folders(out: Path, studies: int) -> list[Path]:
    return [out] if studies == 1 else [out / f"study_{number}" for number in range(1, studies + 1)]


def _steps(report_progress: Progress, studies: int) -> list[Progress]:
    """Return for each study what its steps are told to; of several, only the first step is passed on."""
    if studies == 1:
        return [report_progress]
    return [_begin(report_progress, f"study {number} of {studies}") for number in range(1, studies + 1)]


def _begin(report_progress: Progress, name: str) -> Progress:
    steps = count()

    def step(_name: str) -> None:
        if next(steps) == 0:
            report_progress(name)

    return step
