"""Commands that list, explain, retry and purge the studies of a node."""

from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from node.commands.terminal import ConfigOption, console, exit_on_error, load_configuration, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node.ports import Store

__all__ = ["purge", "retry", "studies", "why"]

StudyArgument = Annotated[
    str, typer.Argument(help="Study Instance UID, as `osteonode studies` prints it.", show_default=False)
]


def studies(
    config: ConfigOption = None,
    *,
    limit: Annotated[int, typer.Option(min=1, help="Largest number of studies to list.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array instead of a table.")] = False,
) -> None:
    """List the studies that arrived, each with its state and the reason for it, latest first."""
    with _open_store(config) as store:
        rows = [
            {
                "study_uid": study.study_uid,
                "state": study.state.value,
                "changed_at": study.changed_at.isoformat(timespec="seconds"),
                "reason": study.reason,
            }
            for study in store.studies(limit)
        ]
    if as_json:
        print_json(rows)
        return
    table = Table("Study", "State", "Since", "Reason")
    for row in rows:
        table.add_row(*row.values())
    console.print(table)


def why(study: StudyArgument, config: ConfigOption = None) -> None:
    """Explain in one paragraph why a study has no result."""
    from node.show.why import explain

    with _open_store(config) as store:
        names = [there.name for there in load_configuration(config).destinations]
        console.print(explain(store, study, names), markup=False)


def retry(study: StudyArgument, config: ConfigOption = None) -> None:
    """Deliver the results of a study again, or analyse it again if it has none.

    A study that is held because its patient is uncertain gets the corrected images that were sent since.

    Results that wait for a destination that is no longer configured are sent to the configured ones.
    """
    from node.clock import SystemClock
    from node.operate.retry import retry_study

    with _open_store(config) as store:
        console.print(retry_study(store, load_configuration(config), study, SystemClock().now()))


def purge(
    config: ConfigOption = None,
    *,
    days: Annotated[
        float, typer.Option(min=0, help="Purge only studies that were finished at least this many days ago.")
    ] = 30,
    failed: Annotated[
        bool, typer.Option("--failed", help="Purge studies that were set aside as well.")
    ] = False,
) -> None:
    """Delete the images and results of finished studies now, before their retention ends."""
    from node.clock import SystemClock
    from node.operate.purge import purge_studies

    with _open_store(config) as store:
        age = timedelta(days=days)
        count = purge_studies(store, load_configuration(config), SystemClock().now(), age, failed=failed)
    console.print(f"Removed the images and results of {count} studies.")


@contextmanager
def _open_store(config: Path | None) -> "Iterator[Store]":
    from node.operate.database import open_store

    with exit_on_error():
        store = open_store(load_configuration(config))
        try:
            yield store
        finally:
            store.close()
