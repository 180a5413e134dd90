"""What all commands share: the configuration option, exit statuses, progress, tables and error messages."""

import json
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
    "configuration_file",
    "console",
    "error_console",
    "exit_on_error",
    "load_configuration",
    "print_json",
    "progress_bar",
    "show_steps",
    "show_summary",
]

EXIT_FAULT, EXIT_USAGE, EXIT_REFUSED = 1, 2, 3
EXIT_IN_PART, EXIT_DIFFERENT = 4, 5  # the same as for warnings and faults of `osteonode doctor`

console = Console()
error_console = Console(stderr=True, soft_wrap=True)  # not wrapped, so that a script can read it by line

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="Configuration file. Default: config.toml in the current folder if there is one, or else the "
        "built-in defaults.",
    ),
]


def configuration_file(path: Path | None) -> Path | None:
    """Return the file that `--config` names, config.toml in the current folder, or None for the defaults."""
    return path or (Path("config.toml") if Path("config.toml").is_file() else None)


def load_configuration(path: Path | None) -> "Configuration":
    """Load the file that `--config` names, config.toml in the current folder, or the defaults.

    If the file has faults, all of them are printed and the command exits with status 2.
    """
    from node import config
    from node.errors import ConfigurationError

    found = configuration_file(path)
    try:
        return config.load(found) if found else config.default()
    except ConfigurationError as error:
        error_console.print("The configuration cannot be used:", style="bold red")
        for fault in error.faults:
            error_console.print(f"  {fault}", markup=False)
        raise typer.Exit(EXIT_USAGE) from None


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Print an error that OsteoNode raises on purpose in one line, and exit with status 1.

    Any other exception is a bug, and keeps its traceback.
    """
    from analysis.errors import AnalysisError
    from node.errors import NodeError

    try:
        yield
    except (AnalysisError, NodeError) as error:
        error_console.print(f"Fault: {error}", style="bold red", markup=False)
        raise typer.Exit(EXIT_FAULT) from None


@contextmanager
def show_steps(*, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Show the current step with its elapsed time; finished steps stay on the screen above it."""
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
def progress_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; the caller passes the number done and the total."""
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def print_json(value: object) -> None:
    """Print a value as JSON, with escapes where the terminal or file cannot hold every character."""
    console.print_json(json.dumps(value), ensure_ascii=console.encoding.lower() != "utf-8")


def show_summary(title: str, summary: Mapping[str, str]) -> None:
    """Print a table with one row for each answer."""
    table = Table(title=title, show_header=False, title_justify="left")
    for name, answer in summary.items():
        table.add_row(name, answer)
    console.print(table)
