"""From a cohort table to a feature table: every study through the whole pipeline, once.

Each finished study leaves a checkpoint named by digests of its files and of the configuration, so a run that
was stopped goes on where it was, and a study or a setting that changed is measured again.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from analysis.cohort.cohort_table import CohortRow, read_cohort
from analysis.cohort.feature_table import FeatureTable
from analysis.cohort.record import Repeat, StudyRecord, findings_record, refusal_record, table_of, useful
from analysis.domain.findings import Findings, Refusal
from analysis.errors import AnalysisError, RefusedError
from analysis.settings import AnalysisSettings
from analysis.tasks import Spread, in_turn

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
    spread: Spread = in_turn,
    report_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> MeasuredCohort:
    """Measure every study, resuming from the checkpoints.

    Parameters
    ----------
    rows : sequence of CohortRow
        From `read_cohort`.
    analyse_study : callable
        From a path to what was found there; `spread` may send it to other processes.
    settings : AnalysisSettings
        What the analysis works with.
    cache : Path
        Folder of the checkpoints; made if need be, and shared by all who work.
    software : str
        Name and version of this program; another version measures again.
    repeat : callable, optional
        Takes the features of a series once more from slightly changed masks.
    repeats : int
        For how many patients, evenly spread over the table.
    spread : Spread
        Who does it; `in_turn` stays in this process.
    report_progress : callable
        Told how many of how many studies are done.

    Returns
    -------
    MeasuredCohort
        With a row for every patient of whom at least one series was measured.
    """
    cache.mkdir(parents=True, exist_ok=True)
    again = _evenly(len(rows), repeats) if repeat else frozenset()
    tasks = [
        _Study(
            row.study,
            repeat if index in again else None,
            f"{_FORMAT} {software} {settings.digest()} {index in again}",
        )
        for index, row in enumerate(rows)
    ]
    records: dict[int, StudyRecord] = {}
    for index, record in spread(
        partial(_measured, analyse_study=analyse_study, settings=settings, cache=cache), tasks
    ):
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


@dataclass(frozen=True, slots=True)
class _Study:
    """One study to measure, perhaps twice, and by what its checkpoint is named beside its files."""

    path: Path
    repeat: Repeat | None
    configuration: str


def _measured(
    study: _Study, *, analyse_study: Analyse, settings: AnalysisSettings, cache: Path
) -> StudyRecord:
    """Return the record of one study, from its checkpoint if there is one."""
    try:
        key = _digest(study.path, study.configuration)
    except OSError as error:
        return {"sequences": {}, "reasons": [f"the study cannot be read: {error.strerror}"]}
    checkpoint = cache / f"{key}.json"
    stored = _stored(checkpoint)
    if stored is not None:
        return stored
    try:
        found = analyse_study(study.path)
    except RefusedError as error:
        found = Refusal(error.reasons)
    except AnalysisError as error:
        # Not a property of the study for certain, so the next run tries again.
        return {"sequences": {}, "reasons": [str(error)]}
    if isinstance(found, Refusal):
        record = refusal_record(found)
    else:
        record = findings_record(found, study.repeat, settings)
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
