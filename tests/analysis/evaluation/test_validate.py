"""A model of one simulated hospital is validated at another, and recalibrated there."""

import csv
import json
import re
from copy import deepcopy
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.cohort.cohort_table import CohortRow
from analysis.cohort.feature_table import FeatureTable
from analysis.cohort.measure import MeasuredCohort
from analysis.cohort.record import findings_record, refusal_record, table_of
from analysis.cohort.who import who_was_in
from analysis.domain.basis import BOTH, AgeAndSex
from analysis.domain.findings import Findings, Refusal, Target, Verdict
from analysis.domain.reason import Reason
from analysis.errors import RefusedError
from analysis.evaluation.outcomes import Checked, Standing, Validation
from analysis.evaluation.patient_outcomes import outcome_of
from analysis.evaluation.validate import validate
from analysis.evaluation.validation_report import html_of, outcome_columns, write_report
from analysis.learning.recalibrate import LocalPatients, Method, recalibrated
from analysis.learning.threshold import ThresholdRule
from analysis.learning.train import train
from analysis.prediction.bundle import load, save
from analysis.prediction.model import Model
from analysis.prediction.predict import predict
from analysis.settings import AnalysisSettings, FeatureSettings
from analysis.statistics.logistic import logistic_of_all
from tests.analysis.synthetic_cohort import findings_of, synthetic_table, with_facts
from tests.analysis.synthetic_model import QUICK

pytestmark = pytest.mark.slow

SETTINGS = AnalysisSettings()
WHOLE = synthetic_table(210)
"""The model learns from the first 90 patients; the others are those of the other hospital."""
BMD_SHIFT = 40.0
"""By how much every patient of the other hospital is denser, which makes the targets rare there."""


def part(table: FeatureTable, rows: slice) -> FeatureTable:
    """Return some patients of a table."""
    sequences = {
        name: replace(
            one,
            **{item.name: getattr(one, item.name)[rows] for item in fields(one) if item.name != "names"},
        )
        for name, one in table.sequences.items()
    }
    columns = {name: getattr(table, name)[rows] for name in ("patient_ids", "bmd_mg_cm3", "age", "female")}
    return replace(table, sequences=sequences, **columns)


TABLE = part(WHOLE, slice(90, None))


def series_of(number: int) -> Findings:
    series = tuple(findings_of(name, number, TABLE) for name in ("T1", "T2"))
    if number % 10 == 1:  # a scanner with another echo time
        series = tuple(with_facts(one, echo_time_ms=300.0) for one in series)
    if number % 10 == 2:
        series = series[1:]
    return Findings(series, (), (), None, SETTINGS.digest(), "test")


@cache
def other_hospital() -> MeasuredCohort:
    rows, records = [], []
    for number in range(120):
        bmd = None if number == 7 else float(TABLE.bmd_mg_cm3[number]) + BMD_SHIFT
        age = float(TABLE.age[number])
        site = "north" if number % 3 else "south"
        rows.append(CohortRow(number + 2, f"P{number:03}", Path(), bmd, age, "F", "Aera", site, True))
        refused = number == 3
        records.append(
            refusal_record(Refusal((Reason("no_whole_series"),)))
            if refused
            else json.loads(json.dumps(findings_record(series_of(number), None, SETTINGS)))
        )
    kept = [index for index, row in enumerate(rows) if row.bmd_mg_cm3 is not None and index != 3]
    table = table_of([rows[i] for i in kept], [records[i] for i in kept], SETTINGS)
    return MeasuredCohort(table, (), (), tuple(rows), tuple(records))


@cache
def parent() -> Model:
    """Return a model of the first hospital, with the digest that a saved one has."""
    model = train(part(WHOLE, slice(0, 90)), QUICK)
    return replace(model, identity=replace(model.identity, digest="d" * 64))


@cache
def validation() -> Validation:
    return validate(other_hospital(), parent(), SETTINGS.preferred, draws=100)


def checked(target: Target = Target.ABNORMAL_DENSITY, sequence: str = "T1") -> Checked:
    every = (*validation().checked, *validation().node)
    return next(one for one in every if (one.target, one.sequence) == (target, sequence))


