"""Commands that list, explain, retry, send again and purge the studies of a node."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands import answers
from node.commands.choice import StudyArgument, one_study, opened_store
from node.commands.terminal import (
    EXIT_IN_PART,
    EXIT_USAGE,
    ConfigOption,
    JsonOption,
    console,
    error_console,
    load_configuration,
    print_json,
    show_rows,
)
from node.domain.study import StudyState

if TYPE_CHECKING:
    from node.domain.records import Study, StudyQuery

__all__ = ["purge", "resend", "retry", "studies", "why"]

_DAY = ["%Y-%m-%d"]


def studies(
    config: ConfigOption = None,
    *,
    limit: Annotated[int, typer.Option(min=1, help="Largest number of studies to list.")] = 50,
    state: Annotated[
        list[StudyState] | None,
        typer.Option(help="Only studies in this state. May be given several times.", show_default=False),
    ] = None,
    day: Annotated[
        datetime | None,
        typer.Option(
            formats=_DAY, help="Only studies whose last image came on this day (UTC).", metavar="DAY"
        ),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=_DAY, help="Only studies whose last image came on this day or later.", metavar="DAY"
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=_DAY, help="Only studies whose last image came on this day or before.", metavar="DAY"
        ),
    ] = None,
    destination: Annotated[
        str, typer.Option(help="Only studies with results for the destination of this name.")
    ] = "",
    text: Annotated[str, typer.Option(help="Only studies whose UID or reason holds these words.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the studies that arrived, each with its state and the reason for it, latest first.

    A program that reads the list gets a line for each study, with tabs between the values.
    """
    if day and (since or until):
        error_console.print("Give either --day or --since and --until.", style="red")
        raise typer.Exit(EXIT_USAGE)
    query = _query(state, day or since, day or until, destination, text)
    with opened_store(load_configuration(config), as_json=as_json) as store:
        found = store.studies(limit, query)
    if as_json:
        print_json([answers.study(one) for one in found])
        return
    rows = [(one.study_uid, one.state.value, _moment(one.changed_at), one.reason) for one in found]
    show_rows(("Study", "State", "Since", "Reason"), rows)


def _query(
    states: list[StudyState] | None,
    first: datetime | None,
    last: datetime | None,
    destination: str,
    text: str,
) -> "StudyQuery":
    from node.domain.records import StudyQuery

    return StudyQuery(
        states=frozenset(states or ()),
        since=first and first.replace(tzinfo=UTC),
        until=last and last.replace(tzinfo=UTC) + timedelta(days=1),
        destination=destination,
        text=text,
    )


