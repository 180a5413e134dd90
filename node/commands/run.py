"""To run the node, to see it work, and to analyse files with its code."""

import json
import signal
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.terminal import (
    EXIT_DIFFERENT,
    EXIT_IN_PART,
    EXIT_REFUSED,
    EXIT_USAGE,
    ConfigOption,
    complaints,
    configuration_of,
    console,
    faults_in_words,
    show_summary,
    steps,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.analyse.study import StudyOutcome
    from node.operate.verify import Check

__all__ = ["analyse", "demo", "serve", "verify"]


def serve(config: ConfigOption = None) -> None:
    """Run the node: listener, assembly, workers, delivery, timers, status page, until SIGTERM or Ctrl-C."""
    from node.app import Node
    from node.log import configure, speak_for_libraries

    configuration = configuration_of(config)
    configure(configuration.log)
    speak_for_libraries()
    with faults_in_words():
        node = Node(configuration)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with faults_in_words():
        node.start()
    try:
        stop.wait()
    finally:
        node.stop()


def demo(
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("demo"),
) -> None:
    """Send a simulated study through a node on loopback and show what comes back."""
    from node.config import LogSettings
    from node.log import configure
    from node.science.demo import run_demo

    configure(LogSettings(level="error"))  # the steps are the log
    with steps() as step, faults_in_words():
        shown = run_demo(out, report_progress=step)
    show_summary("Received by C-STORE", shown.summary)
    console.print(f"Results {shown.seconds:.0f} s after the last image, in {out.resolve()}:")
    console.print("  " + ", ".join(file.name for file in shown.files))


def analyse(
    paths: Annotated[list[Path], typer.Argument(help="DICOM files or folders.")],
    out: Annotated[Path, typer.Option(help="Where the results go.")],
    config: ConfigOption = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Analyse DICOM files offline, with the code and the results of the node.

    Exit status: 0 a report was made; 3 all was refused, with the reason; 2 usage; 1 fault.
    """
    from node.analyse.study import analyse_studies

    configuration = configuration_of(config)
    try:
        with steps(quiet=as_json) as step, faults_in_words():
            studies = analyse_studies(paths, configuration, out, report_progress=step)
    except FileNotFoundError as error:
        complaints.print(f"[red]{error}")
        raise typer.Exit(EXIT_USAGE) from None
    if as_json:
        console.print_json(json.dumps([_outcome_as_json(study) for study in studies]))
    for study in () if as_json else studies:
        if study.outcome.refusals:
            _show_refusal(study)
        else:
            show_summary(study.study_uid, study.outcome.summary)
            console.print(f"Results: {study.outcome.results[0].path.parent.resolve()}")
    if all(study.outcome.refusals for study in studies):
        raise typer.Exit(EXIT_REFUSED)


def verify(
    report: Annotated[Path, typer.Argument(help="A measurement report (TID 1500) of OsteoNode.")],
    inputs: Annotated[
        list[Path] | None,
        typer.Option(help="Files or folders with the images; without it, the node's own storage."),
    ] = None,
    config: ConfigOption = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Recompute what a report cites: inputs, model, configuration, and with the images the whole result.

    Exit status: 0 all is equal; 4 nothing differs, but not all could be checked; 5 something differs;
    2 usage; 1 fault.
    """
    from node.operate.verify import Verdict
    from node.operate.verify import verify as verify_report

    configuration = configuration_of(config)
    try:
        with steps(quiet=as_json) as step, faults_in_words():
            checks = verify_report(report, configuration, inputs or (), report_progress=step)
    except FileNotFoundError as error:
        complaints.print(f"[red]{error}")
        raise typer.Exit(EXIT_USAGE) from None
    if as_json:
        console.print_json(json.dumps([asdict(check) for check in checks]))
    else:
        _show_checks(checks)
    verdicts = {check.verdict for check in checks}
    if Verdict.DIFFERENT in verdicts:
        raise typer.Exit(EXIT_DIFFERENT)
    if Verdict.NOT_CHECKED in verdicts:
        raise typer.Exit(EXIT_IN_PART)


def _show_checks(checks: "Sequence[Check]") -> None:
    colours = {"equal": "green", "different": "red", "not checked": "yellow"}
    for check in checks:
        console.print(f"{check.verdict:12}", style=colours[check.verdict], end="")
        console.print(check.subject, markup=False)
        for detail in check.details:
            console.print(f"            {detail}", markup=False, soft_wrap=True)


def _show_refusal(study: "StudyOutcome") -> None:
    complaints.print(f"Refused: {study.study_uid or 'files of no study'}", style="bold red", markup=False)
    for reason in study.outcome.refusals:
        complaints.print(f"  {reason}", markup=False)


def _outcome_as_json(study: "StudyOutcome") -> dict[str, object]:
    return {
        "study_uid": study.study_uid,
        "refusals": study.outcome.refusals,
        "summary": study.outcome.summary,
        "results": [
            {"kind": result.kind, "path": str(result.path), "sop_instance_uid": result.sop_instance_uid}
            for result in study.outcome.results
        ],
    }