def test_the_node_answers_in_the_validation_as_it_does_to_findings() -> None:
    for number in (0, 1, 2, 4, 11, 12, 20, 31, 50):
        answers = predict(series_of(number).series, parent(), SETTINGS)
        for answer in answers:
            one = checked(answer.target, "node")
            outcome = one.outcomes[one.patient_ids.index(f"P{number:03}")]
            if answer.verdict is Verdict.INDETERMINATE:
                assert outcome.standing is not Standing.ANSWERED
                missing = {f"no usable {name} series" for name in ("T1", "T2")}
                assert set(outcome.reasons) - missing <= set(answer.reasons)
            else:
                assert outcome.standing is Standing.ANSWERED
                assert (outcome.probability, outcome.interval) == (answer.probability, answer.interval)
                assert outcome.called == (answer.verdict is Verdict.ABOVE)


BOTH_SETTINGS = AnalysisSettings(preferred={Target.ABNORMAL_DENSITY: BOTH})


@cache
def parent_of_both() -> Model:
    """Return a model of T1, T2 and both, with age and sex, of the first hospital."""
    settings = replace(
        QUICK,
        learning=replace(QUICK.learning, refits=3),
        thresholds_mg_cm3={Target.ABNORMAL_DENSITY: 120.0},
        both_for=frozenset({Target.ABNORMAL_DENSITY}),
        age_and_sex=True,
    )
    return train(part(WHOLE, slice(0, 90)), settings)


def test_so_it_does_from_both_sequences_with_age_and_sex() -> None:
    rows = tuple(
        replace(row, age=None if row.line == 22 else row.age, sex=None if row.line == 33 else row.sex)
        for row in other_hospital().rows
    )
    found = validate(
        replace(other_hospital(), rows=rows), parent_of_both(), BOTH_SETTINGS.preferred, draws=10
    )
    (node,) = found.node
    standings = set()
    for number in (0, 1, 2, 4, 11, 12, 20, 31, 50, 60, 61, 70):
        row = rows[number]
        person = AgeAndSex(None if row.age is None else int(row.age), row.sex)
        (answer,) = predict(series_of(number).series, parent_of_both(), BOTH_SETTINGS, person)
        outcome = node.outcomes[node.patient_ids.index(row.patient_id)]
        standings.add(outcome.standing)
        assert (outcome.standing is Standing.ANSWERED) == (answer.verdict is not Verdict.INDETERMINATE)
        if outcome.standing is Standing.ANSWERED:
            assert (outcome.probability, outcome.interval) == (answer.probability, answer.interval)
        else:
            assert set(outcome.reasons) - {"no usable T1 series"} <= set(answer.reasons)
    assert {Standing.ANSWERED, Standing.OUTSIDE, Standing.UNMEASURED} <= standings
    with pytest.raises(RefusedError, match=r"the model has no abnormal bone density from T1\+T2"):
        validate(other_hospital(), parent(), dict.fromkeys(Target, BOTH), draws=10)


@pytest.mark.parametrize("age", [62.0, 120.0])
def test_a_patient_without_the_features_has_no_probability_whatever_the_age(age: float) -> None:
    row, record = replace(other_hospital().rows[0], age=age), deepcopy(other_hospital().records[0])
    for series in record["sequences"].values():
        series["features"] = {"another": 1.0}
    outcome = outcome_of(row, record, parent_of_both(), (Target.ABNORMAL_DENSITY, BOTH))
    assert (outcome.standing, outcome.probability) == (Standing.UNMEASURED, None)
    assert outcome.reasons


def test_a_recalibrated_model_still_needs_both_sequences_and_age_and_sex(tmp_path: Path) -> None:
    key = (Target.ABNORMAL_DENSITY, BOTH)
    every = {one: local(patients=400 if one == key else 30) for one in parent_of_both().classifiers}
    only = recalibrated(parent_of_both(), every, Method.SLOPE, ThresholdRule(), simulated=True)
    save(only, tmp_path / "bundle")
    loaded = load(tmp_path / "bundle", FeatureSettings())
    assert list(loaded.classifiers) == [key]
    (answer,) = predict(series_of(0).series, loaded, BOTH_SETTINGS)
    assert (answer.probability, answer.age_and_sex) == (None, True)
    assert [one for one in answer.reasons if "the age of the patient is unknown" in one]


