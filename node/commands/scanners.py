"""The command that shows the scanners, and accepts one again."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.commands import answers
from node.commands.choice import opened_store
from node.commands.terminal import (
    ConfigOption,
    JsonOption,
    console,
    load_configuration,
    print_json,
    show_rows,
)

if TYPE_CHECKING:
    from node.show.scanners import ScannerView

__all__ = ["scanners"]


def scanners(
    config: ConfigOption = None,
    *,
    accept: Annotated[
        str,
        typer.Option(
            help="Let the model answer again to the studies of the scanner of this name, after a person has "
            "found out why it had left. Its studies are counted anew.",
            metavar="SCANNER",
            show_default=False,
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """List the scanners, and how far their images lie from what the model was trained on.

    Exit status:
    0  listed, or accepted
    1  there is no such scanner or it has not left, or a fault
    2  wrong usage or configuration
    """
    from node.clock import SystemClock
    from node.config import ScannerDrift
    from node.operate.scanners import accept_scanner, list_scanners

    configuration, now = load_configuration(config), SystemClock().now()
    drift = configuration.models.scanner_drift
    with opened_store(configuration, as_json=as_json) as store:
        done = accept_scanner(store, configuration, accept, now) if accept else ""
        found = list_scanners(store, configuration, now)
    if as_json:
        print_json([answers.scanner(one) for one in found])
    elif done:
        console.print(done, highlight=False)
    else:
        columns = ("Scanner", "Name", "Sequence", "State", "Since", "Far", "Studies", "Distance by month")
        show_rows(columns, [_row(one) for one in found])
        if drift is ScannerDrift.OFF:
            console.print(
                'Nothing is counted, and the model answers in any state: [models] scanner_drift = "off".',
                highlight=False,
            )


def _row(one: "ScannerView") -> tuple[str, ...]:
    since = "" if one.range.since is None else f"{one.range.since:%Y-%m-%d}"
    months = ", ".join(f"{it.month}: {it.distance:.2f}" for it in one.months[-3:])
    far = f"{one.far} of {one.studies}"
    name, basis = one.subject.scanner, one.subject.basis
    return one.identifier, name, basis, one.range.state.value, since, far, str(one.total), months
