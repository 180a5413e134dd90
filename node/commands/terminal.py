"""What all commands share: the configuration option, exit statuses, progress, tables and error messages."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from node.config import Configuration

__all__ = [
    "EXIT_DIFFERENT",
    "EXIT_FAULT",
    "EXIT_IN_PART",
    "EXIT_NOT_FOUND",
    "EXIT_REFUSED",
    "EXIT_USAGE",
    "ConfigOption",
    "JsonOption",
    "configuration_file",
    "console",
    "error_console",
    "exit_on_error",
    "exit_on_faults",
    "load_configuration",
    "print_json",
    "progress_bar",
    "show_rows",
    "show_steps",
    "show_summary",
]

EXIT_FAULT, EXIT_USAGE, EXIT_REFUSED = 1, 2, 3
EXIT_IN_PART, EXIT_DIFFERENT = 4, 5  # the same as for warnings and faults of `osteonode doctor`
EXIT_NOT_FOUND = 4

_PADDING, _LAST_COLUMN = 3, 30

# Without markup: reasons, paths and names of sections hold brackets, which would vanish.
console = Console(markup=False)
error_console = Console(stderr=True, soft_wrap=True, markup=False)  # not wrapped: scripts read it by line

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="Configuration file. Default: config.toml in the current folder if there is one, or else the "
        "built-in defaults.",
    ),
]

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the answer as JSON, as docs/json.md describes it.")
]


def configuration_file(path: Path | None) -> Path | None:
    """Return the file that `--config` names, config.toml in the current folder, or None for the defaults."""
    return path or (Path("config.toml") if Path("config.toml").is_file() else None)


def load_configuration(path: Path | None) -> "Configuration":
    """Load the file that `--config` names, config.toml in the current folder, or the defaults.

    If the file has faults, all of them are printed and the command exits with status 2.
    """
    from node import config

    found = configuration_file(path)
    with exit_on_faults("configuration"):
        return config.load(found) if found else config.default()


@contextmanager
def exit_on_faults(what: str) -> Iterator[None]:
    """Print all faults of a file that the user wrote, and exit with status 2."""
    from node.errors import ConfigurationError

    try:
        yield
    except ConfigurationError as error:
        error_console.print(f"The {what} cannot be used:", style="bold red")
        for fault in error.faults:
            error_console.print(f"  {fault}")
        raise typer.Exit(EXIT_USAGE) from None


@contextmanager
def exit_on_error(*, as_json: bool = False) -> Iterator[None]:
    """Print an error that OsteoNode raises on purpose in one line or as JSON, and exit with status 1.

    Any other exception is a bug, and keeps its traceback.
    """
    from analysis.errors import AnalysisError
    from node.errors import NodeError

    try:
        yield
    except (AnalysisError, NodeError) as error:
        if as_json:
            print_json({"error": "fault", "message": str(error)})
        error_console.print(f"Fault: {error}", style="bold red")
        raise typer.Exit(EXIT_FAULT) from None


@contextmanager
def show_steps(*, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Show the current step with its elapsed time; finished steps stay on the screen above it."""
    # Imported here, as in `progress_bar`, so that `osteonode --help` need not load it.
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

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
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def print_json(value: object) -> None:
    """Print a value as JSON, with escapes where the terminal or file cannot hold every character."""
    console.print_json(json.dumps(value), ensure_ascii=console.encoding.lower() != "utf-8")


def show_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows whose first value is to be copied, so that it is whole whatever the width.

    A program that reads the output gets a line for each row, with tabs between the values.
    """
    if not console.is_terminal:
        lines = ["\t".join(" ".join(value.split()) for value in row) for row in (columns, *rows)]
        _print_whole("\n".join(lines))
        return
    widths = [max(len(row[at]) for row in (columns, *rows)) for at in range(len(columns) - 1)]
    if sum(widths) + _PADDING * len(columns) + _LAST_COLUMN <= console.width:
        table = Table(*(Column(name, no_wrap=True) for name in columns[:-1]), columns[-1])
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
        return
    _print_whole("\n".join("\n  ".join(filter(None, row)) for row in rows))


def _print_whole(text: str) -> None:
    # Not by Rich, which replaces tabs. A terminal wraps what is too long for it, and copies it in one piece.
    console.file.write(f"{text}\n")


def show_summary(title: str, summary: Mapping[str, str]) -> None:
    """Print a table with one row for each answer."""
    table = Table(title=title, show_header=False, title_justify="left")
    for name, answer in summary.items():
        table.add_row(name, answer)
    console.print(table)
