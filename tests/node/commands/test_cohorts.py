"""The commands for cohorts write tables beside their pages; measuring and learning are tested elsewhere."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.cohort.feature_table import FeatureTable
from analysis.cohort.measure import MeasuredCohort, measure_cohort
from analysis.domain.findings import Target
from analysis.learning.train import Trained, TrainingSettings
from analysis.prediction.bundle import save
from analysis.settings import AnalysisSettings
from node.cli import application
from tests.analysis.cohort.test_cohort import analyse_numbered, cohort_rows, good_lines, write_table
from tests.analysis.evaluation.test_evaluate import quick_evaluation
from tests.analysis.synthetic_model import quick_model


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MeasuredCohort:
    """Give the commands a measured cohort of 24 patients, one of them without a label."""
    found = measure_cohort(
        cohort_rows(tmp_path, 24), analyse_numbered, AnalysisSettings(), tmp_path / "cache", software="1"
    )
    found = replace(found, unlabelled=(99,))
    monkeypatch.setattr("node.commands.cohorts._measure", lambda *_arguments, **_options: found)
    return found


def run(*words: str) -> str:
    result = CliRunner().invoke(application, [*words, "--workers", "1"])
    assert result.exit_code == 0, result.output
    return result.output


def columns_of(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as file:
        return next(csv.reader(file))


@pytest.mark.usefixtures("measured")
def test_train_writes_who_was_in_beside_the_bundle_and_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = Trained(quick_model(), ())
    monkeypatch.setattr("analysis.learning.train.train_and_judge", lambda *_arguments: trained)
    told = run("train", str(tmp_path / "cohort.csv"), "--out", str(tmp_path / "model"))
    assert "Riley's criteria ask for" in told
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        *("SHA256", "card.json", "card.md", "model.skops"),
    ]
    report = tmp_path / "model-report"
    assert json.loads((report / "cohort.json").read_text())["flow"]["rows"] == 25
    page = (report / "cohort.html").read_text()
    assert "Who was in" in page
    assert "The patients of OsteoNode model 1" in page
    assert (report / "ranking.html").is_file()
    assert columns_of(report / "predictions.csv")[:4] == ["patient_id", "target", "sequence", "fold"]


@pytest.mark.usefixtures("measured")
def test_train_learns_what_the_configuration_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[TrainingSettings] = []

    def trained(_table: FeatureTable, settings: TrainingSettings, *_arguments: object) -> Trained:
        asked.append(settings)
        return Trained(quick_model(), ())

    monkeypatch.setattr("analysis.learning.train.train_and_judge", trained)
    (tmp_path / "config.toml").write_text('[analysis]\nosteoporosis_from = "T1+T2"\n')
    words = ("train", str(tmp_path / "cohort.csv"), "--out", str(tmp_path / "model"))
    run(*words, "--config", str(tmp_path / "config.toml"))
    (settings,) = asked
    assert settings.bases(Target.OSTEOPOROSIS) == ("T1", "T2", "T1+T2")
    assert settings.bases(Target.ABNORMAL_DENSITY) == ("T1", "T2")
    record = json.loads((tmp_path / "model-report" / "experiment.json").read_text())
    assert record["bases"]["osteoporosis"] == ["T1", "T2", "T1+T2"]


@pytest.mark.usefixtures("measured")
def test_evaluate_writes_its_predictions_and_who_was_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.evaluation.evaluate.evaluate", lambda *_arguments: quick_evaluation())
    choices = tmp_path / "experiment.toml"
    choices.write_text("[experiment]\nbmd = true\nsplits = 2\nfeature_counts = [3]\n")
    words = ("--out", str(tmp_path / "out"), "--experiment", str(choices))
    run("evaluate", str(tmp_path / "cohort.csv"), *words)
    assert columns_of(tmp_path / "out" / "bmd_predictions.csv")[-1] == "predicted_mg_cm3"
    assert (tmp_path / "out" / "bmd_predictions.csv").stat().st_mode & 0o077 == 0
    assert "The bone density itself" in (tmp_path / "out" / "evaluation.html").read_text()
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert record["who_was_in"]["flow"]["unlabelled"] == 1
    assert len(record["who_was_in"]["sample_size"]) == 2
    assert record["sites"]["left_out"] == []  # the table names no site
    assert columns_of(tmp_path / "out" / "predictions.csv")[:3] == ["patient_id", "target", "source"]


@pytest.mark.usefixtures("measured")
def test_validate_reports_and_refuses_to_recalibrate_by_a_handful_of_patients(tmp_path: Path) -> None:
    save(quick_model(), tmp_path / "bundle")
    words = [
        "validate",
        str(tmp_path / "bundle"),
        str(tmp_path / "cohort.csv"),
        "--out",
        str(tmp_path / "out"),
    ]
    run(*words)
    assert "Who was in" in (tmp_path / "out" / "validation.html").read_text()
    result = CliRunner().invoke(application, [*words, "--workers", "1", "--recalibrate", "intercept"])
    assert result.exit_code == 1
    assert "20 of each are needed" in result.output
    assert not (tmp_path / "out" / "recalibrated").exists()


@pytest.mark.usefixtures("measured")
def test_features_are_written_by_patient_and_by_vertebra(tmp_path: Path) -> None:
    run("features", str(tmp_path / "cohort.csv"), "--out", str(tmp_path / "f.csv"))
    assert "T1_vbq" in columns_of(tmp_path / "f.csv")
    run("features", str(tmp_path / "cohort.csv"), "--out", str(tmp_path / "v.csv"), "--row", "vertebra")
    assert "level" in columns_of(tmp_path / "v.csv")
    assert "meaning" in columns_of(tmp_path / "v.csv.columns.csv")
    assert (tmp_path / "v.csv").stat().st_mode & 0o077 == 0
    result = CliRunner().invoke(application, ["features", "cohort.csv", "--out", "f.xlsx"])
    assert result.exit_code == 1
    assert "written as .csv or .parquet" in result.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["evaluate", "cohort.csv", "--experiment", "any.toml"], "either --threshold or --experiment"),
        (["train", "cohort.csv", "--experiment", "any.toml"], "either --threshold or --experiment"),
        (["validate", "bundle", "cohort.csv"], "the rule is for --recalibrate"),
    ],
)
def test_a_rule_of_the_threshold_that_would_have_no_effect_is_refused(words: list[str], told: str) -> None:
    result = CliRunner().invoke(application, [*words, "--out", "out", "--threshold", "youden"])
    assert result.exit_code == 2
    assert told in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize("command", ["evaluate", "train"])
def test_classes_are_counted_by_the_densities_of_the_experiment(tmp_path: Path, command: str) -> None:
    """The table has ten patients of 60, 100 and 150 mg/cm³ each, so that nobody is below 30."""
    table, experiment = write_table(tmp_path, good_lines()), tmp_path / "experiment.toml"
    experiment.write_text("[experiment.thresholds_mg_cm3]\nosteoporosis = 30\n", encoding="utf-8")
    words = [command, str(table), "--out", str(tmp_path / "out"), "--experiment", str(experiment)]
    result = CliRunner().invoke(application, [*words, "--workers", "1"])
    assert result.exit_code == 1
    assert "below 30 mg/cm³" in result.output


@pytest.mark.parametrize("command", ["evaluate", "train"])
def test_a_faulty_experiment_is_wrong_usage_and_all_its_faults_are_told(tmp_path: Path, command: str) -> None:
    experiment = tmp_path / "experiment.toml"
    experiment.write_text('[experiment]\nmodels = ["XYZ"]\nunknown = 1\n', encoding="utf-8")
    words = [command, "cohort.csv", "--out", str(tmp_path / "out"), "--experiment", str(experiment)]
    result = CliRunner().invoke(application, words)
    assert result.exit_code == 2
    told = " ".join(result.output.split())
    assert "The experiment cannot be used:" in told
    assert "experiment.models may hold" in told
    assert "experiment.unknown is unknown" in told
