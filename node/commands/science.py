"""The offline science: simulated studies, and models from a hospital's own cohort."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.terminal import (
    ConfigOption,
    bar,
    complaints,
    configuration_of,
    console,
    faults_in_words,
    steps,
)

if TYPE_CHECKING:
    from analysis.cohort.measure import MeasuredCohort
    from analysis.tasks import Spread
    from node.config import Configuration

__all__ = ["evaluate", "sample", "train"]

CohortArgument = Annotated[
    Path, typer.Argument(help="Table with patient_id, study (a folder) and bmd_mg_cm3.", dir_okay=False)
]
WorkersOption = Annotated[int, typer.Option(min=1, help="Processes that share the work.")]
DaskOption = Annotated[
    str,
    typer.Option(help="Dask scheduler that shares it instead, tcp://HOST:PORT; see config.toml, [engine]."),
]


def sample(
    out: Annotated[Path, typer.Option(help="Where the studies go.")],
    patients: Annotated[int, typer.Option(min=1, help="How many.")] = 1,
    seed: Annotated[int, typer.Option(help="The same seed makes the same patients.")] = 2026,
) -> None:
    """Write simulated lumbar studies as DICOM, with truth masks and a cohort table."""
    from node.science.sample import write_sample

    with bar("simulating patients") as advance:
        written = write_sample(out, patients=patients, seed=seed, report_progress=advance)
    console.print(f"{patients} simulated patient(s): {written.table.resolve()}")


def train(
    cohort: CohortArgument,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the model bundle.")],
    name: Annotated[str, typer.Option(help="Of the model, as reports will cite it.")] = "OsteoNode model",
    version: Annotated[str, typer.Option(help="Of the model.")] = "1",
    workers: WorkersOption = 2,
    dask: DaskOption = "",
    config: ConfigOption = None,
) -> None:
    """Train a model bundle on a cohort of MR studies with QCT, to be named in config.toml."""
    from analysis.learning.train import TrainingSettings
    from analysis.learning.train import train as train_model
    from analysis.prediction.bundle import save
    from node.science.spread import spread_over

    configuration = configuration_of(config)
    with faults_in_words():
        with spread_over(workers, dask or configuration.engine.dask) as spread:
            measured = _measure(cohort, configuration, spread)
        with steps() as step:
            model = train_model(measured.table, TrainingSettings(name=name, version=version), step)
        digest = save(model, out)
    console.print(f"Model bundle {digest[:12]} in {out.resolve()}; read {out / 'card.md'} before you use it.")


def evaluate(
    cohort: CohortArgument,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the report.")],
    workers: WorkersOption = 2,
    dask: DaskOption = "",
    config: ConfigOption = None,
) -> None:
    """Make the paper's table on a cohort of MR studies with QCT: six models, three sequences, two targets."""
    from analysis.evaluation.evaluate import EvaluationSettings
    from analysis.evaluation.evaluate import evaluate as evaluate_cohort
    from analysis.evaluation.report import write_report
    from node.analyse.findings import SOFTWARE
    from node.science.spread import spread_over

    configuration = configuration_of(config)
    with faults_in_words():
        with spread_over(workers, dask or configuration.engine.dask) as spread:
            measured = _measure(cohort, configuration, spread)
            with bar("splitting, learning, judging") as advance:
                evaluation = evaluate_cohort(measured.table, EvaluationSettings(), spread, advance)
        written = write_report(evaluation, out, SOFTWARE)
    console.print(f"Report: {written[0].resolve()}")


def _measure(cohort: Path, configuration: "Configuration", spread: "Spread") -> "MeasuredCohort":
    """Measure a cohort with a bar, and tell which of its studies could not be."""
    from node.science.measure_cohort import measure

    with bar("measuring studies") as advance:
        measured = measure(
            cohort,
            configuration.analysis,
            configuration.segmentation,
            spread=spread,
            report_progress=advance,
        )
    for verdict, studies in (("not measured", measured.refused), ("in part", measured.in_part)):
        for study in studies:
            complaints.print(f"line {study.line} {verdict}: {'; '.join(study.reasons)}", markup=False)
    return measured
