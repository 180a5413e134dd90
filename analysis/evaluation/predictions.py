"""The predictions of every patient as columns, so that another program can test them again."""

from collections.abc import Iterable

import numpy as np

from analysis.evaluation.result import Evaluation
from analysis.learning.train import HeldOut
from analysis.tables import Cell

__all__ = ["evaluation_columns", "held_out_columns"]


def evaluation_columns(evaluation: Evaluation) -> dict[str, list[Cell]]:
    """Return a row for each patient in the test set of a split, for every target, source and model.

    The columns are patient_id, target, source, model, split (from 1), present, probability (calibrated) and
    called_present (at the threshold of that split, with the answer taken where it would stay open, too).
    """
    columns: dict[str, list[Cell]] = {
        name: []
        for name in (
            *("patient_id", "target", "source", "model", "split"),
            *("present", "probability", "called_present"),
        )
    }
    for cell in evaluation.cells:
        truth = evaluation.present[cell.target]
        for split, row in zip(*np.nonzero(np.isfinite(cell.probabilities)), strict=True):
            _append(
                columns,
                evaluation.patient_ids[row],
                cell.target.value,
                cell.source,
                cell.kind,
                int(split) + 1,
                bool(truth[row]),
                float(cell.probabilities[split, row]),
                bool(cell.called[split, row]),
            )
    return columns


def held_out_columns(held_out: Iterable[HeldOut]) -> dict[str, list[Cell]]:
    """Return a row for each patient, target and sequence, by the fold of the nested cross-validation.

    The columns are patient_id, target, sequence, fold (from 1), present, probability (calibrated), low and
    high (its 95 % interval), decision_threshold (of that fold), called_present and answered (whether the rule
    that holds at run time gives an answer).
    """
    columns: dict[str, list[Cell]] = {
        name: []
        for name in (
            *("patient_id", "target", "sequence", "fold", "present", "probability", "low", "high"),
            *("decision_threshold", "called_present", "answered"),
        )
    }
    for one in held_out:
        judged = one.judged
        for row, patient in enumerate(one.patient_ids):
            _append(
                columns,
                patient,
                one.target.value,
                one.sequence,
                int(judged.fold[row]) + 1,
                bool(one.present[row]),
                float(judged.probabilities[row]),
                *judged.limits[row].tolist(),
                float(judged.thresholds[row]),
                bool(judged.called[row]),
                bool(one.answered[row]),
            )
    return columns


def _append(columns: dict[str, list[Cell]], *cells: Cell) -> None:
    for column, cell in zip(columns.values(), cells, strict=True):
        column.append(cell)
