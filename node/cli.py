"""One command, `osteonode`."""

from collections.abc import Callable
from functools import wraps

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


def _with_libraries(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command so that the settings of libraries are made before it does anything.

    Not before its options are read: `--help` must not pay for importing the libraries.
    """

    @wraps(command)
    def run(*arguments: object, **options: object) -> None:
        from node.dicom.libraries import configure_libraries

        configure_libraries()
        command(*arguments, **options)

    return run


for panel, commands in COMMANDS.items():
    for command in commands:
        application.command(rich_help_panel=panel)(_with_libraries(command))


def main() -> None:
    """Run the command line."""
    application()
