"""The operator's view of the queue."""

import json
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from node.commands.terminal import ConfigOption, configuration_of, console, faults_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node.ports import Store

__all__ = ["doctor", "purge", "retry", "studies", "upgrade", "why"]

StudyArgument = Annotated[str, typer.Argument(help="Study Instance UID.")]


def studies(
    config: ConfigOption = None,
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the latest first.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List what arrived, in which state it is, and why."""
    with _store(config) as store:
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
        console.print_json(json.dumps(rows))
        return
    table = Table("Study", "State", "Since", "Reason")
    for row in rows:
        table.add_row(*row.values())
    console.print(table)


def doctor(config: ConfigOption = None) -> None:
    """Look at everything the node needs, and say how to mend what is wrong.

    Exit status: 0 all is good; 4 a warning; 5 a fault.
    """
    from node.operate.doctor import Level, examine_node

    colours = {Level.GOOD: "green", Level.WARNING: "yellow", Level.FAULT: "red"}
    worst = Level.GOOD
    for finding in examine_node(configuration_of(config)):
        worst = max(worst, finding.level)
        console.print(f"{finding.level.name.lower():8}", style=colours[finding.level], end="")
        console.print(f"{finding.subject}: {finding.message}", markup=False)
        if finding.remedy:
            console.print(f"        {finding.remedy}", markup=False)
    raise typer.Exit(worst)


def why(study: StudyArgument, config: ConfigOption = None) -> None:
    """Answer "why has this study no result?" in one paragraph."""
    from node.show.why import explain

    with _store(config) as store:
        names = [there.name for there in configuration_of(config).destinations]
        console.print(explain(store, study, names), markup=False)


def retry(study: StudyArgument, config: ConfigOption = None) -> None:
    """Deliver the results of a study again, or analyse it again if there are none.

    A study that is held for its identity gets the corrected images that were sent meanwhile; what waits for a
    destination that is not configured any more goes to those that are.
    """
    from node.clock import SystemClock
    from node.operate.orders import release

    with _store(config) as store:
        console.print(release(store, configuration_of(config), study, SystemClock().now()))


def purge(
    config: ConfigOption = None,
    *,
    days: Annotated[float, typer.Option(min=0, help="Only studies finished at least so long ago.")] = 30,
    failed: Annotated[bool, typer.Option("--failed", help="Those that were set aside, too.")] = False,
) -> None:
    """Remove images and results of finished studies now, not when their retention is over."""
    from node.clock import SystemClock
    from node.operate.orders import clear_away

    with _store(config) as store:
        age = timedelta(days=days)
        count = clear_away(store, configuration_of(config), SystemClock().now(), age, failed=failed)
    console.print(f"Removed the images and results of {count} studies.")


def upgrade(config: ConfigOption = None) -> None:
    """Bring the database of a stopped node to the version of this OsteoNode; some updates ask for it."""
    from node.operate.orders import upgrade_store

    with faults_in_words():
        done = upgrade_store(configuration_of(config))
    if done.before == done.after:
        console.print(f"Nothing to do: its tables are of version {done.after} already.")
        return
    console.print(f"Its tables were of version {done.before} and are of version {done.after} now.")
    if done.copy is not None:
        console.print(f"As it was before: {done.copy}", markup=False, soft_wrap=True)


@contextmanager
def _store(config: Path | None) -> "Iterator[Store]":
    from node.operate.orders import open_store

    with faults_in_words():
        store = open_store(configuration_of(config))
        try:
            yield store
        finally:
            store.close()
