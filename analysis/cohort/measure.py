"""From a cohort table to a feature table: every study through the whole pipeline, once.

Each finished study leaves a checkpoint named by digests of its files and of the configuration, so a run that
was stopped goes on where it was, and a study or a setting that changed is measured again.
"""

import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from analysis.cohort.features import FeatureTable
from analysis.cohort.record import Repeat, StudyRecord, findings_record, refusal_record, table_of, useful
from analysis.cohort.table import CohortRow, read_cohort
from analysis.domain.findings import Findings, Refusal
from analysis.errors import AnalysisError, RefusedError
from analysis.settings import AnalysisSettings

__all__ = ["CohortRow", "MeasuredCohort", "RefusedStudy", "measure_cohort", "read_cohort"]

Analyse = Callable[[Path], Findings | Refusal]

_FORMAT = 2
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class RefusedStudy:
    """A study of the cohort that could not be used, or not all of it.

    Attributes
    ----------
    line : int
        Of the cohort table.
    reasons : tuple of str
        Why, without patient data.
    """

    line: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredCohort:
    """What became of a cohort.

    Attributes
    ----------
    table : FeatureTable
        The patients of whom at least one sequence bears learning from.
    refused : tuple of RefusedStudy
        The others.
    in_part : tuple of RefusedStudy
        Patients in the table who lack a sequence, by what a model would abstain for, too.
    """

    table: FeatureTable
    refused: tuple[RefusedStudy, ...]
    in_part: tuple[RefusedStudy, ...] = ()


def measure_cohort(
    rows: Sequence[CohortRow],
    analyse_study: Analyse,
    settings: AnalysisSettings,
    cache: Path,
    *,
    software: str,
    repeat: Repeat | None = None,
    repeats: int = 40,
    workers: int = 1,
    report_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> MeasuredCohort:
    """Measure every study, resuming from the checkpoints.

    Parameters
    ----------
    rows : sequence of CohortRow
        From `read_cohort`.
    analyse_study : callable
        From a path to what was found there; a function of a module when there are several workers, since it
        is sent to other processes.
    settings : AnalysisSettings
        What the analysis works with.
    cache : Path
        Folder of the checkpoints; made if need be.
    software : str
        Name and version of this program; another version measures again.
    repeat : callable, optional
        Takes the features of a series once more from slightly changed masks.
    repeats : int
        For how many patients, evenly spread over the table.
    workers : int
        Processes; 1 stays in this one.
    report_progress : callable
        Told how many of how many studies are done.

    Returns
    -------
    MeasuredCohort
        With a row for every patient of whom at least one series was measured.

    Raises
    ------
    AnalysisError
        If a worker process died; what was finished is kept.
    """
    cache.mkdir(parents=True, exist_ok=True)
    again = _evenly(len(rows), repeats) if repeat else frozenset()
    measure = partial(_measured, analyse_study=analyse_study, settings=settings, cache=cache)
    tasks = [
        partial(
            measure,
            row.study,
            repeat=repeat if index in again else None,
            configuration=f"{_FORMAT} {software} {settings.digest()} {index in again}",
        )
        for index, row in enumerate(rows)
    ]
    records: dict[int, StudyRecord] = {}
    for index, record in _run(tasks, workers):
        records[index] = record
        report_progress(len(records), len(rows))
    kept = [index for index in range(len(rows)) if useful(records[index])]
    told = [RefusedStudy(row.line, tuple(records[index]["reasons"])) for index, row in enumerate(rows)]
    table = table_of(
        [rows[index] for index in kept], [records[index]["sequences"] for index in kept], settings
    )
    return MeasuredCohort(
        table=table,
        refused=tuple(told[index] for index in range(len(rows)) if index not in kept),
        in_part=tuple(told[index] for index in kept if told[index].reasons),
    )


def _run(tasks: Sequence[Callable[[], StudyRecord]], workers: int) -> Iterator[tuple[int, StudyRecord]]:
    if workers == 1:
        for index, task in enumerate(tasks):
            yield index, task()
        return
    # A fresh process inherits no threads; ITK and OpenMP do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        pending = {pool.submit(task): index for index, task in enumerate(tasks)}
        try:
            for done in as_completed(pending):
                yield pending[done], done.result()
        except BrokenProcessPool as error:
            raise AnalysisError(
                "a worker process died, out of memory perhaps; run again to go on with fewer workers"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _measured(
    study: Path,
    *,
    analyse_study: Analyse,
    repeat: Repeat | None,
    settings: AnalysisSettings,
    configuration: str,
    cache: Path,
) -> StudyRecord:
    """Return the record of one study, from its checkpoint if there is one."""
    try:
        key = _digest(study, configuration)
    except OSError as error:
        return {"sequences": {}, "reasons": [f"the study cannot be read: {error.strerror}"]}
    checkpoint = cache / f"{key}.json"
    stored = _stored(checkpoint)
    if stored is not None:
        return stored
    try:
        found = analyse_study(study)
    except RefusedError as error:
        found = Refusal(error.reasons)
    except AnalysisError as error:
        # Not a property of the study for certain, so the next run tries again.
        return {"sequences": {}, "reasons": [str(error)]}
    record = refusal_record(found) if isinstance(found, Refusal) else findings_record(found, repeat, settings)
    # Written aside and renamed: a checkpoint is whole or not there.
    aside = checkpoint.with_suffix(".part")
    aside.write_text(json.dumps(record, allow_nan=False), encoding="utf-8")
    aside.replace(checkpoint)
    return record


def _stored(checkpoint: Path) -> StudyRecord | None:
    try:
        record = json.loads(checkpoint.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and {"sequences", "reasons"} <= record.keys() else None


def _digest(study: Path, configuration: str) -> str:
    """SHA-256 (hex) of the configuration and of all files of a study, by their names within it."""
    hasher = sha256(configuration.encode())
    files = [study] if study.is_file() else sorted(path for path in study.rglob("*") if path.is_file())
    for path in files:
        hasher.update(f"\0{path.relative_to(study).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                hasher.update(block)
    return hasher.hexdigest()


def _evenly(total: int, wanted: int) -> frozenset[int]:
    return frozenset(np.linspace(0, total - 1, min(wanted, total)).round().astype(int).tolist())
