"""What the commands show: steps, bars, tables, and faults in one line."""

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
    from node.config import Configuration

__all__ = [
    "EXIT_DIFFERENT",
    "EXIT_FAULT",
    "EXIT_IN_PART",
    "EXIT_REFUSED",
    "EXIT_USAGE",
    "ConfigOption",
    "bar",
    "complaints",
    "configuration_of",
    "console",
    "faults_in_words",
    "show_summary",
    "steps",
]

EXIT_FAULT, EXIT_USAGE, EXIT_REFUSED = 1, 2, 3
EXIT_IN_PART, EXIT_DIFFERENT = 4, 5  # as `doctor` grades its findings

console = Console()
complaints = Console(stderr=True, soft_wrap=True)  # a script may read them line by line

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration; without it, config.toml here or the shipped defaults."),
]


def configuration_of(path: Path | None) -> "Configuration":
    """Load what `--config` names, config.toml here, or the defaults; tell every fault and exit with 2."""
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


@contextmanager
def faults_in_words() -> Iterator[None]:
    """Tell what we raise on purpose in one line; anything else is a bug and keeps its traceback."""
    from analysis.errors import AnalysisError
    from node.errors import NodeError

    try:
        yield
    except (AnalysisError, NodeError) as error:
        complaints.print(f"Fault: {error}", style="bold red", markup=False)
        raise typer.Exit(EXIT_FAULT) from None


@contextmanager
def steps(*, quiet: bool = False) -> Iterator[Callable[[str], None]]:
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
def bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many of how many are done."""
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def show_summary(title: str, summary: Mapping[str, str]) -> None:
    """Print a table of one line per answer."""
    table = Table(title=title, show_header=False, title_justify="left")
    for name, answer in summary.items():
        table.add_row(name, answer)
    console.print(table)
