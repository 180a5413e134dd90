"""Measure a cohort: run the pipeline once on every study, and collect the results in a feature table.

Each finished study has a checkpoint, named by a digest of its files and of the configuration. A run that was
stopped therefore continues where it was, and a study is measured again if it or a setting changed.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from analysis.cohort.cohort_table import CohortRow, read_cohort
from analysis.cohort.feature_table import FeatureTable
from analysis.cohort.record import (
    Repeat,
    StudyRecord,
    detailed,
    findings_record,
    refusal_record,
    table_of,
    useful,
)
from analysis.domain.findings import Findings, Refusal, SeriesFindings
from analysis.domain.reason import quoted
from analysis.errors import AnalysisError, RefusedError
from analysis.settings import AnalysisSettings
from analysis.tasks import Spread, in_turn

__all__ = ["CohortRow", "Masks", "MeasuredCohort", "RefusedStudy", "measure_cohort", "read_cohort"]

Masks = Mapping[str, Path | None]
"""Masks of one reader by sequence, as `CohortRow.masks`."""

Analyse = Callable[[Path, Masks], Findings | Refusal]
ReadSecond = Callable[[SeriesFindings, Path], Mapping[str, float]]

_FORMAT = 2
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class RefusedStudy:
    """A study of the cohort that could not be used, or only in part.

    Attributes
    ----------
    line : int
        Line of the cohort table.
    reasons : tuple of str
        Reasons without patient data.
    """

    line: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredCohort:
    """The result of measuring a cohort.

    Attributes
    ----------
    table : FeatureTable
        The patients with a BMD and at least one sequence that can be learned from.
    refused : tuple of RefusedStudy
        The patients without such a sequence.
    in_part : tuple of RefusedStudy
        Patients with only one usable sequence, or without the second mask that the table names. The reasons
        are those for which a model abstains, or for which the second mask cannot be used.
    rows : tuple of CohortRow
        All patients, in the order of the cohort table.
    records : tuple of dict
        What was measured of each of them (`analysis.cohort.record.StudyRecord`).
    unlabelled : tuple of int
        Lines of the cohort table that were left out, because they have no BMD.
    """

    table: FeatureTable
    refused: tuple[RefusedStudy, ...]
    in_part: tuple[RefusedStudy, ...] = ()
    rows: tuple[CohortRow, ...] = ()
    records: tuple[StudyRecord, ...] = ()
    unlabelled: tuple[int, ...] = ()


def measure_cohort(
    rows: Sequence[CohortRow],
    analyse_study: Analyse,
    settings: AnalysisSettings,
    cache: Path,
    *,
    software: str,
    repeat: Repeat | None = None,
    read_second: ReadSecond | None = None,
    repeats: int = 40,
    in_detail: bool = False,
    spread: Spread = in_turn,
    report_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> MeasuredCohort:
    """Measure every study, resuming from the checkpoints.

    Parameters
    ----------
    rows : sequence of CohortRow
        The result of `read_cohort`.
    analyse_study : callable
        Analyses the study at a path with the masks of a reader, or without any; `spread` may send it to other
        processes.
    settings : AnalysisSettings
        The settings that `analyse_study` uses.
    cache : Path
        Folder of the checkpoints, shared by all processes; created if missing.
    software : str
        Name and version of this program; another version measures again.
    repeat : callable, optional
        Calculates the features of a series again from slightly changed masks; unused if the rows have masks
        of a second reader.
    read_second : callable, optional
        Calculates the features of a series again from the mask of a second reader.
    repeats : int
        Number of patients to repeat, evenly spread over the table.
    in_detail : bool
        Whether checkpoints of an earlier version, which are not `detailed`, are measured again.
    spread : Spread
        Runs the tasks; `in_turn` runs them in this process.
    report_progress : callable
        Called with the number of finished studies and the total.

    Returns
    -------
    MeasuredCohort
        With a row for every patient with a BMD and at least one measured series.
    """
    cache.mkdir(parents=True, exist_ok=True)
    repeated = _repeats(rows, repeat, read_second, repeats)
    tasks = [
        _Study(
            row.study,
            row.masks,
            tuple(_named_masks(row)),
            again,
            f"{_FORMAT} {software} {settings.digest()} {again is not None}",
        )
        for row, again in zip(rows, repeated, strict=True)
    ]
    records: dict[int, StudyRecord] = {}
    for index, record in spread(
        partial(_measured, analyse_study=analyse_study, settings=settings, cache=cache, in_detail=in_detail),
        tasks,
    ):
        records[index] = record
        report_progress(len(records), len(rows))
    learned_from = [index for index in range(len(rows)) if useful(records[index])]
    kept = [index for index in learned_from if rows[index].bmd_mg_cm3 is not None]
    told = [RefusedStudy(row.line, tuple(records[index]["reasons"])) for index, row in enumerate(rows)]
    table = table_of([rows[index] for index in kept], [records[index] for index in kept], settings)
    return MeasuredCohort(
        table=table,
        refused=tuple(told[index] for index in range(len(rows)) if not useful(records[index])),
        in_part=tuple(told[index] for index in learned_from if told[index].reasons),
        rows=tuple(rows),
        records=tuple(records[index] for index in range(len(rows))),
    )


def _named_masks(row: CohortRow) -> Iterator[tuple[str, Path | None]]:
    """Yield the masks of a patient with what they are of; an empty cell is unlike a missing column."""
    for reader, masks in (("first", row.masks), ("second", row.second_masks)):
        for sequence, path in masks.items():
            yield f"{reader} mask of {sequence}", path


def _repeats(
    rows: Sequence[CohortRow], repeat: Repeat | None, read_second: ReadSecond | None, count: int
) -> list[Repeat | None]:
    """Return how each patient is measured again: by the second reader of the table, or else by `repeat`."""
    if read_second is not None and any(row.second_masks for row in rows):
        return [
            partial(_second, masks=row.second_masks, read=read_second)
            if any(row.second_masks.values())
            else None
            for row in rows
        ]
    again = _evenly(len(rows), count) if repeat else frozenset()
    return [repeat if index in again else None for index in range(len(rows))]


def _second(found: SeriesFindings, *, masks: Masks, read: ReadSecond) -> Mapping[str, float]:
    path = masks.get(found.identification.contrast.value)
    return {} if path is None else read(found, path)


@dataclass(frozen=True, slots=True)
class _Study:
    """One study to measure; `configuration` and the masks are part of the name of its checkpoint."""

    path: Path
    masks: Masks
    named_masks: tuple[tuple[str, Path | None], ...]
    repeat: Repeat | None
    configuration: str


def _measured(
    study: _Study, *, analyse_study: Analyse, settings: AnalysisSettings, cache: Path, in_detail: bool
) -> StudyRecord:
    """Return the record of one study, from its checkpoint if there is one."""
    try:
        key = _digest(study.path, study.named_masks, study.configuration)
    except OSError as error:
        return refusal_record(Refusal((quoted(f"the study cannot be read: {error.strerror}"),)))
    checkpoint = cache / f"{key}.json"
    stored = _stored(checkpoint)
    if stored is not None and (detailed(stored) or not in_detail):
        return stored
    try:
        found = analyse_study(study.path, study.masks)
    except RefusedError as error:
        found = Refusal(error.reasons)
    except AnalysisError as error:
        # The cause may lie outside the study, so there is no checkpoint and the next run tries again.
        return refusal_record(Refusal((quoted(str(error)),)))
    if isinstance(found, Refusal):
        record = refusal_record(found)
    else:
        record = findings_record(found, study.repeat, settings)
    # Written to another name and renamed, so that a checkpoint is complete or missing.
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


def _digest(study: Path, masks: Sequence[tuple[str, Path | None]], configuration: str) -> str:
    """Return the SHA-256 (hex) of the configuration, of all files of a study by name, and of its masks."""
    hasher = sha256(configuration.encode())
    files = [study] if study.is_file() else sorted(path for path in study.rglob("*") if path.is_file())
    named = [(path.relative_to(study).as_posix(), path) for path in files]
    named += [(name, path) for name, path in masks if path is not None]
    hasher.update("".join(f"\0no {name}" for name, path in masks if path is None).encode())
    for name, path in named:
        hasher.update(f"\0{name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                hasher.update(block)
    return hasher.hexdigest()


def _evenly(total: int, wanted: int) -> frozenset[int]:
    return frozenset(np.linspace(0, total - 1, min(wanted, total)).round().astype(int).tolist())
