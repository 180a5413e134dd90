"""Commands that run the node, try it out, check it and upgrade its database."""

import os
import signal
import threading
import time
from contextlib import suppress
from enum import StrEnum
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands import answers
from node.commands.terminal import (
    EXIT_USAGE,
    ConfigOption,
    JsonOption,
    configuration_file,
    console,
    error_console,
    exit_on_error,
    load_configuration,
    print_json,
    show_steps,
    show_summary,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.app import AnalysingNode, Node
    from node.config import Configuration

__all__ = ["demo", "doctor", "init", "notify", "password", "serve", "upgrade"]

_LOOK_S = 0.5
_LONGEST_NAME = 64
_STANDBY_LOOK_S = 1.0


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the node. It is created if it does not exist.")],
) -> None:
    """Write a commented config.toml with every default to a folder. Nothing is asked or overwritten."""
    from node.config import write_shipped

    with exit_on_error():
        file = write_shipped(folder)
    console.print(f"Written: {file}", soft_wrap=True)
    console.print("Name your senders in [[sources]] and your PACS in [[destinations]]. Then:")
    for command in ("doctor", "serve"):
        console.print(f"  osteonode {command} --config {file}", soft_wrap=True)


def password(
    name: Annotated[str, typer.Argument(help="Name with which the user logs in.", show_default=False)],
) -> None:
    """Ask for the password of a user of the status page, and print the line for config.toml.

    The line has a hash only, from which nobody can tell the password.

    Exit status:
    0  the line is printed
    2  the name or the password cannot be used
    """
    from node.config import is_user_name
    from node.config.password import SHORTEST, hash_of

    if not is_user_name(name):
        error_console.print("A name is of letters, digits and . _ @ -, at most 64.", style="red")
        raise typer.Exit(EXIT_USAGE)
    chosen = typer.prompt("Password", hide_input=True, confirmation_prompt="The same again", err=True)
    if len(chosen) < SHORTEST:
        error_console.print(f"A password has at least {SHORTEST} characters.", style="red")
        raise typer.Exit(EXIT_USAGE)
    # By no console, which would wrap it.
    typer.echo(f'"{name}:{hash_of(chosen)}"')


def serve(
    config: ConfigOption = None,
    *,
    standby: Annotated[
        bool, typer.Option("--standby", help="Wait until no other node works with this storage, then start.")
    ] = False,
    analyse: Annotated[
        bool,
        typer.Option(
            "--analyse",
            help="Only analyse, for the node that receives with the same storage and PostgreSQL database. "
            "Any number of such nodes can run.",
        ),
    ] = False,
    name: Annotated[
        str,
        typer.Option(
            help="With --analyse: name of this node, where several run on one machine.",
            show_default="that of the machine",
        ),
    ] = "",
) -> None:
    """Run the node in the foreground, until SIGTERM or Ctrl-C.

    It receives images, analyses each study once it is complete, and sends the results to every destination.
    SIGHUP reads the configuration again: senders, rules, receivers, contacts, log level and retention change
    at once, and the log says what needs a restart.
    """
    if (standby and analyse) or (name and not analyse):
        error_console.print(
            "--standby and --analyse exclude each other; --name needs --analyse.", style="red"
        )
        raise typer.Exit(EXIT_USAGE)
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        error_console.print(
            f"A --name is of printable characters, and has at most {_LONGEST_NAME}.", style="red"
        )
        raise typer.Exit(EXIT_USAGE)
    # Set first, so that a reload that is asked for while the node starts is done after that.
    signals: SimpleQueue[int] = SimpleQueue()
    has_terminal = os.isatty(0)
    signal.signal(signal.SIGHUP, lambda number, _: signals.put(number))
    from analysis.memory import keep_one_heap
    from node.log import configure, get_log, guarded, speak_for_libraries

    # Before any thread starts. Each would get a heap of its own, and keep what it has freed of large results.
    keep_one_heap()
    file = configuration_file(config)
    configuration = load_configuration(config)
    configure(configuration.log)
    speak_for_libraries()
    with exit_on_error():
        node = _make(configuration, standby=standby, analyse=analyse, name=name)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: signals.put(number))
    with exit_on_error():
        node.start()
    reload = guarded("reload", partial(_reload, node, file), get_log())
    try:
        # SIGHUP of a terminal that was closed ends the node, as it ends any program in the foreground.
        while _next(signals) == signal.SIGHUP and os.isatty(0) == has_terminal:
            reload()
    finally:
        _end_within(configuration.node.stop_s)
        node.stop()


def _make(
    configuration: "Configuration", *, standby: bool, analyse: bool, name: str
) -> "Node | AnalysingNode":
    """Make the node that was asked for, which has yet to be started."""
    from node.app import AnalysingNode, Node

    if analyse:
        return AnalysingNode(configuration, name=name)
    make = partial(Node, configuration)
    return _once_free(make) if standby else make()