def test_every_labelled_patient_is_counted_once_with_reasons() -> None:
    one = checked()
    assert len(one.outcomes) == validation().patients == 119
    assert "P007" not in one.patient_ids
    counts = {standing: one.count(standing) for standing in Standing}
    assert sum(counts.values()) == 119
    assert counts[Standing.UNMEASURED] == 13  # one is refused, and twelve have no T1
    assert counts[Standing.OUTSIDE] >= 12
    codes = {(standing, code): count for standing, code, _, count in one.abstentions}
    assert codes[Standing.UNMEASURED, "no_whole_series"] == 1
    assert codes[Standing.UNMEASURED, "no usable T1 series"] == 12
    assert codes[Standing.OUTSIDE, "protocol_outside"] == 12


def test_a_rarer_target_shows_as_fewer_observed_than_expected() -> None:
    figures = checked().figures
    ratio, large = figures["observed / expected"], figures["calibration in the large"]
    assert ratio.low < ratio.value < ratio.high < 1
    assert large.high < 0
    assert figures["AUC"].low > 0.6


def test_groups_hold_every_patient_with_a_probability_and_small_ones_no_figures() -> None:
    one = checked()
    by: dict[str, list[Any]] = {}
    for group in one.groups:
        by.setdefault(group.by, []).append(group)
    assert set(by) == {"training range", "site", "scanner", "field strength", "sex", "age"}
    assert all(sum(group.patients for group in groups) == one.known.sum() for groups in by.values())
    assert [group.name for group in by["site"]] == ["north", "south"]
    for group in one.groups:
        enough = min(group.present, group.patients - group.present) >= 10
        assert bool(group.figures) == enough


def local(seed: int = 0, patients: int = 400) -> LocalPatients:
    """Return patients whose true log odds are -1 + 0.5 · those that the model tells."""
    rng = np.random.default_rng(seed)
    told = rng.normal(0, 2, patients)
    present = rng.random(patients) < logistic_of_all(-1 + 0.5 * told)
    return LocalPatients(logistic_of_all(told), rng.chisquare(5, patients) / 5, present)


@cache
def made(method: Method = Method.SLOPE) -> Model:
    every = {key: local() for key in parent().classifiers}
    return recalibrated(parent(), every, method, ThresholdRule(), simulated=True)


KEY = (Target.OSTEOPOROSIS, "T1")


def test_recalibration_finds_the_true_line_again() -> None:
    before, after = parent().classifiers[KEY].calibration, made().classifiers[KEY].calibration
    slope = after.slope / before.slope
    assert slope == pytest.approx(0.5, abs=0.15)
    assert after.intercept - slope * before.intercept == pytest.approx(-1, abs=0.3)


def test_the_intercept_alone_leaves_the_slope_and_meets_the_prevalence() -> None:
    before, after = parent().classifiers[KEY].calibration, made(Method.INTERCEPT).classifiers[KEY].calibration
    assert after.slope == before.slope
    moved = np.log(local().probabilities / (1 - local().probabilities)) + after.intercept - before.intercept
    assert logistic_of_all(moved).mean() == pytest.approx(local().present.mean())


def test_the_interval_moves_with_the_probability_and_knows_no_more_than_the_parent() -> None:
    before, after = parent().classifiers[KEY].band, made(Method.INTERCEPT).classifiers[KEY].band
    shift = made(Method.INTERCEPT).classifiers[KEY].calibration.intercept
    shift -= parent().classifiers[KEY].calibration.intercept

    def width(interval: tuple[float, float]) -> float:
        low, high = (float(np.log(chance / (1 - chance))) for chance in interval)
        return high - low

    for odds in (-1.0, 0.0, 1.0):
        old = before.interval(float(logistic_of_all(np.array(odds))), 1.0)
        new = after.interval(float(logistic_of_all(np.array(odds + shift))), 1.0)
        assert width(new) > 0.9 * width(old)  # normal on either side: nearly the same percentiles
        assert new[1] < old[1]  # the target is rarer


