"""The command line, `osteonode`."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from io import TextIOWrapper
from typing import Annotated

import typer

from node.commands.cohorts import evaluate, features, sample, train, validate
from node.commands.fetching import fetch
from node.commands.files import analyse, verify
from node.commands.orders import purge, resend, retry, set_aside
from node.commands.rules import list_rules, try_on_files
from node.commands.scanners import scanners
from node.commands.service import demo, doctor, init, notify, password, serve, upgrade
from node.commands.studies import models, studies, why

__all__ = ["COMMANDS", "RULES_COMMANDS", "application", "main"]

application = typer.Typer(
    help="A DICOM node that measures bone in lumbar spine MR and reports it back to the PACS.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals may hold patient data
)
COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "The node": (init, serve, demo, doctor, notify, upgrade, password),
    "Its studies": (studies, why, models, scanners, fetch, retry, resend, set_aside, purge),
    "DICOM files": (analyse, verify),
    "Cohorts": (sample, features, train, evaluate, validate),
}
"""The commands by group, in the order of the help."""
_RULES = typer.Typer(help="Try and show the rules about what is taken of what arrives.", no_args_is_help=True)
RULES_COMMANDS: dict[str, Callable[..., None]] = {"test": try_on_files, "show": list_rules}
"""The commands of `osteonode rules`, by name."""


_FOR_OTHERS = 0o077
"""Rights that only the user of the process gets on what it creates: nearly all of it is patient data."""


def _prepared(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command so that the settings of the process and of libraries are made before it does anything.

    Not before its options are read: `--help` must not pay for importing the libraries.
    """

    @wraps(command)
    def run(*arguments: object, **options: object) -> None:
        from node.dicom.libraries import configure_libraries

        os.umask(_FOR_OTHERS)
        configure_libraries()
        command(*arguments, **options)

    return run


def _print_version(asked: bool) -> None:  # noqa: FBT001 - typer gives the value of the option
    if asked:
        from importlib.metadata import version

        typer.echo(f"OsteoNode {version('osteonode')}")
        raise typer.Exit


@application.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that belong to no command; `--version` acts when it is read."""


for group, commands in COMMANDS.items():
    for command in commands:
        application.command(rich_help_panel=group)(_prepared(command))
for name, command in RULES_COMMANDS.items():
    _RULES.command(name)(_prepared(command))
application.add_typer(_RULES, name="rules", rich_help_panel="The node")


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character must not turn work that is done into a fault.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    application()
