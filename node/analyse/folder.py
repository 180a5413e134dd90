"""Analyse all studies of some folders: each in a worker process, as many side by side as there are cores."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self

from analysis.domain.reason import Reason
from analysis.errors import AnalysisError
from node.analyse.findings import Progress, no_progress
from node.analyse.study import analyse_files
from node.analyse.worker_process import WorkerProcess
from node.config import Configuration, EngineSettings
from node.decode import faults_of, files_below, scan
from node.decode.reading import series_of
from node.domain.results import Outcome
from node.errors import NodeError

__all__ = ["StudyFiles", "StudyOutcome", "analyse_folder", "perform", "studies_below"]


@dataclass(frozen=True, slots=True)
class StudyFiles:
    """The files of a study.

    Attributes
    ----------
    study_uid : str
        Study Instance UID.
    paths : tuple of Path
        Its instances.
    """

    study_uid: str
    paths: tuple[Path, ...]


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
    analyse: Callable[..., Outcome] = analyse_files,
    report_progress: Progress = no_progress,
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
    analyse : callable
        What analyses the files of a study in a worker process.
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
    with _Crew(configuration.engine) as crew:
        found = crew.call(studies_below, files_below(paths), report_progress=report_progress)
        studies, unreadable = found
        tasks = [
            partial(crew.call, analyse, study.paths, configuration, folder, report_progress=told)
            for study, folder, told in zip(
                studies, _folders(out, len(studies)), _steps(report_progress, len(studies)), strict=True
            )
        ]
        outcomes = [
            StudyOutcome(study.study_uid, outcome, fault)
            for study, (outcome, fault) in zip(studies, crew.side_by_side(tasks), strict=True)
        ]
    if unreadable or not outcomes:
        outcomes.append(StudyOutcome("", Outcome((), unreadable or (Reason("no_files"),), {})))
    return tuple(outcomes)


def studies_below(
    paths: Sequence[Path], *, report_progress: Progress = no_progress
) -> tuple[tuple[StudyFiles, ...], tuple[Reason, ...]]:
    """Tell which files belong to which study, and why files could not be read."""
    report_progress("reading headers")
    series, unreadable = scan(paths)
    studies: dict[str, list[Path]] = {one.study_uid: [] for one in series}
    of = {path: one.study_uid for one in series for path in one.paths}
    for path in set(paths) - of.keys() - {file.path for file in unreadable}:
        # A damaged instance of a readable series: it is a fault of this series.
        if key := series_of(path):
            of[path] = key[0]
    for path in paths:
        if path in of:
            studies[of[path]].append(path)
    files = tuple(StudyFiles(uid, tuple(own)) for uid, own in studies.items())
    return files, faults_of(unreadable) if unreadable else ()


def perform(function: Callable[..., Any], *arguments: object, report_progress: Progress) -> Any:  # noqa: ANN401 - any
    """Call a function of this package in a worker process."""
    return function(*arguments, report_progress=report_progress)


class _Crew:
    """Worker processes that do the same work side by side; the first of them starts at once.

    Each call waits for a worker that is idle.
    """

    def __init__(self, limits: EngineSettings) -> None:
        self._limits = limits
        self._idle: SimpleQueue[WorkerProcess] = SimpleQueue()
        self._workers: list[WorkerProcess] = []

    def __enter__(self) -> Self:
        self._hire()
        return self

    def __exit__(self, *_exception: object) -> None:
        for worker in self._workers:
            worker.stop()

    def _hire(self) -> None:
        worker = WorkerProcess(f"{__name__}:perform", self._limits.memory_limit_mb)
        self._workers.append(worker)
        worker.start()
        self._idle.put(worker)

    def call(self, function: Callable[..., Any], *arguments: object, report_progress: Progress) -> Any:  # noqa: ANN401 - any
        """Call the function in a worker; see `WorkerProcess.call` for what it raises."""
        worker = self._idle.get()
        try:
            return worker.call(
                function,
                *arguments,
                time_limit_s=self._limits.time_limit_s,
                report_progress=report_progress,
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
