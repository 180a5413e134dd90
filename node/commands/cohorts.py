"""Commands of the offline science: simulated cohorts, and models from a hospital's own cohort."""

import json
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.terminal import (
    ConfigOption,
    console,
    error_console,
    exit_on_error,
    exit_on_faults,
    load_configuration,
    progress_bar,
    show_steps,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analysis.cohort.measure import MeasuredCohort
    from analysis.domain.findings import Target
    from analysis.learning.learn import LearningSettings
    from analysis.tasks import Spread
    from node.config import Configuration
    from node.science.experiment import Experiment

__all__ = ["Recalibration", "RowKind", "evaluate", "features", "sample", "train", "validate"]


class Recalibration(StrEnum):
    """What `validate --recalibrate` fits to the patients."""

    INTERCEPT = "intercept"
    SLOPE = "slope"


class RowKind(StrEnum):
    """What a row of a table of features is."""

    PATIENT = "patient"
    VERTEBRA = "vertebra"


CohortArgument = Annotated[
    Path,
    typer.Argument(
        help="CSV file of the cohort, with columns patient_id, study (folder of the MR images, relative to "
        "this file) and bmd_mg_cm3 (trabecular density by QCT).",
        dir_okay=False,
    ),
]
WorkersOption = Annotated[
    int, typer.Option(min=1, help="Number of processes on this machine that share the work.")
]
ThresholdOption = Annotated[
    str | None,
    typer.Option(
        help="Rule of the decision threshold, chosen before training: sensitivity:0.8 (the default: finds at "
        "least this share of the patients with the target), youden, or fixed:0.3 (this probability).",
        show_default=False,
    ),
]
ExperimentOption = Annotated[
    Path | None,
    typer.Option(
        help=r"TOML file whose \[experiment] chooses models, their values, splits, seed, thresholds and "
        "confidence (docs/training.md). It also holds the rule of the threshold, so --threshold is refused.",
        dir_okay=False,
        show_default=False,
    ),
]
DaskOption = Annotated[
    str,
    typer.Option(
        help=r"Address of a Dask scheduler whose workers do the work instead, tcp://HOST:PORT. "
        r"Default: dask in \[engine] of the configuration.",
        show_default=False,
    ),
]


def sample(
    out: Annotated[Path, typer.Option(help="Folder for the studies. It is created if it does not exist.")],
    patients: Annotated[int, typer.Option(min=1, help="Number of patients to simulate.")] = 1,
    seed: Annotated[
        int, typer.Option(help="Seed of the random numbers. Equal seeds give equal files.")
    ] = 2026,
) -> None:
    """Write simulated lumbar spine MR studies as DICOM files, with their true masks and a cohort table."""
    from node.science.sample import write_sample

    with progress_bar("simulating patients") as advance:
        written = write_sample(out, patients=patients, seed=seed, report_progress=advance)
    console.print(f"{patients} simulated patient(s): {written.table.resolve()}")


def features(
    cohort: CohortArgument,
    *,
    out: Annotated[
        Path,
        typer.Option(
            help="File of the table, .csv or .parquet. A file beside it, with .columns.csv added to this "
            "name, says what its columns mean.",
            dir_okay=False,
        ),
    ],
    row: Annotated[
        RowKind, typer.Option(help="What a row of the table is: a patient, or a vertebra of one series.")
    ] = RowKind.PATIENT,
    workers: WorkersOption = 2,
    dask: DaskOption = "",
    config: ConfigOption = None,
) -> None:
    """Measure a cohort, and write its radiomics as a table for R, SPSS or another program.

    The cohort needs no bmd_mg_cm3. The columns are described in docs/tables.md.
    """
    from node.science.feature_files import check_format, write_features
    from node.science.parallel import in_parallel

    configuration = load_configuration(config)
    with exit_on_error():
        check_format(out)
        with in_parallel(workers, dask or configuration.engine.dask) as spread:
            measured = _measure(cohort, configuration, spread, labelled=False, in_detail=True)
        written, dictionary = write_features(measured, out, by_body=row is RowKind.VERTEBRA)
    console.print(f"Features: {written.resolve()}\nTheir columns: {dictionary.resolve()}")


def train(
    cohort: CohortArgument,
    *,
    out: Annotated[
        Path, typer.Option(help="Folder for the model bundle. It is created if it does not exist.")
    ],
    name: Annotated[
        str, typer.Option(help="Name of the model, which every report made with it cites.")
    ] = "OsteoNode model",
    version: Annotated[
        str, typer.Option(help="Version of the model, which every report made with it cites.")
    ] = "1",
    threshold: ThresholdOption = None,
    experiment: ExperimentOption = None,
    workers: WorkersOption = 2,
    dask: DaskOption = "",
    config: ConfigOption = None,
) -> None:
    r"""Train a prediction model on patients who have both MR and QCT, and save it as a bundle.

    To use the model, name the bundle in \[models] of the configuration. A target for which \[analysis] asks
    for T1+T2 also gets a classifier of both together.
    """
    from analysis.cohort.who import who_was_in
    from analysis.domain.basis import BOTH
    from analysis.evaluation.checklist import write_checklists
    from analysis.evaluation.facts import training_facts
    from analysis.evaluation.predictions import held_out_columns
    from analysis.evaluation.ranking import write_ranking
    from analysis.evaluation.who_page import who_page, who_record
    from analysis.learning.train import train_and_judge
    from analysis.prediction.bundle import save
    from analysis.tables import write_table
    from analysis.threads import single_threaded
    from node.analyse.findings import SOFTWARE
    from node.science.parallel import in_parallel

    configuration = load_configuration(config)
    with exit_on_error(), single_threaded():
        chosen = _experiment(threshold, experiment, bundle=True).training
        preferred = configuration.analysis.preferred
        both_for = frozenset(target for target, basis in preferred.items() if basis == BOTH)
        settings = replace(chosen, name=name, version=version, both_for=both_for)
        with in_parallel(workers, dask or configuration.engine.dask) as spread:
            # In detail, because whether T1 and T2 can be read together is told by nothing else.
            measured = _measure(
                cohort, configuration, spread, settings.thresholds_mg_cm3, in_detail=bool(both_for)
            )
        who = who_was_in(measured, settings.thresholds_mg_cm3)
        for warning in filter(None, (need.warning for need in who.needs)):
            error_console.print(warning, style="yellow")
        with show_steps() as step:
            trained = train_and_judge(measured.table, settings, step)
        digest = save(trained.model, out)
        # Beside the bundle, which is given to others: the predictions are of identified patients.
        report = out.with_name(f"{out.name}-report")
        predictions = report / "predictions.csv"
        write_table(predictions, held_out_columns(trained.held_out))
        ranking, *_ = write_ranking(trained, report, SOFTWARE)
        (report / "cohort.html").write_text(
            who_page(who, f"The patients of {name} {version}", SOFTWARE, simulated=measured.table.simulated),
            encoding="utf-8",
        )
        (report / "cohort.json").write_text(json.dumps(who_record(who), indent=1) + "\n", encoding="utf-8")
        write_checklists(training_facts(settings, trained.model, who), report, SOFTWARE)
        (report / "experiment.json").write_text(
            json.dumps(settings.record(), indent=1) + "\n", encoding="utf-8"
        )
    console.print(f"Model bundle {digest[:12]} in {out.resolve()}; read {out / 'card.md'} before you use it.")
    console.print(f"Ranking of the features: {ranking.resolve()}")
    console.print(f"Predictions of held-out patients, with their identifiers: {predictions.resolve()}")


def evaluate(
    cohort: CohortArgument,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the report. It is created if it does not exist.")],
    threshold: ThresholdOption = None,
    experiment: ExperimentOption = None,
    workers: WorkersOption = 2,
    dask: DaskOption = "",
    config: ConfigOption = None,
) -> None:
    """Compare models and sequences on patients who have both MR and QCT, as the paper's table does.

    Six kinds of model are cross-validated on T1, on T2 and on both together, for each of the two targets.
    """
    from analysis.cohort.who import who_was_in
    from analysis.evaluation.checklist import write_checklists
    from analysis.evaluation.evaluate import evaluate as evaluate_cohort
    from analysis.evaluation.facts import evaluation_facts
    from analysis.evaluation.predictions import evaluation_columns
    from analysis.evaluation.regression import regress
    from analysis.evaluation.regression_page import bmd_columns
    from analysis.evaluation.report import write_report
    from analysis.evaluation.sites import leave_one_site_out
    from analysis.tables import write_table
    from node.analyse.findings import SOFTWARE
    from node.science.parallel import in_parallel

    configuration = load_configuration(config)
    with exit_on_error():
        settings = _experiment(threshold, experiment).evaluation
        with in_parallel(workers, dask or configuration.engine.dask) as spread:
            measured = _measure(cohort, configuration, spread, settings.thresholds_mg_cm3)
            with progress_bar("splitting, learning, judging") as advance:
                evaluation = evaluate_cohort(measured.table, settings, spread, advance)
            with show_steps() as step:
                step("leaving out one site")
                sites = leave_one_site_out(measured, settings, spread)
            regression = None
            if settings.bmd:
                with progress_bar("predicting the bone density") as advance:
                    regression = regress(measured.table, settings, spread, advance)
        who = who_was_in(measured, settings.thresholds_mg_cm3)
        written = write_report(evaluation, out, SOFTWARE, who, sites, regression=regression)
        write_checklists(evaluation_facts(evaluation, who), out, SOFTWARE)
        predictions = out / "predictions.csv"
        write_table(predictions, evaluation_columns(evaluation))
        if regression is not None:
            write_table(out / "bmd_predictions.csv", bmd_columns(regression))
    console.print(f"Report: {written[0].resolve()}")
    console.print(f"Predictions, with the identifiers of patients: {predictions.resolve()}")


def validate(
    bundle: Annotated[
        Path, typer.Argument(help="Folder of the model bundle that is to be checked.", file_okay=False)
    ],
    cohort: CohortArgument,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the report. It is created if it does not exist.")],
    recalibrate: Annotated[
        Recalibration | None,
        typer.Option(
            help="Also write a bundle OUT/recalibrated whose probabilities and thresholds are fitted to "
            "these patients: the intercept alone, or also the slope. It names the bundle that it is made of.",
            show_default=False,
        ),
    ] = None,
    threshold: ThresholdOption = None,
    workers: WorkersOption = 2,
    dask: DaskOption = "",
    config: ConfigOption = None,
) -> None:
    """Check a model on patients of another hospital who have both MR and QCT.

    Discrimination, calibration, decision curve, how right the answers are and why others get none: for all,
    and by site, scanner, field strength, sex and age.
    """
    from analysis.cohort.who import who_was_in
    from analysis.evaluation.checklist import write_checklists
    from analysis.evaluation.facts import validation_facts
    from analysis.evaluation.validate import local_patients
    from analysis.evaluation.validate import validate as validate_model
    from analysis.evaluation.validation_report import write_report
    from analysis.learning.recalibrate import Method, recalibrated
    from analysis.prediction.bundle import load, save
    from analysis.threads import single_threaded
    from node.analyse.findings import SOFTWARE
    from node.science.parallel import in_parallel

    if threshold is not None and recalibrate is None:
        raise typer.BadParameter(
            "the rule is for --recalibrate; without it the model keeps its own threshold",
            param_hint="--threshold",
        )
    rule = _learning(threshold).threshold_rule
    configuration = load_configuration(config)
    with exit_on_error(), single_threaded():
        model = load(bundle, configuration.analysis.features)
        with in_parallel(workers, dask or configuration.engine.dask) as spread:
            measured = _measure(
                cohort,
                configuration,
                spread,
                model.identity.thresholds_mg_cm3,
                in_detail=True,
                minimum_per_class=0,
            )
        found = validate_model(measured, model, configuration.analysis.preferred)
        who = who_was_in(measured, model.identity.thresholds_mg_cm3)
        written = write_report(found, out, SOFTWARE, who)
        write_checklists(validation_facts(found, who), out, SOFTWARE)
        console.print(f"Report: {written[0].resolve()}")
        console.print(f"Predictions, with the identifiers of patients: {written[-1].resolve()}")
        if recalibrate is not None:
            method = Method[recalibrate.name]
            made = recalibrated(model, local_patients(found), method, rule, simulated=found.simulated)
            digest = save(made, out / "recalibrated")
            console.print(f"Recalibrated bundle {digest[:12]}: {(out / 'recalibrated').resolve()}")


def _experiment(threshold: str | None, path: Path | None, *, bundle: bool = False) -> "Experiment":
    """Return the choices of an experiment file, or the default ones with a rule of the decision threshold.

    Raises
    ------
    typer.BadParameter
        If the rule cannot be read, or is given beside a file.
    """
    from analysis.evaluation.result import EvaluationSettings
    from analysis.learning.train import TrainingSettings
    from node.science.experiment import Experiment, load_experiment

    if path is None:
        learning = _learning(threshold)
        return Experiment(EvaluationSettings(learning=learning), TrainingSettings(learning=learning))
    if threshold is not None:
        raise typer.BadParameter(
            f'give either --threshold or --experiment; in the file the rule is threshold = "{threshold}" of '
            "[experiment]",
            param_hint="--threshold",
        )
    with exit_on_faults("experiment"):
        return load_experiment(path, bundle=bundle)


def _learning(threshold: str | None) -> "LearningSettings":
    """Return the settings of learning with a rule of the decision threshold, or with the default rule.

    Raises
    ------
    typer.BadParameter
        If the rule cannot be read.
    """
    from analysis.learning.learn import LearningSettings
    from analysis.learning.threshold import rule_of

    if threshold is None:
        return LearningSettings()
    try:
        return LearningSettings(threshold_rule=rule_of(threshold))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--threshold") from error


def _measure(
    cohort: Path,
    configuration: "Configuration",
    spread: "Spread",
    thresholds_mg_cm3: "Mapping[Target, float] | None" = None,
    *,
    labelled: bool = True,
    in_detail: bool = False,
    minimum_per_class: int = 10,
) -> "MeasuredCohort":
    """Measure a cohort, show a progress bar, and print the studies that could not be measured in full."""
    from node.science.measure_cohort import measure_table

    with progress_bar("measuring studies") as advance:
        measured = measure_table(
            cohort,
            configuration.analysis,
            configuration.segmentation,
            labelled=labelled,
            in_detail=in_detail,
            thresholds_mg_cm3=thresholds_mg_cm3,
            minimum_per_class=minimum_per_class,
            spread=spread,
            report_progress=advance,
        )
    for outcome, studies in (("not measured", measured.refused), ("in part", measured.in_part)):
        for study in studies:
            error_console.print(f"line {study.line} {outcome}: {'; '.join(study.reasons)}")
    for line in measured.unlabelled:
        error_console.print(f"line {line} not measured: no bmd_mg_cm3")
    return measured
