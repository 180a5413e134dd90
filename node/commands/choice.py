"""The argument that names a study, for all commands that take one."""

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.answers import candidate
from node.commands.terminal import EXIT_NOT_FOUND, error_console, exit_on_error, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from node.config import Configuration
    from node.domain.records import Study
    from node.ports import Figures, Store

__all__ = ["STUDY_ARGUMENT", "StudyArgument", "one_study", "opened_store"]

_SHOWN = 20
_UNKNOWN = (
    "No study here has this UID, accession number or Patient ID. Was it sent to this AE title and port? "
    "A study whose images were removed is found by its UID only."
)

STUDY_ARGUMENT = typer.Argument(
    help="Study Instance UID, the beginning of one, an accession number or a Patient ID.",
    show_default=False,
)
StudyArgument = Annotated[str, STUDY_ARGUMENT]


@contextmanager
def opened_store(configuration: "Configuration", *, as_json: bool = False) -> "Iterator[Store]":
    """Open the store of a node for a command; an error that OsteoNode raises on purpose ends the command."""
    from node.operate.database import open_store

    with exit_on_error(as_json=as_json):
        store = open_store(configuration)
        try:
            yield store
        finally:
            store.close()


def one_study(
    store: "Figures",
    configuration: "Configuration",
    name: str,
    *,
    as_json: bool = False,
    by_person: bool = False,
) -> "Study":
    """Return the study that an operator named; otherwise say which it may be, and exit with status 4."""
    from node.operate.find import find_studies
    from node.store import open_instance_store

    found = find_studies(store, partial(open_instance_store, configuration), name, by_person=by_person)
    if len(found) == 1:
        return found[0]
    # What was typed is not repeated: it may be a Patient ID, and a script may keep this output.
    message = (
        f"{len(found)} studies match. Name one of them by its UID, the latest first:" if found else _UNKNOWN
    )
    if as_json:
        error = "ambiguous" if found else "unknown"
        print_json({"error": error, "message": message, "candidates": [candidate(one) for one in found]})
    else:
        _show(message, found)
    raise typer.Exit(EXIT_NOT_FOUND)


def _show(message: str, found: "Sequence[Study]") -> None:
    error_console.print(message)
    for study in found[:_SHOWN]:
        error_console.print("  " + "  ".join(candidate(study).values()), highlight=False)
    if len(found) > _SHOWN:
        error_console.print(f"  and {len(found) - _SHOWN} more")
