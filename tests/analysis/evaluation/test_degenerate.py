"""Cohorts of which little can be told: no figure is NaN or sure of itself, and each absence has a reason."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.cohort.cohort_table import CohortRow
from analysis.domain.findings import ModelIdentity, Target
from analysis.errors import RefusedError
from analysis.evaluation.absent import ANSWERS, FIGURES
from analysis.evaluation.check import MINIMUM_PER_CLASS, Check
from analysis.evaluation.evaluate import evaluate
from analysis.evaluation.outcomes import Checked, Outcome, Standing, Validation
from analysis.evaluation.report import write_report as write_evaluation
from analysis.evaluation.result import Cell, Evaluation, EvaluationSettings
from analysis.evaluation.summary import summarised
from analysis.evaluation.validation_report import write_report
from analysis.learning.learn import LearningSettings
from analysis.statistics.weighted import MEASURES
from tests.analysis.synthetic_cohort import synthetic_table

TARGET = Target.OSTEOPOROSIS
THRESHOLD = 80.0
Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]

TOLD: dict[str, Callable[[Truth, np.random.Generator], Floats]] = {
    "equal": lambda present, _rng: np.full(present.size, 0.37),
    "nearly equal": lambda present, rng: 0.37 + 1e-6 * rng.normal(size=present.size),
    "two values": lambda present, rng: rng.choice([0.3, 0.4], present.size),
    "perfect": lambda present, _rng: np.where(present, 0.9, 0.1),
    "the contrary": lambda present, rng: np.where(present, 0.2, 0.8) + 0.05 * rng.random(present.size),
    "near 0 and 1": lambda present, rng: np.where(rng.random(present.size) < 0.5, 1e-12, 1 - 1e-12),
    "ordinary": lambda present, rng: np.clip(0.3 * present + 0.6 * rng.random(present.size), 0.01, 0.99),
}
STANDINGS = {
    "none": (),
    "all": (Standing.ANSWERED,),
    "some": (Standing.ANSWERED, Standing.OPEN, Standing.OUTSIDE, Standing.UNMEASURED),
    "unmeasured": (Standing.UNMEASURED,),
}


def checked(told: str, answered: str, patients: int, with_it: int, seed: int = 0) -> Checked:
    """Check a model that tells such probabilities of so many patients."""
    rng = np.random.default_rng(seed)
    present = np.arange(patients) < with_it
    chances = TOLD[told](present, rng)
    allowed = STANDINGS[answered] or (Standing.OPEN,)
    outcomes = []
    for chance in chances.tolist():
        standing = allowed[int(rng.integers(len(allowed)))]
        if standing is Standing.UNMEASURED:
            outcomes.append(Outcome(standing, ("no usable T1 series",), ("none",)))
        else:
            reasons = () if standing is Standing.ANSWERED else ("its interval holds the threshold",)
            codes = tuple("open" for _ in reasons)
            outcomes.append(Outcome(standing, reasons, codes, chance, (0.0, 1.0), 1.0, chance >= 0.5))
    rows = [
        CohortRow(number + 2, f"P{number:03}", Path(), 50.0 if one else 100.0, site="A")
        for number, one in enumerate(present)
    ]
    labelled: list[tuple[CohortRow, dict[str, object]]] = [(row, {"sequences": {}}) for row in rows]
    return Check(labelled, {TARGET: THRESHOLD}, 60, seed).of(TARGET, "T1", tuple(outcomes))


@given(
    told=st.sampled_from(sorted(TOLD)),
    answered=st.sampled_from(sorted(STANDINGS)),
    patients=st.sampled_from([0, 1, 2, 15, 20, 25, 60]),
    share=st.sampled_from([0.0, 0.1, 0.5, 0.7, 1.0]),
    seed=st.integers(0, 3),
)
@settings(deadline=None, max_examples=60)
def test_each_figure_of_a_validation_exists_or_has_a_reason(
    told: str, answered: str, patients: int, share: float, seed: int
) -> None:
    one = checked(told, answered, patients, round(share * patients), seed)
    for name, figures in (*((name, one.figures) for name in FIGURES), *((n, one.answers) for n in ANSWERS)):
        figure = figures.get(name)
        exists = figure is not None and np.isfinite(figure.value)
        assert exists == (name not in one.absent)
        if exists and figure is not None and np.isfinite(figure.low):
            assert figure.low <= figure.value <= figure.high or name in {"calibration slope", "Brier"}
    for figures in (one.figures, *(group.figures for group in one.groups)):
        if "AUC" in figures:
            assert figures["AUC"].low < figures["AUC"].high
    if told in {"equal", "nearly equal"}:
        assert not np.isfinite(one.lines).any()


def test_a_constant_model_has_no_slope_and_says_so() -> None:
    for told in ("equal", "nearly equal"):
        one = checked(told, "all", 60, 30)
        assert "nearly the same probability" in one.absent["calibration slope"]
        assert one.figures["AUC"].high - one.figures["AUC"].low > 0.1
    assert "part those with the target" in checked("perfect", "all", 60, 30).absent["calibration slope"]
    few = checked("ordinary", "all", 15, 5)
    assert few.absent["AUC"].startswith("5 patients with the target and 10 without it have a probability")
    assert checked("ordinary", "none", 60, 30).absent["PPV"] == "no patient got an answer"
    assert "calibration slope" not in checked("ordinary", "all", 60, 30).absent


def told_files(folder: Path) -> str:
    """Return the texts of all files of a report, without the pictures."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())]
    return re.sub(r"base64,[^\"]*", "", "\n".join(texts))


