"""Commands that list, explain, retry and purge the studies of a node."""

from datetime import timedelta
from typing import Annotated

import typer
from rich.table import Table

from node.commands.choice import StudyArgument, one_study, opened_store
from node.commands.terminal import ConfigOption, console, load_configuration, print_json

__all__ = ["purge", "retry", "studies", "why"]


def studies(
    config: ConfigOption = None,
    *,
    limit: Annotated[int, typer.Option(min=1, help="Largest number of studies to list.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array instead of a table.")] = False,
) -> None:
    """List the studies that arrived, each with its state and the reason for it, latest first."""
    with opened_store(load_configuration(config)) as store:
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
    """Explain in one paragraph why a study has no result.

    Exit status:
    0  explained
    1  a fault
    2  wrong usage or configuration
    4  no study, or more than one, has this name
    """
    from node.show.why import explain

    configuration = load_configuration(config)
    with opened_store(configuration) as store:
        named = one_study(store, configuration, study)
        names = [there.name for there in configuration.destinations]
        console.print(explain(store, named.study_uid, names), markup=False)


def retry(study: StudyArgument, config: ConfigOption = None) -> None:
    """Deliver the results of a study again, or analyse it again if it has none.

    A study that is held because its patient is uncertain gets the corrected images that were sent since.

    Results that wait for a destination that is no longer configured are sent to the configured ones.

    Exit status:
    0  done
    1  it cannot be retried, or a fault
    2  wrong usage or configuration
    4  no study, or more than one, has this name
    """
    from node.clock import SystemClock
    from node.operate.retry import retry_study

    configuration = load_configuration(config)
    with opened_store(configuration) as store:
        named = one_study(store, configuration, study)
        console.print(retry_study(store, configuration, named.study_uid, SystemClock().now()))


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

    configuration = load_configuration(config)
    with opened_store(configuration) as store:
        age = timedelta(days=days)
        count = purge_studies(store, configuration, SystemClock().now(), age, failed=failed)
    console.print(f"Removed the images and results of {count} studies.")