def _once_free(make: "Callable[[], Node]") -> "Node":
    """Make the node as soon as no other one works with its storage and database."""
    from node.errors import TakenError
    from node.log import get_log

    is_told = False
    while True:
        try:
            return make()
        except TakenError as error:
            if not is_told:
                get_log().info("standing_by", reason=str(error))
                is_told = True
            time.sleep(_STANDBY_LOOK_S)


def _next(signals: "SimpleQueue[int]") -> int:
    """Wait for a signal.

    In pieces, because Python runs a handler only between two steps of the main thread: of a signal that comes
    just before a wait begins, it would learn only after the wait.
    """
    while True:
        with suppress(Empty):
            return signals.get(timeout=_LOOK_S)


def _reload(node: "Node | AnalysingNode", file: Path | None) -> None:
    """Read the configuration again, and log what came of it; a file with a fault changes nothing."""
    from node.config import load
    from node.errors import ConfigurationError
    from node.log import get_log

    log = get_log()
    if file is None:
        log.warning("configuration_not_read", reason="the node was started without a configuration file")
        return
    try:
        change = node.apply(load(file))
    except ConfigurationError as error:
        for fault in error.faults:
            log.error("configuration_faulty", reason=fault)  # noqa: TRY400 - the file is at fault
        return
    log.info("configuration_applied", keys=", ".join(change.applied) or "nothing has changed")
    if change.restart:
        log.warning("restart_needed", keys=", ".join(change.restart))


def _end_within(seconds: float) -> None:
    """End this process in any case after this time.

    A sweep that waits for a peer or a disk would keep it longer. Nothing is lost: all that is unfinished is
    in the store, as after a power cut. The locks of storage and database are kept to the end, so that no
    second node can start meanwhile.
    """
    from node.log import get_log

    def end() -> None:
        time.sleep(seconds)
        get_log().warning("stopped_before_all_was_finished", seconds=seconds)
        os._exit(0)

    threading.Thread(target=end, name="stop limit", daemon=True).start()


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for the results. It is created if it does not exist.")
    ] = Path("demo"),
) -> None:
    """Send a simulated study through a node on this machine and show the results.

    The node and the PACS that it reports to run only during the demonstration and listen on loopback.
    """
    from node.config import LogSettings
    from node.log import configure
    from node.science.demo import run_demo

    configure(LogSettings(level="error"))  # the progress display takes the place of the log
    with show_steps() as step, exit_on_error():
        shown = run_demo(out, report_progress=step)
    show_summary("Received by C-STORE", shown.summary)
    console.print(f"Results {shown.seconds:.0f} s after the last image, in {out.resolve()}:")
    console.print("  " + ", ".join(file.name for file in shown.files))


def doctor(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Check everything that the node needs, and say how to repair what is wrong.

    It checks storage, network, TLS, sources, destinations, contacts, decoders, clock, database, segmenter and
    model.

    Exit status:
    0  everything is good
    2  wrong usage or configuration
    4  there are warnings
    5  there are faults
    """
    from node.operate.doctor import Severity, run_checks

    colours = {Severity.GOOD: "green", Severity.WARNING: "yellow", Severity.FAULT: "red"}
    worst = Severity.GOOD
    results = run_checks(load_configuration(config))
    if as_json:
        found = list(results)
        print_json([answers.check(result) for result in found])
        raise typer.Exit(max((result.severity for result in found), default=worst))
    for result in results:
        worst = max(worst, result.severity)
        console.print(f"{result.severity.name.lower():8}", style=colours[result.severity], end="")
        console.print(f"{result.subject}: {result.message}")
        if result.remedy:
            console.print(f"        {result.remedy}")
    raise typer.Exit(worst)


class NotifyAction(StrEnum):
    """What `osteonode notify` can do."""

    TEST = "test"


def notify(
    action: Annotated[NotifyAction, typer.Argument(help="What to do; `test` sends a test event.")],
    name: Annotated[str, typer.Argument(help="Name of the contact in config.toml.", show_default=False)],
    config: ConfigOption = None,
) -> None:
    """Send a contact of config.toml a test event, by the way that notifications take.

    Exit status:
    0  it took the event
    1  it did not, and why
    2  wrong usage or configuration
    """
    from node.clock import SystemClock
    from node.operate.trial import send_trial

    del action  # there is one only
    with exit_on_error():
        remark = send_trial(load_configuration(config), name, SystemClock())
    console.print(f"{name} took a test event{f', but {remark}' if remark else ''}.", soft_wrap=True)


def upgrade(config: ConfigOption = None) -> None:
    """Upgrade the database of a stopped node to the version that this OsteoNode uses.

    Run it when another command asks for it after an update. A database in a file is copied first.
    """
    from node.operate.database import upgrade_store

    with exit_on_error():
        done = upgrade_store(load_configuration(config))
    if done.before == done.after:
        console.print(f"Nothing to do: its tables are of version {done.after} already.")
        return
    console.print(f"Its tables were of version {done.before} and are of version {done.after} now.")
    if done.copy is not None:
        console.print(f"As it was before: {done.copy}", soft_wrap=True)