def is_clean(text: str) -> bool:
    return not re.search(r"(?<![\w-])[-+]?(nan|inf|infinity)(?![\w-])", text, re.IGNORECASE)


@pytest.mark.filterwarnings("error")
def test_pages_and_tables_of_a_validation_hold_words_and_no_nan(tmp_path: Path) -> None:
    every = (
        *(checked(told, "all", 60, 30) for told in TOLD),
        checked("ordinary", "unmeasured", 40, 20),
        checked("ordinary", "some", 15, 5),
    )
    identity = ModelIdentity("A model", "1", "d" * 64, "Some.", "Tests.", True, {TARGET: THRESHOLD})
    found = Validation(identity, 60, every, every[:1], 60, MINIMUM_PER_CLASS, simulated=True)
    write_report(found, tmp_path, "OsteoNode 1")
    text = told_files(tmp_path)
    assert is_clean(text)
    page = (tmp_path / "validation.html").read_text(encoding="utf-8")
    assert "calibration slope, calibration intercept: the model tells nearly the same probability" in page
    record = json.loads((tmp_path / "validation.json").read_text(encoding="utf-8"))
    assert "calibration slope" in record["classifiers"][0]["why_absent"]
    with (tmp_path / "figures.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == (len(every) + 1) * (len(FIGURES) + len(ANSWERS))
    assert all(bool(row["value"]) != bool(row["why_absent"]) for row in rows)


def cell(told: str, kind: str = "LR", source: str = "T1") -> tuple[Cell, Truth]:
    """Summarise four splits of a model that tells such probabilities of 40 patients."""
    rng = np.random.default_rng(1)
    present = np.arange(40) % 2 == 0
    chances = np.full((4, 40), np.nan)
    for row in chances:
        test = rng.permutation(40)[:12]
        test[:2] = 0, 1
        row[test] = TOLD[told](present, rng)[test]
    return summarised((TARGET, source, kind), present, chances, np.nan_to_num(chances) >= 0.5), present


@pytest.mark.parametrize("told", sorted(TOLD))
def test_no_measure_of_an_evaluation_is_sure_of_itself(told: str) -> None:
    one, _ = cell(told)
    for name in MEASURES:
        measure = one.measures[name]
        assert np.isfinite([measure.mean, measure.sd, *measure.interval]).all()
        assert measure.interval[0] < measure.interval[1], name


@pytest.mark.filterwarnings("error")
def test_pages_and_tables_of_an_evaluation_hold_words_and_no_nan(tmp_path: Path) -> None:
    told = {"equal": "KNN", "perfect": "SVM", "near 0 and 1": "LDA", "the contrary": "LR"}
    found = {kind: cell(name, kind) for name, kind in told.items()}
    cells = tuple(one for one, _ in found.values())
    evaluation = Evaluation(
        patient_ids=tuple(f"P{number:03}" for number in range(40)),
        incomplete=0,
        present={TARGET: found["KNN"][1]},
        cells=cells,
        tests=(),
        added_value=(),
        against_baselines=(),
        repeatability={},
        settings=replace(
            EvaluationSettings(), kinds=tuple(told.values()), splits=4, thresholds_mg_cm3={TARGET: THRESHOLD}
        ),
        features_digest="d",
        simulated=True,
    )
    write_evaluation(evaluation, tmp_path, "OsteoNode 1")
    assert is_clean(told_files(tmp_path))
    page = (tmp_path / "evaluation.html").read_text(encoding="utf-8")
    assert "<td>constant</td>" in page


@pytest.mark.parametrize(
    ("changes", "needed"), [({"folds": 12}, 19), ({"share": 0.05}, 21), ({"folds": 5}, None)]
)
def test_folds_that_a_small_class_cannot_fill_are_refused_before_learning(
    changes: dict[str, float], needed: int | None
) -> None:
    table = replace(synthetic_table(40), bmd_mg_cm3=np.where(np.arange(40) < 12, 50.0, 150.0))
    experiment = EvaluationSettings(
        kinds=("KNN",),
        splits=2,
        test_share=changes.get("share", 0.3),
        thresholds_mg_cm3={TARGET: THRESHOLD},
        learning=LearningSettings(feature_counts=(5,), folds=int(changes.get("folds", 3))),
    )
    if needed is None:
        assert evaluate(table, experiment).cells
        return
    with pytest.raises(RefusedError, match=f"and {needed} are needed"):
        evaluate(table, experiment)
