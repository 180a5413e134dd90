import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, recall_score, roc_auc_score

from analysis.cohort.feature_table import SEQUENCES, FeatureTable
from analysis.cohort.who import Characteristic, Flow, Need, WhoWasIn
from analysis.domain.findings import Target
from analysis.errors import RefusedError
from analysis.evaluation.curves import mean_roc, net_benefit, roc_points
from analysis.evaluation.evaluate import evaluate
from analysis.evaluation.figures import lowest_area
from analysis.evaluation.paper import KNN_TEST_AREA
from analysis.evaluation.report import html_of, title_of, write_report
from analysis.evaluation.result import (
    BASELINES,
    SOURCES,
    WITH_AGE_AND_SEX,
    Cell,
    Evaluation,
    EvaluationSettings,
)
from analysis.evaluation.summary import summarised
from analysis.evaluation.who_page import who_page
from analysis.learning.learn import KINDS, LearningSettings, learn, prepare_training_set
from analysis.learning.selection import select_features
from analysis.statistics.calibration_check import calibration_lines
from analysis.statistics.error_band import log_odds
from analysis.statistics.logistic import logistic_of_all
from analysis.statistics.resampling import corrected_interval
from analysis.statistics.roc import area
from analysis.statistics.sample_size import needed
from analysis.statistics.weighted import MEASURES, weighted_measures
from analysis.tasks import in_turn
from tests.analysis.synthetic_cohort import synthetic_table

pytestmark = pytest.mark.slow

QUICK = EvaluationSettings(
    kinds=("KNN", "LR"), splits=4, learning=LearningSettings(feature_counts=(5,), folds=3)
)


@cache
def quick_evaluation() -> Evaluation:
    """Evaluate the synthetic cohort, once for all tests."""
    return evaluate(synthetic_table(), QUICK)


def noise_table(patients: int = 90, features: int = 600, seed: int = 0) -> FeatureTable:
    """Return a cohort with many features, none of which depends on the bone density."""
    return synthetic_table(patients, features, effect=0.0, seed=seed)


def test_the_table_has_every_model_source_and_target_and_the_baselines() -> None:
    keys = {(cell.target, cell.source, cell.kind) for cell in quick_evaluation().cells}
    radiomic = {(target, source, kind) for target in Target for source in SOURCES for kind in QUICK.kinds}
    assert keys == radiomic | {(target, source, "LR") for target in Target for source in BASELINES}


def test_the_default_experiment_is_the_papers() -> None:
    settings = EvaluationSettings()
    assert settings.kinds == KINDS == ("KNN", "SVM", "LDA", "LR", "SGD", "GNB")
    assert (settings.splits, settings.test_share) == (10, 0.3)
    assert set(KNN_TEST_AREA) == {(target, source) for target in Target for source in SOURCES}


def test_every_split_judges_three_tenths_of_the_patients_stratified() -> None:
    found = quick_evaluation()
    for cell in found.cells:
        judged = np.isfinite(cell.probabilities)
        assert judged.sum(axis=1).tolist() == [27] * QUICK.splits
        shares = [found.present[cell.target][rows].mean() for rows in judged]
        assert np.ptp(shares) < 0.02
    first, second = np.isfinite(found.cells[0].probabilities[:2])
    assert (first != second).any()


def test_measures_are_those_of_the_splits() -> None:
    found = quick_evaluation()
    for cell in found.cells:
        truth = found.present[cell.target]
        areas = [area(truth[np.isfinite(row)], row[np.isfinite(row)]) for row in cell.probabilities]
        assert cell.areas == pytest.approx(areas)
        measure = cell.measures["AUC"]
        assert (measure.mean, measure.sd) == pytest.approx((np.mean(areas), np.std(areas, ddof=1)))
        for one in cell.measures.values():
            assert one.interval[0] <= one.mean <= one.interval[1]
            assert one.interval[0] < one.interval[1]
        by_splits = corrected_interval(np.array(areas), 27 / 63)
        assert measure.interval[0] < by_splits[0]
        assert measure.interval[1] > min(0.999, by_splits[1])


