"""Commands of the offline science: simulated cohorts, and models from a hospital's own cohort."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.terminal import (
    ConfigOption,
    console,
    error_console,
    exit_on_error,
    load_configuration,
    progress_bar,
    show_steps,
)

if TYPE_CHECKING:
    from analysis.cohort.measure import MeasuredCohort
    from analysis.learning.learn import LearningSettings
    from analysis.tasks import Spread
    from node.config import Configuration

__all__ = ["evaluate", "sample", "train"]

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
    str,
    typer.Option(
        help="Rule of the decision threshold, chosen before training: sensitivity:0.8 (finds at least this "
        "share of the patients with the target), youden, or fixed:0.3 (this probability)."
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
    threshold: ThresholdOption = "sensitivity:0.8",
    workers: WorkersOption = 2,
    dask: DaskOption = "",
    config: ConfigOption = None,
) -> None:
    r"""Train a prediction model on patients who have both MR and QCT, and save it as a bundle.

    To use the model, name the bundle in \[models] of the configuration.
    """
    from analysis.learning.train import TrainingSettings
    from analysis.learning.train import train as train_model
    from analysis.prediction.bundle import save
    from node.science.parallel import in_parallel

    settings = TrainingSettings(name=name, version=version, learning=_learning(threshold))
    configuration = load_configuration(config)
    with exit_on_error():
        with in_parallel(workers, dask or configuration.engine.dask) as spread:
            measured = _measure(cohort, configuration, spread)
        with show_steps() as step:
            model = train_model(measured.table, settings, step)
        digest = save(model, out)
    console.print(f"Model bundle {digest[:12]} in {out.resolve()}; read {out / 'card.md'} before you use it.")


def evaluate(
    cohort: CohortArgument,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the report. It is created if it does not exist.")],
    threshold: ThresholdOption = "sensitivity:0.8",
    workers: WorkersOption = 2,
    dask: DaskOption = "",
    config: ConfigOption = None,
) -> None:
    """Compare models and sequences on patients who have both MR and QCT, as the paper's table does.

    Six kinds of model are cross-validated on T1, on T2 and on both together, for each of the two targets.
    """
    from analysis.evaluation.evaluate import EvaluationSettings
    from analysis.evaluation.evaluate import evaluate as evaluate_cohort
    from analysis.evaluation.report import write_report
    from node.analyse.findings import SOFTWARE
    from node.science.parallel import in_parallel

    settings = EvaluationSettings(learning=_learning(threshold))
    configuration = load_configuration(config)
    with exit_on_error():
        with in_parallel(workers, dask or configuration.engine.dask) as spread:
            measured = _measure(cohort, configuration, spread)
            with progress_bar("splitting, learning, judging") as advance:
                evaluation = evaluate_cohort(measured.table, settings, spread, advance)
        written = write_report(evaluation, out, SOFTWARE)
    console.print(f"Report: {written[0].resolve()}")


def _learning(threshold: str) -> "LearningSettings":
    """Return the settings of learning with a rule of the decision threshold.

    Raises
    ------
    typer.BadParameter
        If the rule cannot be read.
    """
    from analysis.learning.learn import LearningSettings
    from analysis.learning.threshold import rule_of

    try:
        return LearningSettings(threshold_rule=rule_of(threshold))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--threshold") from error


def _measure(cohort: Path, configuration: "Configuration", spread: "Spread") -> "MeasuredCohort":
    """Measure a cohort, show a progress bar, and print the studies that could not be measured in full."""
    from node.science.measure_cohort import measure_table

    with progress_bar("measuring studies") as advance:
        measured = measure_table(
            cohort,
            configuration.analysis,
            configuration.segmentation,
            spread=spread,
            report_progress=advance,
        )
    for outcome, studies in (("not measured", measured.refused), ("in part", measured.in_part)):
        for study in studies:
            error_console.print(f"line {study.line} {outcome}: {'; '.join(study.reasons)}")
    return measured