def test_figures_threshold_and_sets_are_of_the_new_patients() -> None:
    after = made().classifiers[KEY]
    assert after.performance.patients == 400
    assert after.performance.values["sensitivity"] >= 0.7
    assert after.threshold_spread[0] <= after.decision_threshold <= after.threshold_spread[1]
    assert after.performance.values["coverage"] == pytest.approx(0.8, abs=0.08)


def test_a_recalibrated_bundle_names_its_parent_and_is_loaded(tmp_path: Path) -> None:
    digest = save(made(), tmp_path / "bundle")
    loaded = load(tmp_path / "bundle", FeatureSettings())
    assert loaded.identity.digest == digest
    assert loaded.parent == made().parent
    assert loaded.parent is not None
    assert (loaded.parent.digest, loaded.parent.changed) == ("d" * 64, "intercept and slope")
    card = (tmp_path / "bundle" / "card.md").read_text()
    assert "Recalibrated (intercept and slope) from OsteoNode model 1, bundle " + "d" * 64 in card
    assert "Nested cross-validation" not in card
    found = predict(series_of(0).series, loaded, SETTINGS)
    assert {one.target for one in found} == set(Target)


def test_a_trained_bundle_has_no_parent_in_its_card(tmp_path: Path) -> None:
    save(parent(), tmp_path / "bundle")
    assert "parent" not in json.loads((tmp_path / "bundle" / "card.json").read_text())
    assert load(tmp_path / "bundle", FeatureSettings()).parent is None


def test_a_classifier_with_too_few_patients_is_left_out_and_none_at_all_is_refused() -> None:
    every = {key: local() for key in parent().classifiers}
    few = recalibrated(
        parent(), every | {KEY: local(patients=30)}, Method.SLOPE, ThresholdRule(), simulated=False
    )
    assert KEY not in few.classifiers
    assert len(few.classifiers) == 3
    assert any("osteoporosis from T1 is left out" in remark for remark in few.remarks)
    worse = replace(local(), present=~local().present)
    with pytest.raises(RefusedError, match="do not rise with the truth"):
        recalibrated(parent(), dict.fromkeys(every, worse), Method.SLOPE, ThresholdRule(), simulated=False)


def test_the_report_tells_the_story_and_names_no_patient_but_in_the_predictions(tmp_path: Path) -> None:
    who = who_was_in(other_hospital(), parent().identity.thresholds_mg_cm3)
    written = write_report(validation(), tmp_path, "OsteoNode 1", who)
    assert sorted(path.name for path in written) == sorted(path.name for path in tmp_path.iterdir())
    page = (tmp_path / "validation.html").read_text()
    assert "<td>118</td>" in page  # analysed, in the flow
    assert "Riley" not in page
    assert "Validation of OsteoNode model on simulated data: 119 patients" in page
    assert page.count("data:image/svg+xml;base64,") == sum(bool(one.figures) for one in validation().checked)
    assert not re.search(r"<script|<link|src=\"(?!data:)|https?://(?!www\.w3\.org)", page)
    for path in written[:-1]:
        assert not re.search(r"\bP\d\d\d\b", path.read_text(encoding="utf-8"))
    with (tmp_path / "predictions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 119 * 6
    record = json.loads((tmp_path / "validation.json").read_text())
    flow = record["who_was_in"]["flow"]
    assert (flow["rows"], flow["unlabelled"], flow["refused"], flow["analysed"]) == (120, 1, 1, 118)
    first = next(one for one in record["classifiers"] if one["figures"])
    other = next(one for one in validation().checked if one.figures)
    assert first["figures"]["AUC"]["value"] == other.figures["AUC"].value


def test_the_columns_of_the_predictions_are_stable() -> None:
    assert list(outcome_columns(validation())) == [
        *("patient_id", "target", "sequence", "present", "standing"),
        *("probability", "low", "high", "called_present", "reasons"),
    ]


def test_a_cohort_without_a_class_has_a_page_without_figures() -> None:
    rows = tuple(
        replace(row, bmd_mg_cm3=None if row.bmd_mg_cm3 is None else 200.0) for row in other_hospital().rows
    )
    found = validate(replace(other_hospital(), rows=rows), parent(), SETTINGS.preferred, draws=10)
    assert all(not one.figures for one in found.checked)
    assert "so there are no figures" in html_of(found)