def test_every_patient_who_was_judged_counts_once_with_predictions_that_are_not_averaged() -> None:
    for cell in quick_evaluation().cells:
        pooled = cell.pooled()
        judged = np.isfinite(cell.probabilities)
        weight = np.bincount(pooled.rows, pooled.weights, minlength=90)
        assert weight == pytest.approx(judged.any(axis=0).astype(float))
        assert sorted(pooled.probabilities) == sorted(cell.probabilities[judged])


def test_a_perfect_separation_leaves_doubt() -> None:
    present = np.arange(60) < 30
    told = np.where(present, 0.9, 0.1) * np.ones((3, 1))
    told[:, ::3] = np.nan
    cell = summarised((Target.OSTEOPOROSIS, "T1", "LR"), present, told, told > 0.5)
    assert cell.measures["AUC"].interval == pytest.approx((0.9, 1.0))


def test_averaging_over_splits_would_hide_that_every_model_is_too_extreme() -> None:
    """Ten models tell a chance of their own each: too extreme one by one, and nearly right on average."""
    rng = np.random.default_rng(0)
    odds = rng.normal(size=400)
    present = rng.random(400) < logistic_of_all(odds)
    told = logistic_of_all(odds + rng.normal(0, 1.5, (10, 400)))
    told[rng.random(told.shape) < 0.5] = np.nan  # who was learned from
    cell = summarised((Target.OSTEOPOROSIS, "T1", "LR"), present, told, told > 0.5)
    slope = cell.calibration["calibration slope"]
    assert slope.low < slope.value < slope.high < 0.6
    seen = np.isfinite(told).any(axis=0)
    mean = log_odds(np.nanmean(told[:, seen], axis=0))
    averaged = calibration_lines(mean, present[seen], np.ones((1, int(seen.sum()))))[0, 1]
    assert averaged > 2 * slope.value


def test_an_effect_is_found() -> None:
    cell = quick_evaluation().cell(Target.ABNORMAL_DENSITY, "T1", "LR")
    assert cell is not None
    assert cell.measures["AUC"].interval[0] > 0.6


@pytest.mark.gate("a property of the statistics, which changes with them only")
def test_shuffled_labels_give_intervals_that_hold_one_half() -> None:
    table = synthetic_table(120, 60)
    shuffled = replace(table, bmd_mg_cm3=np.random.default_rng(1).permutation(table.bmd_mg_cm3))
    for cell in evaluate(shuffled, replace(QUICK, splits=10)).cells:
        low, high = cell.measures["AUC"].interval
        assert low < 0.5 < high, (cell.target, cell.source, cell.kind, low, high)


@pytest.mark.gate("a property of the statistics, which changes with them only")
def test_many_features_of_noise_do_not_look_like_an_effect_but_selecting_before_splitting_would() -> None:
    """The most common leak: of 600 features some always fit 90 patients, if selection sees all of them."""
    table = noise_table()
    honest = [cell for cell in evaluate(table, QUICK).cells if cell.source in SOURCES]
    assert np.mean([cell.measures["AUC"].mean for cell in honest]) < 0.6

    values, present = table.sequences["T1"].values, table.bmd_mg_cm3 < 120
    columns = select_features(values, present, 5, np.full_like(values, np.nan), 0.75)
    leaky = replace(
        table.sequences["T1"],
        names=tuple("abcde"),
        values=values[:, columns],
        repeated=np.full((len(values), 5), np.nan),
    )
    cell = evaluate(replace(table, sequences={"T1": leaky, "T2": leaky}), QUICK).cell(
        Target.ABNORMAL_DENSITY, "T1", "LR"
    )
    assert cell is not None
    assert cell.measures["AUC"].mean > 0.65


def test_a_patient_in_both_halves_is_impossible_by_construction() -> None:
    table = synthetic_table()
    with pytest.raises(ValueError, match="in both halves"):
        replace(table, patient_ids=(*table.patient_ids[:-1], table.patient_ids[0]))


