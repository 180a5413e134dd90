"""How right the outcomes of a validation are: figures with intervals, of all patients and of groups."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.cohort.cohort_table import CohortRow
from analysis.domain.basis import sequences_of
from analysis.domain.findings import Target
from analysis.evaluation.absent import absent_answers, absent_figures, no_line
from analysis.evaluation.outcomes import Checked, Figure, Group, Outcome, Standing
from analysis.evaluation.patient_outcomes import Record
from analysis.statistics.calibration_check import (
    calibration_lines,
    calibration_offsets,
    net_benefits,
    observed_to_expected,
)
from analysis.statistics.error_band import log_odds
from analysis.statistics.proportion import share
from analysis.statistics.resampling import bootstrap_of_all, percentile_interval
from analysis.statistics.roc import area, area_interval

__all__ = ["MINIMUM_PER_CLASS", "Check", "figures_of"]

MINIMUM_PER_CLASS = 10
"""Smallest number of patients with, and without, the target for a figure of a cohort or of a part of it."""

_THRESHOLDS = np.arange(0.02, 0.72, 0.01)

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]


class Check:
    """Checks the outcomes of the same patients, on the same bootstrap samples.

    Parameters
    ----------
    labelled : sequence of (CohortRow, mapping)
        The patients with a BMD, and what was measured of each.
    thresholds_mg_cm3 : mapping of Target to float
        QCT BMD below which a target is present.
    draws : int
        Number of bootstrap samples.
    seed : int
        Seed of the samples.
    """

    def __init__(
        self,
        labelled: Sequence[tuple[CohortRow, Record]],
        thresholds_mg_cm3: Mapping[Target, float],
        draws: int,
        seed: int,
    ) -> None:
        self._labelled = labelled
        self._thresholds = thresholds_mg_cm3
        self._bmd = np.array([row.bmd_mg_cm3 for row, _ in labelled], dtype=np.float64)
        own = np.ones((1, len(labelled)))
        drawn = bootstrap_of_all(len(labelled), draws, np.random.default_rng(seed)) if labelled else own
        self._weights = np.concatenate([own, drawn])

    def of(self, target: Target, name: str, outcomes: tuple[Outcome, ...]) -> Checked:
        """Check the outcomes of a sequence, or of the node, for a target; one outcome for each patient."""
        present = self._bmd < self._thresholds[target]
        known = np.array([one.probability is not None for one in outcomes], dtype=np.bool_)
        told = [one.probability for one in outcomes if one.probability is not None]
        chances = np.array(told, dtype=np.float64)
        weights, truth = self._weights[:, known], present[known]
        figures: dict[str, Figure] = {}
        lines = np.full((1, 2), np.nan)
        benefits = np.full((1, _THRESHOLDS.size), np.nan)
        if _enough(truth):
            lines = _lines(chances, truth, weights)
            benefits = net_benefits(truth, chances, _THRESHOLDS, weights)
            figures = _all_figures(chances, truth, weights, lines)
        answers = _answers(outcomes, present)
        answered = sum(one.standing is Standing.ANSWERED for one in outcomes)
        return Checked(
            target=target,
            sequence=name,
            patient_ids=tuple(row.patient_id for row, _ in self._labelled),
            present=present,
            outcomes=outcomes,
            figures=figures,
            answers=answers,
            abstentions=tuple(_abstentions(outcomes)),
            groups=tuple(self._groups(name, outcomes, present, known)),
            lines=lines,
            benefits=benefits,
            thresholds=_THRESHOLDS,
            absent=absent_figures(figures, chances, truth, MINIMUM_PER_CLASS)
            | absent_answers(answers, answered),
        )

    def _groups(
        self, sequence: str, outcomes: Sequence[Outcome], present: Truth, known: Truth
    ) -> Iterator[Group]:
        for by, name_of in _GROUPS.items():
            names = np.array(
                [
                    name_of(row, _series(record, sequence), outcome)
                    for (row, record), outcome in zip(self._labelled, outcomes, strict=True)
                ],
                dtype=object,
            )
            for name in sorted(set(names[known])):
                rows = known & (names == name)
                told = [outcome for outcome, inside in zip(outcomes, rows, strict=True) if inside]
                chances = np.array([one.probability for one in told], dtype=np.float64)
                truth = present[rows]
                answered = sum(one.standing is Standing.ANSWERED for one in told)
                figures = _figures(chances, truth, self._weights[:, rows]) if _enough(truth) else {}
                yield Group(by, name, int(rows.sum()), int(truth.sum()), answered, figures)


def _series(record: Record, sequence: str) -> Mapping[str, Any]:
    """Return the record of a series; for the node, of any, because a study has one field strength."""
    series: dict[str, Mapping[str, Any]] = record["sequences"]
    wanted = series if sequence == "node" else {name: series.get(name, {}) for name in sequences_of(sequence)}
    return next(iter(wanted.values()), {})


def _enough(present: Truth) -> bool:
    return min(int(present.sum()), int((~present).sum())) >= MINIMUM_PER_CLASS


def figures_of(chances: Floats, present: Truth, weights: Floats) -> dict[str, Figure]:
    """Return the figures of patients with a probability, each with a 95 % interval.

    Parameters
    ----------
    chances : ndarray of shape (patients,)
        Probabilities.
    present : ndarray of bool, shape (patients,)
        Whether the target is present; both classes occur.
    weights : ndarray of shape (1 + draws, patients)
        How often each patient occurs in each bootstrap sample; the first row is the cohort itself.
    """
    return _all_figures(chances, present, weights, _lines(chances, present, weights))


def _lines(chances: Floats, present: Truth, weights: Floats) -> Floats:
    """Return the calibration of every sample, NaN for a model that tells the same of all patients."""
    if no_line(chances):
        return np.full((len(weights), 2), np.nan)
    return calibration_lines(log_odds(chances), present, weights)


def _all_figures(chances: Floats, present: Truth, weights: Floats, lines: Floats) -> dict[str, Figure]:
    return {
        **_figures(chances, present, weights),
        "calibration slope": _drawn(lines[:, 1]),
        "calibration intercept": _drawn(lines[:, 0]),
        "Brier": _drawn(weights @ (chances - present) ** 2 / weights.sum(axis=1)),
    }


def _figures(chances: Floats, present: Truth, weights: Floats) -> dict[str, Figure]:
    return {
        "AUC": Figure(area(present, chances), *area_interval(present, chances)),
        "observed / expected": _drawn(observed_to_expected(chances, present, weights)),
        "calibration in the large": _drawn(calibration_offsets(log_odds(chances), present, weights)),
    }


def _drawn(values: Floats) -> Figure:
    """Return the figure of the cohort, which is the first value, and the interval of the samples."""
    return Figure(float(values[0]), *percentile_interval(values[1:]))


def _answers(outcomes: Sequence[Outcome], present: Truth) -> dict[str, Figure]:
    given = np.array([one.standing is Standing.ANSWERED for one in outcomes], dtype=np.bool_)
    called = np.array([bool(one.called) for one in outcomes], dtype=np.bool_)
    right = called == present
    shares = {
        "answered": given,
        "sensitivity": right[given & present],
        "specificity": right[given & ~present],
        "PPV": right[given & called],
        "NPV": right[given & ~called],
    }
    told = {name: share(hits) for name, hits in shares.items() if hits.size}
    return {name: Figure(value, *interval) for name, (value, interval) in told.items()}


def _abstentions(outcomes: Sequence[Outcome]) -> Iterator[tuple[Standing, str, str, int]]:
    counts: Counter[tuple[Standing, str]] = Counter()
    examples: dict[tuple[Standing, str], str] = {}
    for one in outcomes:
        # A patient with three bodies that are disturbed is one patient.
        for code, reason in dict(zip(one.codes, one.reasons, strict=True)).items():
            counts[one.standing, code] += 1
            examples.setdefault((one.standing, code), reason)
    order = list(Standing)
    for (standing, code), count in sorted(
        counts.items(), key=lambda item: (order.index(item[0][0]), -item[1], item[0][1])
    ):
        yield standing, code, examples[standing, code], count


def _decade(row: CohortRow) -> str:
    return "unknown" if row.age is None else f"{int(row.age) // 10 * 10} to {int(row.age) // 10 * 10 + 9}"


def _strength(series: Mapping[str, Any]) -> str:
    strength = series.get("field_strength_t")
    return "unknown" if strength is None else f"{strength:.1f} T"


_GROUPS: dict[str, Callable[[CohortRow, Mapping[str, Any], Outcome], str]] = {
    "training range": lambda _row, _series, outcome: (
        "outside" if outcome.standing is Standing.OUTSIDE else "inside"
    ),
    "site": lambda row, _series, _outcome: row.site or "unknown",
    "scanner": lambda row, _series, _outcome: row.scanner or "unknown",
    "field strength": lambda _row, series, _outcome: _strength(series),
    "sex": lambda row, _series, _outcome: {"F": "women", "M": "men"}.get(row.sex or "", "unknown"),
    "age": lambda row, _series, _outcome: _decade(row),
}
