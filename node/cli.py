"""One command, `osteonode`."""

from collections.abc import Callable

import typer

from node.commands.operate import doctor, purge, retry, studies, upgrade, why
from node.commands.run import analyse, demo, serve, verify
from node.commands.science import evaluate, sample, train

__all__ = ["main"]

application = typer.Typer(
    help="A DICOM node that measures bone in lumbar spine MR and reports it back to the PACS.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals may hold patient data
)
COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "The node": (serve, demo, analyse, verify, doctor, upgrade),
    "Its queue": (studies, why, retry, purge),
    "The science": (sample, train, evaluate),
}
"""By who types them, in the order of the help."""

for panel, commands in COMMANDS.items():
    for command in commands:
        application.command(rich_help_panel=panel)(command)


def main() -> None:
    """Run the command line."""
    application()