def test_what_is_learned_does_not_change_with_the_patients_it_is_judged_on() -> None:
    table = synthetic_table()
    values, present = table.sequences["T1"].values, table.bmd_mg_cm3 < 120
    inside = np.arange(60)
    before = learn(
        prepare_training_set(values[inside], present[inside], QUICK.learning), ("LR",), QUICK.learning
    )
    values[60:] = 1e6
    after = learn(
        prepare_training_set(values[inside], present[inside], QUICK.learning), ("LR",), QUICK.learning
    )
    np.testing.assert_array_equal(before.probabilities(values[inside]), after.probabilities(values[inside]))


def test_the_order_in_which_splits_are_ready_changes_nothing() -> None:
    settings = replace(QUICK, kinds=("KNN",), splits=2)

    def backwards(function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        yield from reversed([*in_turn(function, tasks)])

    alone = evaluate(synthetic_table(), settings)
    together = evaluate(synthetic_table(), settings, spread=backwards)
    for one, other in zip(alone.cells, together.cells, strict=True):
        assert one.measures == other.measures
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert alone.tests == together.tests


def test_progress_counts_the_splits() -> None:
    seen: list[tuple[int, int]] = []
    evaluate(
        synthetic_table(),
        replace(QUICK, kinds=("LR",), splits=2),
        report_progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_sources_are_compared_pair_by_pair_and_corrected_for_all_of_them() -> None:
    tests = quick_evaluation().tests
    assert len(tests) == len(Target) * len(QUICK.kinds) * 3
    assert {(test.first, test.second) for test in tests} == {("T1", "T2"), ("T1", "T1+T2"), ("T2", "T1+T2")}
    assert all(test.locked_adjusted >= test.locked.p for test in tests)
    assert all(test.repeated_adjusted >= test.repeated.p for test in tests)
    smallest = min(tests, key=lambda test: test.repeated.p)
    assert smallest.repeated_adjusted == pytest.approx(min(1.0, len(tests) * smallest.repeated.p))


def test_images_are_compared_with_every_baseline_and_corrected_among_themselves() -> None:
    found = quick_evaluation()
    assert len(found.against_baselines) == len(Target) * len(QUICK.kinds) * len(SOURCES) * len(BASELINES)
    test = next(one for one in found.against_baselines if (one.first, one.second) == ("T1", "age + sex"))
    radiomic, baseline = found.cell(test.target, "T1", test.kind), found.cell(test.target, "age + sex", "LR")
    assert radiomic is not None
    assert baseline is not None
    assert test.repeated.difference == pytest.approx(np.mean(radiomic.areas - baseline.areas))
    smallest = min(found.against_baselines, key=lambda one: one.repeated.p)
    count = len(found.against_baselines)
    assert smallest.repeated_adjusted == pytest.approx(min(1.0, count * smallest.repeated.p))


@pytest.mark.usefixtures("without_charts")
def test_age_and_sex_beside_the_images_are_compared_with_the_images_and_with_the_baselines() -> None:
    table = replace(synthetic_table(), age=np.where(np.arange(90) % 10, synthetic_table().age, np.nan))
    settings = replace(QUICK, kinds=("LR",), splits=2, age_and_sex=True)
    found = evaluate(table, settings)
    assert {cell.source for cell in found.cells} == {*SOURCES, *WITH_AGE_AND_SEX, *BASELINES}
    assert len(found.added_value) == len(Target) * len(SOURCES)
    assert {(test.first, test.second) for test in found.added_value} == set(WITH_AGE_AND_SEX.items())
    against = {(test.first, test.second) for test in found.against_baselines}
    assert ("T1+T2 with age + sex", "age + sex") in against
    page = html_of(found)
    assert "What age and sex add to the images" in page
    assert page.count("T1+T2 with age + sex against T1+T2</td>") == len(Target)
    # All else is as without them.
    alone = evaluate(table, replace(settings, age_and_sex=False))
    assert [test.repeated for test in alone.tests] == [test.repeated for test in found.tests]
    assert "age and sex add" not in html_of(alone)


def test_age_and_sex_that_are_mostly_unknown_are_refused_as_features() -> None:
    table = replace(synthetic_table(), female=np.full(90, np.nan))
    with pytest.raises(RefusedError, match="the sex of 0% of the patients with both sequences is known"):
        evaluate(table, replace(QUICK, kinds=("LR",), age_and_sex=True))


@pytest.mark.usefixtures("without_charts")
def test_patients_who_lack_a_sequence_are_left_out_and_counted() -> None:
    table = synthetic_table()
    values = table.sequences["T2"].values.copy()
    values[:10] = np.nan
    partly = replace(
        table, sequences={**table.sequences, "T2": replace(table.sequences["T2"], values=values)}
    )
    found = evaluate(partly, replace(QUICK, kinds=("LR",), splits=2))
    assert (found.patients, found.incomplete) == (80, 10)
    assert "80 patients with T1 and T2; 10 left out" in html_of(found)


@pytest.mark.usefixtures("without_charts")
def test_a_baseline_that_is_mostly_unknown_is_not_shown_and_that_is_said() -> None:
    table = replace(synthetic_table(), age=np.full(90, np.nan))
    found = evaluate(table, replace(QUICK, kinds=("LR",), splits=2))
    assert {cell.source for cell in found.cells} == {*SOURCES, "VBQ", "T2-VBQ"}
    assert "age + sex was unknown in too many patients" in html_of(found)


def test_a_few_unknown_values_of_a_baseline_do_no_harm() -> None:
    table = synthetic_table()
    age = table.age.copy()
    age[:5] = np.nan
    found = evaluate(replace(table, age=age), replace(QUICK, kinds=("LR",), splits=2))
    cell = found.cell(Target.OSTEOPOROSIS, "age + sex", "LR")
    assert cell is not None
    assert np.isfinite(cell.areas).all()


def test_classes_that_are_too_small_are_told_all_at_once() -> None:
    with pytest.raises(RefusedError) as error:
        evaluate(replace(synthetic_table(), bmd_mg_cm3=np.full(90, 200.0)), QUICK)
    assert error.value.reasons == (
        "0 patients with both sequences are with osteoporosis, and 10 are needed",
        "0 patients with both sequences are with abnormal bone density, and 10 are needed",
    )


def test_repeatability_is_told_where_it_was_measured() -> None:
    table = synthetic_table()
    rng = np.random.default_rng(0)
    steady = {
        name: replace(
            table.sequences[name], repeated=table.sequences[name].values + rng.normal(0, 0.1, (90, 30))
        )
        for name in SEQUENCES
    }
    found = evaluate(replace(table, sequences=steady), replace(QUICK, kinds=("LR",), splits=2))
    assert all(len(of_sequence) == 30 for of_sequence in found.repeatability.values())
    assert min(found.repeatability["T1"].values()) > 0.9
    assert quick_evaluation().repeatability == {}


@pytest.mark.usefixtures("without_charts")
def test_the_page_tells_who_was_in_and_warns_of_too_few_patients() -> None:
    need = Need(Target.OSTEOPOROSIS, 90, 13, 586, needed(586, 13 / 90))
    table = (Characteristic("patients", ("90",)), Characteristic("scanner <A>", ("90 (100 %)",)))
    who = WhoWasIn(Flow(100, 2, 3, 5, (("a slice is missing", 4),), 0), ("all",), table, (need,))
    page = html_of(quick_evaluation(), who=who)
    assert "4 × a slice is missing" in page
    assert "13 of them with the target, and 586 candidate features of one sequence; Riley" in page
    assert "scanner &lt;A&gt;" in page
    assert "Simulated data" in who_page(who, "Patients", simulated=True)
    assert "Simulated data" not in who_page(who, "Patients", simulated=False)
    assert "Who was in" not in html_of(quick_evaluation())


@pytest.mark.usefixtures("without_charts")
def test_a_difference_that_rounds_to_nothing_has_no_minus() -> None:
    found = quick_evaluation()
    first = found.tests[0]
    nearly = replace(first, repeated=replace(first.repeated, difference=-1e-9))
    assert "-0.000" in f"{nearly.repeated.difference:+.3f}"
    assert "<td>-0.000</td>" not in html_of(
        replace(found, tests=(nearly,), against_baselines=(), added_value=())
    )


# Measures and curves.


def test_weighted_measures_are_those_of_repeated_patients() -> None:
    rng = np.random.default_rng(0)
    present, chances = rng.random(40) < 0.4, np.round(rng.random(40), 1)
    called, counts = chances >= 0.5, rng.integers(0, 3, 40)
    rows = np.repeat(np.arange(40), counts)
    found = dict(
        zip(
            MEASURES,
            weighted_measures(present, chances, called, counts[None, :].astype(np.float64))[:, 0],
            strict=True,
        )
    )
    assert found["AUC"] == pytest.approx(roc_auc_score(present[rows], chances[rows]))
    assert found["sensitivity"] == pytest.approx(recall_score(present[rows], called[rows]))
    assert found["specificity"] == pytest.approx(recall_score(~present[rows], ~called[rows]))
    assert found["accuracy"] == pytest.approx(accuracy_score(present[rows], called[rows]))
    assert found["Brier"] == pytest.approx(brier_score_loss(present[rows], chances[rows]))


def test_a_draw_without_a_class_has_no_area() -> None:
    present = np.arange(4) < 2
    found = weighted_measures(
        present, np.ones(4), np.ones(4, dtype=np.bool_), np.array([[1.0, 1.0, 0.0, 0.0]])
    )
    assert np.isnan(found[MEASURES.index("AUC"), 0])
    assert found[MEASURES.index("sensitivity"), 0] == 1.0


def test_net_benefit_of_treating_all_is_the_prevalence_less_the_odds() -> None:
    present, odds = np.arange(10) < 4, np.array([0.1, 0.25, 0.5])
    assert net_benefit(present, np.ones(10), odds) == pytest.approx(0.4 - 0.6 * odds / (1 - odds))
    assert net_benefit(present, present.astype(float), odds) == pytest.approx([0.4] * 3)
    assert net_benefit(present, np.zeros(10), odds) == pytest.approx([0.0] * 3)


def test_the_roc_runs_from_corner_to_corner_and_encloses_the_area() -> None:
    rng = np.random.default_rng(0)
    present = rng.random(50) < 0.5
    chances = np.round(present + rng.normal(size=50), 1)
    false, true = roc_points(present, chances)
    assert (false[0], true[0], false[-1], true[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert np.trapezoid(true, false) == pytest.approx(area(present, chances))


def test_the_mean_of_roc_curves_encloses_the_mean_of_their_areas() -> None:
    rng = np.random.default_rng(0)
    splits = [(present, present + rng.normal(size=50)) for present in rng.random((4, 50)) < 0.5]
    false, true = mean_roc([roc_points(*split) for split in splits])
    assert np.trapezoid(true, false) == pytest.approx(np.mean([area(*split) for split in splits]), abs=0.01)
    assert (true[0], true[-1]) == (0.0, 1.0)


# The report.


def test_the_page_is_self_contained_and_says_that_data_are_simulated() -> None:
    page = html_of(quick_evaluation(), "OsteoNode 1")
    assert re.search(r"<title>Evaluation on simulated data", page)
    # Curves of every kind and of the baselines, and every AUC beside the paper's.
    assert page.count("data:image/svg+xml;base64,") == (len(QUICK.kinds) + 2) * len(Target)
    assert not re.search(r"<script|<link|src=\"(?!data:)|https?://(?!www\.w3\.org)", page)
    assert "not independent" in page
    assert "How to read" in page
    assert "hyper-parameters" in page
    assert "0.821" in page


def changed(cell: Cell, **changes: object) -> Evaluation:
    """Return the evaluation with another cell in the place of one."""
    found = quick_evaluation()
    cells = tuple(replace(one, **changes) if one is cell else one for one in found.cells)  # type: ignore[arg-type]
    return replace(found, cells=cells)


@pytest.mark.usefixtures("without_charts")
def test_a_model_that_tells_the_same_of_everyone_is_called_constant_and_has_no_slope(tmp_path: Path) -> None:
    found = quick_evaluation()
    assert not any(cell.constant for cell in found.cells)
    cell = found.cells[-1]
    noise = np.random.default_rng(0).normal(0, 1e-3, cell.probabilities.shape)
    same = changed(cell, probabilities=np.where(np.isfinite(cell.probabilities), 0.3 + noise, np.nan))
    write_report(same, tmp_path)
    assert "<td>constant</td><td>constant</td>" in (tmp_path / "evaluation.html").read_text()
    *_, last = csv.DictReader((tmp_path / "table.csv").read_text().splitlines())
    assert (last["calibration_slope"], last["calibration_intercept_high"]) == ("", "")
    assert last["observed_to_expected"]


def only_lr() -> Evaluation:
    """Return the evaluation without the paper's best kind of model."""
    found = quick_evaluation()
    return replace(
        found,
        settings=replace(found.settings, kinds=("LR",)),
        cells=tuple(cell for cell in found.cells if cell.kind == "LR"),
        tests=tuple(test for test in found.tests if test.kind == "LR"),
        against_baselines=tuple(test for test in found.against_baselines if test.kind == "LR"),
    )


def of_one_target(found: Evaluation) -> Evaluation:
    return replace(found, present={Target.OSTEOPOROSIS: found.present[Target.OSTEOPOROSIS]})


@pytest.mark.usefixtures("without_charts")
def test_the_column_of_the_paper_stands_only_where_it_has_figures() -> None:
    found = quick_evaluation()
    assert "paper, AUC" in html_of(found)
    page = html_of(only_lr())
    assert "paper, AUC" not in page
    assert "in the last column" not in page


def test_no_marker_and_no_interval_of_an_area_is_cut() -> None:
    cell = quick_evaluation().cells[0]
    worse = replace(cell.measures["AUC"], mean=0.2, interval=(0.07, 0.31))
    low = changed(cell, measures={**cell.measures, "AUC": worse})
    assert lowest_area(quick_evaluation(), cell.target) <= 0.35
    assert 0.0 <= lowest_area(low, cell.target) < 0.07


@pytest.mark.usefixtures("without_charts")
def test_a_real_cohort_is_not_called_simulated() -> None:
    found = replace(quick_evaluation(), simulated=False)
    assert "imulat" not in html_of(found)
    assert "simulated" not in title_of(found)


@pytest.mark.usefixtures("without_charts")
def test_csv_and_json_hold_the_same_figures_and_no_patient(tmp_path: Path) -> None:
    written = write_report(quick_evaluation(), tmp_path / "out", "OsteoNode 1")
    assert sorted(path.name for path in written) == sorted(path.name for path in (tmp_path / "out").iterdir())
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    with (tmp_path / "out" / "table.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(record["cells"]) == len(quick_evaluation().cells)
    for row, stored, cell in zip(rows, record["cells"], quick_evaluation().cells, strict=True):
        assert float(row["AUC_mean"]) == stored["AUC_mean"] == cell.measures["AUC"].mean
    assert record["simulated"] is True
    assert record["independent_splits"] is False
    for path in written:
        assert not re.search(r"\bP\d\d\d\b", path.read_text(encoding="utf-8"))


def test_the_same_evaluation_is_written_the_same_way(tmp_path: Path) -> None:
    found = of_one_target(only_lr())  # each chart takes a third of a second
    first, second = (write_report(found, tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
