"""Commands that give orders for the studies of a node: retry, send again, set aside, purge."""

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands import answers
from node.commands.choice import STUDY_ARGUMENT, StudyArgument, one_study, opened_store
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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node.config import Configuration
    from node.domain.records import Study
    from node.operate.order_trail import Entered
    from node.operate.purge import PurgePlan
    from node.ports import Store

__all__ = ["purge", "resend", "retry", "set_aside"]

_DAYS = 30.0

YesOption = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]


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
    from node.show.orders import Order

    if bool(study) == failed:
        error_console.print("Name one study, or give --failed.", style="red")
        raise typer.Exit(EXIT_USAGE)
    configuration = load_configuration(config)
    now = SystemClock().now()
    with _opened(configuration, as_json=as_json) as (store, entered):
        if failed:
            tried = list(retry_failed(store, configuration, now, entered))
        else:
            named = one_study(store, configuration, study, as_json=as_json)
            with entered(Order.RETRY, named.study_uid):
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
    from node.show.orders import Order
    from node.store import open_instance_store

    configuration = load_configuration(config)
    with _opened(configuration, as_json=as_json) as (store, entered):
        named = one_study(store, configuration, study, as_json=as_json)
        files, now = open_instance_store(configuration), SystemClock().now()
        with entered(Order.RESEND, named.study_uid):
            names = resend_study(store, files, configuration, named.study_uid, now=now, to=to)
    if as_json:
        print_json({"study_uid": named.study_uid, "destinations": names})
        return
    console.print(f"Its results are in the outbox again, for {', '.join(names)}.")


def set_aside(
    study: StudyArgument, config: ConfigOption = None, *, yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Do nothing more with a study, and send nothing more of it, until somebody retries or purges it.

    It asks first, unless --yes is given. What is being done with the study at this moment is not recorded.

    Exit status:
    0  it is set aside
    1  nothing is being done with it, the answer was no, or a fault
    2  wrong usage or configuration
    4  no study, or more than one, has this name
    """
    from node.clock import SystemClock
    from node.operate.set_aside import set_aside as set_study_aside
    from node.show.orders import Order

    _check_that_somebody_confirms(yes=yes, as_json=as_json)
    configuration = load_configuration(config)
    with _opened(configuration, as_json=as_json) as (store, entered):
        named = one_study(store, configuration, study, as_json=as_json)
        _confirm("Set aside", named, yes=yes)
        with entered(Order.SET_ASIDE, named.study_uid):
            words = set_study_aside(store, named.study_uid, SystemClock().now())
    if as_json:
        print_json({"study_uid": named.study_uid, "state": "failed", "message": words})
        return
    console.print(words)


def purge(
    study: Annotated[str | None, STUDY_ARGUMENT] = None,
    config: ConfigOption = None,
    *,
    days: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Purge only studies that were finished at least this many days ago.",
            show_default=f"{_DAYS:.0f}",
        ),
    ] = None,
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
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete the images and results of finished studies now, before their retention ends.

    Of one study, whenever it was finished and also if it was set aside: then it asks first, unless --yes is
    given. Without STUDY, of all that were finished long enough ago, and nothing is asked.

    What was done with the studies stays known.

    Exit status:
    0  done
    1  the study cannot be purged, the answer was no, or a fault
    2  wrong usage or configuration
    4  no study, or more than one, has this name
    """
    # An empty name comes from a script whose variable is empty, and must not be taken for "all of them".
    if study is not None and (not study or days is not None or failed or scores):
        error_console.print("Name one study, or give --days, --failed and --scores.", style="red")
        raise typer.Exit(EXIT_USAGE)
    if study is None and yes:
        error_console.print("Name the study that --yes is about.", style="red")
        raise typer.Exit(EXIT_USAGE)
    configuration = load_configuration(config)
    if study is not None:
        _purge_one(configuration, study, dry_run=dry_run, yes=yes, as_json=as_json)
    else:
        age = timedelta(days=_DAYS if days is None else days)
        _purge_old(configuration, age, failed=failed, scores=scores, dry_run=dry_run, as_json=as_json)


def _purge_one(configuration: "Configuration", name: str, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    from node.clock import SystemClock
    from node.operate.purge import PurgePlan, purge_study, study_to_purge
    from node.show.orders import Order
    from node.store import open_instance_store

    _check_that_somebody_confirms(yes=yes or dry_run, as_json=as_json)
    with _opened(configuration, as_json=as_json) as (store, entered):
        named = one_study(store, configuration, name, as_json=as_json)
        if dry_run:
            study_to_purge(store, named.study_uid, SystemClock().now())
        else:
            _confirm("Remove the images and results of", named, yes=yes)
            with entered(Order.PURGE, named.study_uid):
                purge_study(store, open_instance_store(configuration), named.study_uid, SystemClock().now())
    _tell_of_purge(PurgePlan((named,)), dry_run=dry_run, count=int(not dry_run), as_json=as_json)


def _purge_old(
    configuration: "Configuration",
    age: timedelta,
    *,
    failed: bool,
    scores: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    from node.clock import SystemClock
    from node.operate.purge import plan_purge, purge_studies

    now = SystemClock().now()
    with _opened(configuration, as_json=as_json) as (store, entered):
        plan = plan_purge(store, configuration, now, age, failed=failed, scores=scores)
        count = 0
        if not dry_run:
            count = purge_studies(
                store, configuration, now, age, failed=failed, scores=scores, entered=entered
            )
    _tell_of_purge(plan, dry_run=dry_run, count=count, as_json=as_json)


def _tell_of_purge(plan: "PurgePlan", *, dry_run: bool, count: int, as_json: bool) -> None:
    candidates = [answers.candidate(one) for one in plan.studies]
    scores = "" if plan.scores is None else f"the scores of {_studies(plan.scores)}"
    if as_json:
        about = {"dry_run": dry_run, "removed": count, "quarantined": plan.quarantined, "scores": plan.scores}
        print_json(about | {"studies": candidates})
    elif dry_run:
        show_rows(("Study", "State", "Last image"), [tuple(one.values()) for one in candidates])
        error_console.print(
            f"Nothing was removed. Without --dry-run, the images and results of {_studies(len(candidates))}"
            f"{', ' if scores else ''}{scores} and {plan.quarantined} files in quarantine would be."
        )
    else:
        console.print(
            f"Removed the images and results of {_studies(count)}{' and ' if scores else ''}{scores}."
        )


def _studies(count: int) -> str:
    return f"{count} {'study' if count == 1 else 'studies'}"


@contextmanager
def _opened(configuration: "Configuration", *, as_json: bool) -> "Iterator[tuple[Store, Entered]]":
    """Open the store and the audit trail of a node, for orders that the user of this process gives."""
    from node.operate.order_trail import audited_orders

    with (
        opened_store(configuration, as_json=as_json) as store,
        audited_orders(configuration, store) as entered,
    ):
        yield store, entered


def _check_that_somebody_confirms(*, yes: bool, as_json: bool) -> None:
    if not yes and as_json:
        error_console.print("A program that orders this must give --yes.", style="red")
        raise typer.Exit(EXIT_USAGE)


def _confirm(what: str, study: "Study", *, yes: bool) -> None:
    if not yes:
        uid, state, day = answers.candidate(study).values()
        typer.confirm(f"{what} study {uid} ({state}, last image on {day})?", abort=True, err=True)
