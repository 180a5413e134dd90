"""The command that has studies of an archive fetched."""

import time
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands import answers
from node.commands.choice import opened_store
from node.commands.terminal import (
    EXIT_IN_PART,
    EXIT_USAGE,
    ConfigOption,
    JsonOption,
    console,
    error_console,
    exit_on_error,
    load_configuration,
    print_json,
    progress_bar,
    show_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from node.config import Configuration
    from node.domain.wish import BatchFigures, Taken
    from node.operate.fetch import Answer, Preview
    from node.ports import Archive, Store

__all__ = ["fetch"]

_LOOK_S = 2.0
_MOST = 1000
_NO_NODE = "No node is running with this storage. The studies are noted; `osteonode serve` fetches them."


def fetch(
    config: ConfigOption = None,
    *,
    archive: Annotated[
        str, typer.Option("--from", help="Name of the archive, if there are several.", show_default=False)
    ] = "",
    study: Annotated[
        list[str] | None,
        typer.Option(help="Study Instance UID. May be given several times.", show_default=False),
    ] = None,
    accession: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with accession numbers, in the column called accession or in the first one.",
            show_default=False,
        ),
    ] = None,
    dates: Annotated[
        str,
        typer.Option(
            help="Days of the studies, such as 2024-01-01..2024-06-30, both included.", show_default=False
        ),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the studies, and fetch nothing.")] = False,
    urgent: Annotated[
        bool, typer.Option("--urgent", help="Fetch them at once, before the backlog and outside the window.")
    ] = False,
    send_old: Annotated[
        bool,
        typer.Option("--send-old", help="Send the results of old studies, too, which otherwise stay here."),
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="End at once, and let the node work on its own.")
    ] = False,
    batch: Annotated[
        str, typer.Option(help="Name of an earlier order: show it, or with another option change it.")
    ] = "",
    pause: Annotated[bool, typer.Option("--pause", help="Let the order, or all of them, rest.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Let the order, or all of them, go on.")] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Give up what the order still has to fetch.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Have studies of an archive fetched, analysed and reported by the running node.

    Only the series that can be analysed are fetched, and no study twice. Studies that are sent to the node go
    first. The command shows the progress; to end it does not end the work. Without an option, it lists what
    was ordered.

    Exit status:
    0  done, or under way
    1  a fault, such as an archive that does not answer
    2  wrong usage or configuration
    4  some of the studies were not found or could not be fetched
    """
    asked, changes = sum(map(bool, (study, accession, dates))), sum((pause, resume, cancel))
    if asked > 1 or changes > 1 or (asked and (changes or batch)) or (cancel and not batch):
        error_console.print(
            "Give one of --study, --accession and --dates, or one of --pause, --resume and --cancel; "
            "--cancel needs --batch.",
            style="red",
        )
        raise typer.Exit(EXIT_USAGE)
    configuration = load_configuration(config)
    days = _days(dates) if dates else None
    with opened_store(configuration, as_json=as_json) as store:
        if changes:
            _change(store, batch, archive, resume=resume, cancel=cancel, as_json=as_json)
        elif asked:
            found = _asked(configuration, archive, study, accession, days, as_json=as_json)
            _order(
                store, configuration, *found,
                dry_run=dry_run, urgent=urgent, send_old=send_old, wait=not no_wait, as_json=as_json,
            )  # fmt: skip
        elif batch:
            _show_batch(store, batch, as_json=as_json)
        else:
            _list_batches(store, archive, as_json=as_json)


def _days(text: str) -> tuple[date, date]:
    first, _, last = text.partition("..")
    try:
        days = date.fromisoformat(first), date.fromisoformat(last or first)
    except ValueError:
        days = date.max, date.min
    if days[0] > days[1]:
        error_console.print("--dates must be a range such as 2024-01-01..2024-06-30.", style="red")
        raise typer.Exit(EXIT_USAGE)
    return days


def _asked(
    configuration: "Configuration",
    name: str,
    study: list[str] | None,
    accession: Path | None,
    days: tuple[date, date] | None,
    *,
    as_json: bool,
) -> "tuple[Archive, Answer]":
    """Ask the archive; an error that OsteoNode raises on purpose ends the command."""
    from node.operate.fetch import archive_called, by_accession, by_dates, by_study, question_archive

    with (
        exit_on_error(as_json=as_json),
        question_archive(configuration, archive_called(configuration, name)) as archive,
    ):
        if accession:
            with _progress("asking", quiet=as_json) as progress:
                return archive, by_accession(archive, accession, progress)
        if days:
            return archive, by_dates(archive, *days)
        return archive, by_study(archive, study or [])


@contextmanager
def _progress(name: str, *, quiet: bool) -> "Iterator[Callable[[int, int], None]]":
    if quiet:
        yield lambda _done, _total: None
        return
    with progress_bar(name) as progress:
        yield progress


def _order(
    store: "Store",
    configuration: "Configuration",
    archive: "Archive",
    answer: "Answer",
    *,
    dry_run: bool,
    urgent: bool,
    send_old: bool,
    wait: bool,
    as_json: bool,
) -> None:
    from node.clock import SystemClock
    from node.operate.fetch import order, preview
    from node.store import address_of_running_node

    now = SystemClock().now()
    before = preview(store, configuration, archive.name, answer, now)
    if not as_json:
        console.print(_told(before, sends_old=send_old))
    # An order of nothing would only be in the way of others in the list.
    if dry_run or not (answer.studies or answer.missing):
        if as_json:
            print_json([answers.previewed(archive.name, answer, before)])
        _exit(before.missing)
        return
    batch, taken = order(store, archive.name, answer, now, urgent=urgent, sends_old=send_old)
    runs = address_of_running_node(configuration.storage.directory) is not None
    if not as_json:
        console.print(f"Ordered as {batch.name}: {_taken(taken)}.")
    if not runs:
        error_console.print(_NO_NODE)
    elif wait:
        _follow(store, batch.name, quiet=as_json)
    _show_batch(store, batch.name, as_json=as_json)


def _told(found: "Preview", *, sends_old: bool) -> str:
    """Say in words what an order would do."""
    studies = "1 study was found" if found.found == 1 else f"{found.found} studies were found"
    parts = [f"{studies}, with {found.images} images." if found.images else f"{studies}."]
    if found.missing:
        parts.append(f"Not found: {found.missing}.")
    if found.before:
        parts.append(f"Asked for before: {found.before}; what was fetched is not fetched again.")
    if found.kept_here and not sends_old:
        parts.append(f"Results of {found.kept_here} stay here, as the studies are old (see --send-old).")
    return " ".join(parts)


def _taken(taken: "Taken") -> str:
    return f"{taken.new} new, {taken.renewed} once more, {taken.before} asked for before"


def _follow(store: "Store", name: str, *, quiet: bool) -> None:
    """Show how the order goes on until it has ended; Ctrl-C ends this and not the work."""
    from node.domain.wish import Outcome, outcome_of

    try:
        with _progress("fetched and analysed", quiet=quiet) as progress:
            while True:
                ends = store.ends_of_batch(name)
                done = sum(outcome_of(one)[0] is not Outcome.UNDER_WAY for one in ends)
                progress(done, len(ends))
                if done == len(ends):
                    return
                # A large backlog takes days: it is not counted every two seconds.
                time.sleep(max(_LOOK_S, len(ends) / 1000))
    except KeyboardInterrupt:
        error_console.print(f"The node goes on. `osteonode fetch --batch {name}` shows how far it is.")


def _show_batch(store: "Store", name: str, *, as_json: bool) -> None:
    from node.domain.wish import Outcome
    from node.operate.fetch import named_batches, sum_up

    with exit_on_error(as_json=as_json):
        (figures,) = named_batches(store, name, "")
    batch, ends = figures.batch, store.ends_of_batch(name)
    rows = sum_up(ends, batch.missing)
    if as_json:
        print_json([answers.batch(figures, ends)])
    else:
        show_rows(("Outcome", "Studies", "Reason"), [(one.value, str(n), why) for one, why, n in rows])
        if batch.paused:
            console.print("It is paused; --resume lets it go on.")
    _exit(sum(count for outcome, _, count in rows if outcome in {Outcome.NOT_FOUND, Outcome.FAILED}))


def _change(store: "Store", name: str, archive: str, *, resume: bool, cancel: bool, as_json: bool) -> None:
    from node.clock import SystemClock
    from node.operate.fetch import named_batches

    with exit_on_error(as_json=as_json):
        found = named_batches(store, name, archive)
    names = [one.batch.name for one in found]
    if cancel:
        count = store.cancel_wishes(names, SystemClock().now())
        words = f"{count} studies of it are fetched no more."
    else:
        store.pause_batches(names, paused=not resume)
        words = f"{'Goes on' if resume else 'Paused'}: {', '.join(names)}."
    if as_json:
        _print_all(store, [one for one in store.batches(_MOST) if one.batch.name in names])
        return
    console.print(words)


def _list_batches(store: "Store", archive: str, *, as_json: bool) -> None:
    found = [one for one in store.batches(_MOST) if not archive or one.batch.archive == archive]
    if as_json:
        _print_all(store, found)
        return
    rows = [
        (
            one.batch.name,
            "paused" if one.batch.paused else "under way" if one.still_open else "ended",
            f"{one.total - one.still_open} of {one.total}",
            one.batch.words,
        )
        for one in found
    ]
    show_rows(("Order", "State", "Done", "What"), rows)


def _print_all(store: "Store", found: "Sequence[BatchFigures]") -> None:
    print_json([answers.batch(one, store.ends_of_batch(one.batch.name)) for one in found])


def _exit(missed: int) -> None:
    if missed:
        raise typer.Exit(EXIT_IN_PART)