def why(study: StudyArgument, config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Explain in one paragraph why a study has no result.

    Exit status:
    0  explained
    1  a fault
    2  wrong usage or configuration
    4  no study, or more than one, has this name
    """
    from node.show.why import MEANING, explain

    configuration = load_configuration(config)
    with opened_store(configuration, as_json=as_json) as store:
        named = one_study(store, configuration, study, as_json=as_json)
        names = [there.name for there in configuration.destinations]
        words = explain(store, named.study_uid, names)
        if not as_json:
            console.print(words)
            return
        images = len(store.instances(named.study_uid))
        deliveries = [answers.delivery(one) for one in store.deliveries(named.study_uid)]
    more = {"meaning": MEANING[named.state], "images": images, "deliveries": deliveries}
    print_json(answers.study(named) | more | {"explanation": words})


def retry(
    study: StudyArgument = "",
    config: ConfigOption = None,
    *,
    failed: Annotated[
        bool, typer.Option("--failed", help="Retry all studies that were set aside, instead of one.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Deliver the results of a study again, or analyse it again if it has none.

    A study that is held because its patient is uncertain gets the corrected images that were sent since.

    Results that wait for a destination that is no longer configured are sent to the configured ones.

    What waits for its next attempt is tried at once.

    Exit status:
    0  done
    1  it cannot be retried, or a fault
    2  wrong usage or configuration
    4  no study, or more than one, has this name; or some of those that were set aside cannot be retried
    """
    from node.clock import SystemClock
    from node.operate.retry import Done, retry_failed, retry_study

    if bool(study) == failed:
        error_console.print("Name one study, or give --failed.", style="red")
        raise typer.Exit(EXIT_USAGE)
    configuration = load_configuration(config)
    now = SystemClock().now()
    with opened_store(configuration, as_json=as_json) as store:
        if failed:
            tried = list(retry_failed(store, configuration, now))
        else:
            named = one_study(store, configuration, study, as_json=as_json)
            tried = [(named, retry_study(store, configuration, named.study_uid, now))]
    done = [(one, answer) for one, answer in tried if isinstance(answer, Done)]
    left = [(one, str(answer)) for one, answer in tried if not isinstance(answer, Done)]
    if as_json:
        retried = [_retried(one, answer.action.value, answer.words) for one, answer in done]
        print_json([*retried, *(_retried(one, None, words) for one, words in left)])
    elif failed:
        show_rows(("Study", "Retry"), [*((one.study_uid, it.words) for one, it in done), *_uids(left)])
    else:
        console.print(done[0][1].words)
    if left:
        raise typer.Exit(EXIT_IN_PART)


def _uids(left: "list[tuple[Study, str]]") -> list[tuple[str, str]]:
    return [(one.study_uid, words) for one, words in left]


def _retried(study: "Study", action: str | None, message: str) -> dict[str, object]:
    return {"study_uid": study.study_uid, "action": action, "message": message}


def resend(
    study: StudyArgument,
    config: ConfigOption = None,
    *,
    to: Annotated[
        str, typer.Option(help="Name of the only destination to send to.", show_default="all destinations")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Send the results of a study once more as they are, even if its destinations have them already.

    For results that were deleted or lost at a destination. Nothing is analysed again, and the results keep
    their UIDs.

    Exit status:
    0  they are in the outbox
    1  there is nothing to send, no such destination, or a fault
    2  wrong usage or configuration
    4  no study, or more than one, has this name
    """
    from node.clock import SystemClock
    from node.operate.resend import resend_study
    from node.store import open_instance_store

    configuration = load_configuration(config)
    with opened_store(configuration, as_json=as_json) as store:
        named = one_study(store, configuration, study, as_json=as_json)
        files = open_instance_store(configuration)
        names = resend_study(store, files, configuration, named.study_uid, now=SystemClock().now(), to=to)
    if as_json:
        print_json({"study_uid": named.study_uid, "destinations": names})
        return
    console.print(f"Its results are in the outbox again, for {', '.join(names)}.")


def purge(
    config: ConfigOption = None,
    *,
    days: Annotated[
        float, typer.Option(min=0, help="Purge only studies that were finished at least this many days ago.")
    ] = 30,
    failed: Annotated[
        bool, typer.Option("--failed", help="Purge studies that were set aside as well.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be removed, and remove nothing.")
    ] = False,
    scores: Annotated[
        bool,
        typer.Option(
            "--scores",
            help="Purge also the scores as old as that, which are kept to compare with later ones.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete the images and results of finished studies now, before their retention ends."""
    from node.clock import SystemClock
    from node.operate.purge import plan_purge, purge_studies

    configuration = load_configuration(config)
    now, age = SystemClock().now(), timedelta(days=days)
    with opened_store(configuration, as_json=as_json) as store:
        plan = plan_purge(store, configuration, now, age, failed=failed)
        count = 0 if dry_run else purge_studies(store, configuration, now, age, failed=failed)
        if scores and not dry_run:
            store.forget_examinations(now - age)
    candidates = [answers.candidate(one) for one in plan.studies]
    if as_json:
        about = {"dry_run": dry_run, "removed": count, "quarantined": plan.quarantined}
        print_json(about | {"studies": candidates})
    elif dry_run:
        show_rows(("Study", "State", "Last image"), [tuple(one.values()) for one in candidates])
        error_console.print(
            f"Nothing was removed. Without --dry-run, the images and results of {len(candidates)} studies "
            f"and {plan.quarantined} files in quarantine would be."
        )
    else:
        console.print(f"Removed the images and results of {count} studies.")


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
