import numpy as np
import pytest

from analysis.domain.findings import Target
from analysis.evaluation.predictions import evaluation_columns, held_out_columns
from analysis.statistics.roc import area
from tests.analysis.evaluation.test_evaluate import QUICK, quick_evaluation
from tests.analysis.synthetic_cohort import synthetic_table
from tests.analysis.synthetic_model import quick_model, trained_again

pytestmark = pytest.mark.slow


def test_the_areas_of_an_evaluation_can_be_computed_again_from_its_predictions() -> None:
    found = quick_evaluation()
    columns = {name: np.array(cells, dtype=object) for name, cells in evaluation_columns(found).items()}
    assert list(columns) == [
        *("patient_id", "target", "source", "model", "split"),
        *("present", "probability", "called_present"),
    ]
    cell = found.cells[3]
    for split in range(QUICK.splits):
        rows = (
            (columns["target"] == cell.target.value)
            & (columns["source"] == cell.source)
            & (columns["model"] == cell.kind)
            & (columns["split"] == split + 1)
        )
        assert len(set(columns["patient_id"][rows])) == rows.sum() == 27
        present = columns["present"][rows].astype(np.bool_)
        assert area(present, columns["probability"][rows].astype(np.float64)) == cell.areas[split]
    called = columns["called_present"] == columns["present"]
    own = (columns["target"] == cell.target) & (columns["source"] == cell.source)
    own &= columns["model"] == cell.kind
    by_split = [called[own & (columns["split"] == split + 1)].mean() for split in range(QUICK.splits)]
    assert np.mean(by_split) == pytest.approx(cell.measures["accuracy"].mean)


def test_the_truth_of_a_patient_is_the_same_in_every_split() -> None:
    table = synthetic_table()
    columns = evaluation_columns(quick_evaluation())
    bmd = dict(zip(table.patient_ids, table.bmd_mg_cm3, strict=True))
    for patient, target, present in zip(
        columns["patient_id"], columns["target"], columns["present"], strict=True
    ):
        assert present == (bmd[str(patient)] < {"osteoporosis": 80.0}.get(str(target), 120.0))


def test_the_figures_of_a_card_can_be_computed_again_from_the_predictions() -> None:
    trained = trained_again()
    columns = held_out_columns(trained.held_out)
    assert len(columns["patient_id"]) == 4 * 90
    rows = [
        row
        for row, (target, sequence) in enumerate(zip(columns["target"], columns["sequence"], strict=True))
        if (target, sequence) == (Target.OSTEOPOROSIS.value, "T2")
    ]
    told = trained.model.classifiers[Target.OSTEOPOROSIS, "T2"].performance
    present = np.array([columns["present"][row] for row in rows], dtype=np.bool_)
    chances = np.array([columns["probability"][row] for row in rows], dtype=np.float64)
    assert area(present, chances) == told.values["AUC"]
    assert sum(bool(columns["answered"][row]) for row in rows) == told.answers.answered
    called = np.array([columns["called_present"][row] for row in rows], dtype=np.bool_)
    assert (called == present).mean() == told.values["accuracy"]


def test_a_model_is_the_same_with_and_without_its_predictions() -> None:
    again, alone = trained_again().model, quick_model()
    for key, classifier in alone.classifiers.items():
        assert again.classifiers[key].performance == classifier.performance
