"""One command, `osteonode`. Every import of weight is inside the command that needs it."""

import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

if TYPE_CHECKING:
    from analysis.cohort import MeasuredCohort
    from analysis.settings import AnalysisSettings
    from node.analyse import StudyOutcome
    from node.config import Configuration

__all__ = ["main"]

EXIT_FAULT, EXIT_USAGE, EXIT_REFUSED = 1, 2, 3

application = typer.Typer(
    help="A DICOM node that measures bone in lumbar spine MR and reports it back to the PACS.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals may hold patient data
)
console = Console()
complaints = Console(stderr=True, soft_wrap=True)  # a script may read them line by line

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration; without it, config.toml here or the shipped defaults."),
]
CohortArgument = Annotated[
    Path, typer.Argument(help="Table with patient_id, study (a folder) and bmd_mg_cm3.", dir_okay=False)
]
WorkersOption = Annotated[int, typer.Option(min=1, help="Processes that measure studies.")]


def main() -> None:
    """Run the command line."""
    application()


@application.command()
def serve(config: ConfigOption = None) -> None:
    """Run the node: listener, assembly, workers, delivery and timers, until SIGTERM or Ctrl-C."""
    from node.app import Node
    from node.observe import configure

    configuration = _configuration(config)
    configure(configuration.log)
    node = Node(configuration)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with node:
        stop.wait()


@application.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("demo"),
) -> None:
    """Send a simulated study through a node on loopback and show what comes back."""
    from node.config import LogSettings
    from node.demo import run_demo
    from node.observe import configure

    configure(LogSettings(level="error"))  # the steps are the log
    with _steps() as step, _faults_in_words():
        shown = run_demo(out, report_progress=step)
    _show_summary("Received by C-STORE", shown.summary)
    console.print(f"Results {shown.seconds:.0f} s after the last image, in {out.resolve()}:")
    console.print("  " + ", ".join(file.name for file in shown.files))


@application.command()
def analyse(
    paths: Annotated[list[Path], typer.Argument(help="DICOM files or folders.")],
    out: Annotated[Path, typer.Option(help="Where the results go.")],
    config: ConfigOption = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Analyse DICOM files offline, with the code and the results of the node.

    Exit status: 0 a report was made; 3 all was refused, with the reason; 2 usage; 1 fault.
    """
    from node.analyse import analyse_studies

    configuration = _configuration(config)
    try:
        with _steps(quiet=as_json) as step, _faults_in_words():
            studies = analyse_studies(paths, configuration, out, report_progress=step)
    except FileNotFoundError as error:
        complaints.print(f"[red]{error}")
        raise typer.Exit(EXIT_USAGE) from None
    if as_json:
        console.print_json(json.dumps([_outcome_as_json(study) for study in studies]))
    for study in () if as_json else studies:
        if study.outcome.refusals:
            _show_refusal(study)
        else:
            _show_summary(study.study_uid, study.outcome.summary)
            console.print(f"Results: {study.outcome.results[0].path.parent.resolve()}")
    if all(study.outcome.refusals for study in studies):
        raise typer.Exit(EXIT_REFUSED)


@application.command()
def sample(
    out: Annotated[Path, typer.Option(help="Where the studies go.")],
    patients: Annotated[int, typer.Option(min=1, help="How many.")] = 1,
    seed: Annotated[int, typer.Option(help="The same seed makes the same patients.")] = 2026,
) -> None:
    """Write simulated lumbar studies as DICOM, with truth masks and a cohort table."""
    from node.sample import write_sample

    with _bar("simulating patients") as advance:
        written = write_sample(out, patients=patients, seed=seed, report_progress=advance)
    console.print(f"{patients} simulated patient(s): {written.table.resolve()}")


@application.command()
def train(
    cohort: CohortArgument,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the model bundle.")],
    name: Annotated[str, typer.Option(help="Of the model, as reports will cite it.")] = "OsteoNode model",
    version: Annotated[str, typer.Option(help="Of the model.")] = "1",
    workers: WorkersOption = 2,
    config: ConfigOption = None,
) -> None:
    """Train a model bundle on a cohort of MR studies with QCT, for `[models] bundle` in config.toml."""
    from analysis.model_store import save
    from analysis.train import TrainingSettings
    from analysis.train import train as train_model

    with _faults_in_words():
        measured = _measure(cohort, _configuration(config).analysis, workers)
        with _steps() as step:
            model = train_model(measured.table, TrainingSettings(name=name, version=version), step)
        digest = save(model, out)
    console.print(f"Model bundle {digest[:12]} in {out.resolve()}; read {out / 'card.md'} before you use it.")


def _configuration(path: Path | None) -> "Configuration":
    from node import config
    from node.errors import ConfigurationError

    found = path or (Path("config.toml") if Path("config.toml").is_file() else None)
    try:
        return config.load(found) if found else config.default()
    except ConfigurationError as error:
        complaints.print("The configuration cannot be used:", style="bold red")
        for fault in error.faults:
            complaints.print(f"  {fault}", markup=False)
        raise typer.Exit(EXIT_USAGE) from None


def _measure(cohort: Path, settings: "AnalysisSettings", workers: int) -> "MeasuredCohort":
    """Measure a cohort with a bar, and tell which of its studies could not be."""
    from node.learn import measure

    with _bar("measuring studies") as advance:
        measured = measure(cohort, settings, workers=workers, report_progress=advance)
    for study in measured.refused:
        complaints.print(f"line {study.line}: {'; '.join(study.reasons)}", markup=False)
    return measured


@contextmanager
def _faults_in_words() -> Iterator[None]:
    """Tell what we raise on purpose in one line; anything else is a bug and keeps its traceback."""
    from analysis.errors import AnalysisError
    from node.errors import NodeError

    try:
        yield
    except (AnalysisError, NodeError) as error:
        complaints.print(f"Fault: {error}", style="bold red", markup=False)
        raise typer.Exit(EXIT_FAULT) from None


@contextmanager
def _steps(*, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Show what is being done, and for how long; each step stays as a line when the next begins."""
    columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet) as progress:

        def finish() -> None:
            for task in progress.tasks:
                progress.update(task.id, total=1, completed=1)

        def step(name: str) -> None:
            finish()
            progress.add_task(name, total=None)

        yield step
        finish()


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many of how many are done."""
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _show_summary(title: str, summary: Mapping[str, str]) -> None:
    table = Table(title=title, show_header=False, title_justify="left")
    for name, answer in summary.items():
        table.add_row(name, answer)
    console.print(table)


def _show_refusal(study: "StudyOutcome") -> None:
    complaints.print(f"Refused: {study.study_uid or 'files of no study'}", style="bold red", markup=False)
    for reason in study.outcome.refusals:
        complaints.print(f"  {reason}", markup=False)


def _outcome_as_json(study: "StudyOutcome") -> dict[str, object]:
    return {
        "study_uid": study.study_uid,
        "refusals": study.outcome.refusals,
        "summary": study.outcome.summary,
        "results": [
            {"kind": result.kind, "path": str(result.path), "sop_instance_uid": result.sop_instance_uid}
            for result in study.outcome.results
        ],
    }
