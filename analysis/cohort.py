"""From a cohort table to a feature table: every study through the whole pipeline, once.

Each finished study leaves a checkpoint named by digests of its files and of the configuration, so a run that
was stopped goes on where it was, and a study or a setting that changed is measured again.
"""

import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.cohort_table import CohortRow, read_cohort
from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Findings, Refusal, SeriesFindings
from analysis.errors import AnalysisError, RefusedError
from analysis.feature_table import SEQUENCES, FeatureTable, SequenceTable
from analysis.settings import AnalysisSettings

__all__ = ["CohortRow", "MeasuredCohort", "RefusedStudy", "measure_cohort", "read_cohort"]

Analyse = Callable[[Path], Findings | Refusal]
Repeat = Callable[[SeriesFindings], Mapping[str, float]]

_FORMAT = 1
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class RefusedStudy:
    """A study of the cohort that could not be measured.

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
        The patients that were measured.
    refused : tuple of RefusedStudy
        The others.
    """

    table: FeatureTable
    refused: tuple[RefusedStudy, ...]


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
    measure = partial(_measured, analyse_study=analyse_study, cache=cache)
    tasks = [
        partial(
            measure,
            row.study,
            repeat=repeat if index in again else None,
            configuration=f"{_FORMAT} {software} {settings.digest()} {index in again}",
        )
        for index, row in enumerate(rows)
    ]
    records: dict[int, dict[str, Any]] = {}
    for index, record in _run(tasks, workers):
        records[index] = record
        report_progress(len(records), len(rows))
    kept = [index for index in range(len(rows)) if records[index]["sequences"]]
    refused = tuple(
        RefusedStudy(rows[index].line, tuple(records[index]["reasons"]))
        for index in range(len(rows))
        if not records[index]["sequences"]
    )
    table = _table([rows[index] for index in kept], [records[index]["sequences"] for index in kept], settings)
    return MeasuredCohort(table, refused)


def _run(tasks: Sequence[Callable[[], dict[str, Any]]], workers: int) -> Iterator[tuple[int, dict[str, Any]]]:
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
    study: Path, *, analyse_study: Analyse, repeat: Repeat | None, configuration: str, cache: Path
) -> dict[str, Any]:
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
    record = _refusal_record(found) if isinstance(found, Refusal) else _findings_record(found, repeat)
    # Written aside and renamed: a checkpoint is whole or not there.
    aside = checkpoint.with_suffix(".part")
    aside.write_text(json.dumps(record, allow_nan=False), encoding="utf-8")
    aside.replace(checkpoint)
    return record


def _stored(checkpoint: Path) -> dict[str, Any] | None:
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


def _refusal_record(refusal: Refusal) -> dict[str, Any]:
    series = [reason for one in refusal.series for reason in one.reasons]
    return {"sequences": {}, "reasons": list(dict.fromkeys([*refusal.reasons, *series]))}


def _findings_record(findings: Findings, repeat: Repeat | None) -> dict[str, Any]:
    sequences = {}
    for name in SEQUENCES:
        found = findings.of(Contrast(name))
        if found is not None:
            facts = found.source.facts
            sequences[name] = {
                "features": found.patient_features,
                "repeated": _repeated(found, repeat),
                "vbq": found.bone_quality.score,
                "repetition_time_ms": facts.repetition_time_ms,
                "echo_time_ms": facts.echo_time_ms,
                "field_strength_t": facts.field_strength_t,
            }
    reasons = [reason for one in findings.set_aside for reason in one.reasons]
    return {"sequences": sequences, "reasons": reasons}


def _repeated(found: SeriesFindings, repeat: Repeat | None) -> dict[str, float]:
    if repeat is None or not found.patient_features:
        return {}
    try:
        return dict(repeat(found))
    except RefusedError:
        return {}  # a body that a small change makes too small to measure has no second measurement


def _table(
    rows: Sequence[CohortRow], records: Sequence[Mapping[str, Any]], settings: AnalysisSettings
) -> FeatureTable:
    return FeatureTable(
        patient_ids=tuple(row.patient_id for row in rows),
        bmd_mg_cm3=np.array([row.bmd_mg_cm3 for row in rows], dtype=np.float64),
        age=_column([row.age for row in rows]),
        female=_column([None if row.sex is None else float(row.sex == "F") for row in rows]),
        sequences={name: _sequence([record.get(name, {}) for record in records]) for name in SEQUENCES},
        features_digest=settings.features.digest(),
        simulated=any(row.simulated for row in rows),
    )


def _sequence(records: Sequence[Mapping[str, Any]]) -> SequenceTable:
    names = sorted({name for record in records for name in record.get("features", {})})
    return SequenceTable(
        names=tuple(names),
        values=_matrix([record.get("features", {}) for record in records], names),
        repeated=_matrix([record.get("repeated", {}) for record in records], names),
        vbq=_column([record.get("vbq") for record in records]),
        repetition_time_ms=_column([record.get("repetition_time_ms") for record in records]),
        echo_time_ms=_column([record.get("echo_time_ms") for record in records]),
        field_strength_t=_column([record.get("field_strength_t") for record in records]),
    )


def _matrix(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> npt.NDArray[np.float64]:
    matrix = np.full((len(rows), len(names)), np.nan)
    for index, row in enumerate(rows):
        if row and set(row) != set(names):
            raise AnalysisError(
                "studies of one cohort have different features; was the configuration changed?"
            )
        if row:
            matrix[index] = [row[name] for name in names]
    return matrix


def _column(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _evenly(total: int, wanted: int) -> frozenset[int]:
    return frozenset(np.linspace(0, total - 1, min(wanted, total)).round().astype(int).tolist())
