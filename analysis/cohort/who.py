"""Who was in: the flow of patients from the table to the analysis, their Table 1, and the sample size."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.cohort.cohort_table import CohortRow
from analysis.cohort.measure import MeasuredCohort
from analysis.cohort.record import StudyRecord, useful
from analysis.domain.findings import Target
from analysis.statistics.sample_size import SampleSize, needed

__all__ = ["Characteristic", "Flow", "Need", "WhoWasIn", "who_was_in"]

_UNREADABLE = frozenset({"of_file", "of_files"})
_FAULT = "the study cannot be read"


@dataclass(frozen=True, slots=True)
class Flow:
    """The way of the patients from the table to the analysis.

    Attributes
    ----------
    rows : int
        Rows of the cohort table.
    unlabelled : int
        Those without a BMD.
    unreadable : int
        Those whose files cannot be read.
    refused : int
        Those that were read, and have no sequence that a model may learn from.
    reasons : tuple of (str, int)
        Why the unreadable and the refused were left out, with the number of patients, most frequent first.
    one_sequence : int
        Those of the analysed with only one of T1 and T2.
    """

    rows: int
    unlabelled: int
    unreadable: int
    refused: int
    reasons: tuple[tuple[str, int], ...]
    one_sequence: int

    @property
    def analysed(self) -> int:
        """Patients with a BMD and features of at least one sequence."""
        return self.rows - self.unlabelled - self.unreadable - self.refused


@dataclass(frozen=True, slots=True)
class Characteristic:
    """A line of Table 1: a text for all analysed patients, and for those with and without each target."""

    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Need:
    """What Riley's criteria ask for one target.

    Attributes
    ----------
    target : Target
        The target.
    patients, present : int
        The analysed patients, and those with the target.
    candidates : int
        Number of features before any selection.
    needed : SampleSize or None
        The patients that are needed; None if all or none have the target.
    """

    target: Target
    patients: int
    present: int
    candidates: int
    needed: SampleSize | None

    @property
    def warning(self) -> str | None:
        """A sentence if the patients are too few, or None."""
        if self.needed is not None and self.patients >= self.needed.patients:
            return None
        wanted = "more" if self.needed is None else f"{self.needed.patients:,}"
        return (
            f"{self.target.value}: {self.patients} patients, {self.present} of them with the target, and "
            f"{self.candidates} candidate features of one sequence; Riley's criteria ask for {wanted} "
            "patients. With fewer, chance decides what is selected, and probabilities are too extreme for "
            "new patients."
        )


@dataclass(frozen=True, slots=True)
class WhoWasIn:
    """Flow, Table 1 and sample size of a cohort.

    Attributes
    ----------
    flow : Flow
        The way of the patients.
    columns : tuple of str
        Heads of the columns of Table 1.
    table : tuple of Characteristic
        Table 1.
    needs : tuple of Need
        One for each target.
    drawn : tuple of str
        Sequences of which the cohort table names masks of a reader.
    second_reader : bool
        Whether it also names masks of a second one.
    """

    flow: Flow
    columns: tuple[str, ...]
    table: tuple[Characteristic, ...]
    needs: tuple[Need, ...]
    drawn: tuple[str, ...] = ()
    second_reader: bool = False


def who_was_in(measured: MeasuredCohort, thresholds_mg_cm3: Mapping[Target, float]) -> WhoWasIn:
    """Return who was in.

    Parameters
    ----------
    measured : MeasuredCohort
        The measured cohort.
    thresholds_mg_cm3 : mapping of Target to float
        QCT BMD below which a target is present.
    """
    pairs = list(zip(measured.rows, measured.records, strict=True))
    kept = [(row, record) for row, record in pairs if row.bmd_mg_cm3 is not None and useful(record)]
    parts: dict[str, list[tuple[CohortRow, StudyRecord]]] = {"all": kept}
    needs = []
    candidates = max(len(sequence.names) for sequence in measured.table.sequences.values())
    for target, threshold in thresholds_mg_cm3.items():
        present = [one for one in kept if _bmd(one[0]) < threshold]
        parts[f"with {target.value}"] = present
        parts[f"without {target.value}"] = [one for one in kept if _bmd(one[0]) >= threshold]
        share = len(present) / max(len(kept), 1)
        wanted = needed(candidates, share) if 0 < share < 1 and candidates else None
        needs.append(Need(target, len(kept), len(present), candidates, wanted))
    lines = [dict(_characteristics(part)) for part in parts.values()]
    names = dict.fromkeys(name for line in lines for name in line)
    table = tuple(Characteristic(name, tuple(line.get(name, "–") for line in lines)) for name in names)
    return WhoWasIn(
        flow=_flow(measured, pairs),
        columns=tuple(parts),
        table=table,
        needs=tuple(needs),
        drawn=tuple(sorted({sequence for row in measured.rows for sequence in row.masks})),
        second_reader=any(row.second_masks for row in measured.rows),
    )


def _bmd(row: CohortRow) -> float:
    return np.nan if row.bmd_mg_cm3 is None else row.bmd_mg_cm3


def _flow(measured: MeasuredCohort, pairs: Sequence[tuple[CohortRow, StudyRecord]]) -> Flow:
    unlabelled = sum(row.bmd_mg_cm3 is None for row, _ in pairs)
    left_out = [record for row, record in pairs if row.bmd_mg_cm3 is not None and not useful(record)]
    unreadable = sum(_unreadable(record) for record in left_out)
    reasons: Counter[str] = Counter()
    for record in left_out:
        reasons.update(set(record["reasons"]))
    analysed = [record for row, record in pairs if row.bmd_mg_cm3 is not None and useful(record)]
    return Flow(
        rows=len(pairs) + len(measured.unlabelled),
        unlabelled=unlabelled + len(measured.unlabelled),
        unreadable=unreadable,
        refused=len(left_out) - unreadable,
        reasons=tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        one_sequence=sum(_sequences(record) == 1 for record in analysed),
    )


def _unreadable(record: StudyRecord) -> bool:
    # Checkpoints of an earlier version have no codes; their unreadable studies count as refused.
    told = any(str(reason).startswith(_FAULT) for reason in record["reasons"])
    return told or not _UNREADABLE.isdisjoint(record.get("codes", ()))


def _sequences(record: StudyRecord) -> int:
    return sum(bool(series["features"]) for series in record["sequences"].values())


def _characteristics(
    part: Sequence[tuple[CohortRow, StudyRecord]],
) -> Iterator[tuple[str, str]]:
    rows = [row for row, _ in part]
    yield "patients", str(len(rows))
    yield "age, years", _mean([row.age for row in rows])
    yield "women", _share([None if row.sex is None else row.sex == "F" for row in rows])
    yield "QCT BMD, mg/cm³", _mean([row.bmd_mg_cm3 for row in rows])
    for name in ("T1", "T2"):
        measured = [record["sequences"].get(name, {}) for _, record in part]
        yield f"with features of {name}", _share([bool(series.get("features")) for series in measured])
        yield f"VBQ of {name}", _mean([series.get("vbq") for series in measured])
    strengths = [
        next((one["field_strength_t"] for one in record["sequences"].values()), None) for _, record in part
    ]
    for strength in sorted({f"{one:.1f}" for one in strengths if one is not None}):
        yield f"{strength} T", _share([one is not None and f"{one:.1f}" == strength for one in strengths])
    for by in ("site", "scanner"):
        for value in sorted({getattr(row, by) for row in rows} - {""}):
            yield f"{by} {value}", _share([getattr(row, by) == value for row in rows])


def _mean(values: Sequence[float | None]) -> str:
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if not known.size:
        return "–"
    digits = 1 if abs(known.mean()) >= 10 else 2
    spread = f" ± {known.std(ddof=1):.{digits}f}" if known.size > 1 else ""
    missing = len(values) - known.size
    return f"{known.mean():.{digits}f}{spread}" + (f" ({missing} unknown)" if missing else "")


def _share(values: Sequence[bool | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    missing = len(values) - len(known)
    told = f"{sum(known)} ({100 * sum(known) / len(known):.0f} %)"
    return told + (f" ({missing} unknown)" if missing else "")
