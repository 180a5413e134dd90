"""Commands that work on DICOM files instead of a node's studies."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands import answers
from node.commands.choice import one_study, opened_store
from node.commands.terminal import (
    EXIT_DIFFERENT,
    EXIT_FAULT,
    EXIT_IN_PART,
    EXIT_REFUSED,
    EXIT_USAGE,
    ConfigOption,
    JsonOption,
    console,
    error_console,
    exit_on_error,
    load_configuration,
    print_json,
    show_steps,
    show_summary,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from analysis.domain.examination import Examination
    from analysis.domain.remoteness import Departure
    from node.analyse.folder import StudyOutcome
    from node.config import Configuration
    from node.operate.verify import ReportCheck

__all__ = ["analyse", "verify"]

PriorOption = Annotated[
    list[Path] | None,
    typer.Option(
        help="findings.json of an earlier analysis of the same patient, to compare with. May be given "
        "several times; the latest examination is taken.",
        show_default=False,
    ),
]

ScannerLeftOption = Annotated[
    list[str] | None,
    typer.Option(
        help="That the scanner had left the range of the model's training, as a report cites it: T1=12/30. "
        "The model does not answer from this sequence. May be given several times.",
        show_default=False,
    ),
]

_UNUSED = (
    "not compared with. Patient ID, issuer, birth date and sex must be equal (only the issuer may be "
    "missing), the day earlier, and a score of the same weighting in both; of several, the latest is taken; "
    "[report] priors must be true"
)


def analyse(
    paths: Annotated[list[Path], typer.Argument(help="DICOM files, or folders that hold them.")],
    out: Annotated[Path, typer.Option(help="Folder for the results. It is created if it does not exist.")],
    made: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M:%S"],
            help="When the results were made, in local time, such as 2026-01-05T09:30:00: to make those of "
            "an earlier run again, to the byte. Default: now.",
            show_default=False,
        ),
    ] = None,
    prior: PriorOption = None,
    config: ConfigOption = None,
    *,
    scanner_left: ScannerLeftOption = None,
    as_json: JsonOption = False,
) -> None:
    """Analyse DICOM files without a running node; the results are those that a node would send.

    Exit status:
    0  at least one study has a report
    1  a fault, at one of the studies perhaps; the others have their results
    2  wrong usage or configuration
    3  all studies were refused
    """
    from node.analyse.folder import analyse_folder

    configuration = load_configuration(config)
    for path in paths:
        if not path.exists():
            error_console.print(f"{path} does not exist", style="red")
            raise typer.Exit(EXIT_USAGE)
    priors, left = _priors(prior or ()), _departures(scanner_left or (), configuration)
    with show_steps(quiet=as_json) as step, exit_on_error(as_json=as_json):
        now = made and made.astimezone()
        studies = analyse_folder(
            paths, configuration, out, now=now, priors=priors, departures=left, report_progress=step
        )
    used = {study.outcome.earlier for study in studies}
    for file, one in zip(prior or (), priors, strict=True):
        if one not in used:
            error_console.print(f"{file}: {_UNUSED}", style="yellow")
    if as_json:
        print_json([answers.outcome(study, _findings(study)) for study in studies])
    else:
        _show_outcomes(studies)
    if any(study.fault for study in studies):
        raise typer.Exit(EXIT_FAULT)
    if all(study.outcome.refusals for study in studies):
        raise typer.Exit(EXIT_REFUSED)


def _departures(told: "Sequence[str]", configuration: "Configuration") -> "list[Departure]":
    """Read what is said of the scanner, each basis once."""
    from analysis.domain.basis import BASES
    from analysis.domain.remoteness import Departure

    found = {}
    for one in told:
        try:
            departure = Departure.parse(one)
        except ValueError:
            departure = None
        if departure is None or departure.basis not in BASES or departure.basis in found:
            error_console.print(f"{one} is not as in T1=12/30, or a sequence is named twice", style="red")
            raise typer.Exit(EXIT_USAGE)
        why_not = _why_no_effect(departure.basis, configuration)
        if why_not:
            error_console.print(f"{one} would change nothing: {why_not}", style="red")
            raise typer.Exit(EXIT_USAGE)
        found[departure.basis] = departure
    return [found[basis] for basis in sorted(found)]


def _why_no_effect(basis: str, configuration: "Configuration") -> str:
    """Return why the model does not ask whether the scanner had left; empty if it does, or has no card."""
    from analysis.prediction.checksums import written_card
    from node.config import ScannerDrift

    models = configuration.models
    if models.bundle is None:
        return "no model is configured"
    if models.scanner_drift is not ScannerDrift.ABSTAIN:
        return f'[models] scanner_drift is "{models.scanner_drift}"'
    learned = [one["sequence"] for one in written_card(models.bundle).get("classifiers", ())]
    return f"the model has no classifier of {basis}" if learned and basis not in learned else ""


def _priors(files: "Sequence[Path]") -> "list[Examination]":
    """Read the earlier examinations in findings.json of earlier analyses."""
    from analysis.domain.examination import Examination

    found = []
    for file in files:
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            found.append(Examination.from_document(document["examination"]))
        except (OSError, KeyError, TypeError, ValueError) as error:
            error_console.print(f"{file} is no findings.json ({type(error).__name__})", style="red")
            raise typer.Exit(EXIT_USAGE) from None
    return found


def _findings(study: "StudyOutcome") -> "Mapping[str, object] | None":
    """Read the findings that were written beside the results; None for a refusal."""
    from node.analyse.study import FINDINGS_FILE

    if not study.outcome.results:
        return None
    path = study.outcome.results[0].path.parent / FINDINGS_FILE
    found: Mapping[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return found


def verify(
    report: Annotated[
        str,
        typer.Argument(
            help="File with a measurement report (SR, TID 1500) made by OsteoNode; or a study of the node "
            "whose current report is meant: Study Instance UID, the beginning of one, accession number or "
            "Patient ID.",
            show_default=False,
        ),
    ],
    inputs: Annotated[
        list[Path] | None,
        typer.Option(
            help="File or folder with the images of the report. May be given several times. "
            "Default: the images in the node's storage.",
        ),
    ] = None,
    prior: PriorOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Recompute a report from the inputs, the model and the configuration that it cites, and compare.

    Exit status:
    0  everything is equal
    1  a fault
    2  wrong usage or configuration
    4  nothing differs, but not everything could be checked; or no study, or more than one, has this name
    5  something differs
    """
    from node.operate.verify import CheckOutcome
    from node.operate.verify import verify as verify_report

    configuration = load_configuration(config)
    try:
        with show_steps(quiet=as_json) as step, exit_on_error(as_json=as_json):
            file = _file_of(report, configuration, as_json=as_json)
            checks = verify_report(
                file, configuration, inputs or (), priors=_priors(prior or ()), report_progress=step
            )
    except FileNotFoundError as error:
        error_console.print(str(error), style="red")
        raise typer.Exit(EXIT_USAGE) from None
    if as_json:
        print_json([answers.report_check(check) for check in checks])
    else:
        _show_checks(checks)
    outcomes = {check.outcome for check in checks}
    if CheckOutcome.DIFFERENT in outcomes:
        raise typer.Exit(EXIT_DIFFERENT)
    if CheckOutcome.NOT_CHECKED in outcomes:
        raise typer.Exit(EXIT_IN_PART)


def _file_of(report: str, configuration: "Configuration", *, as_json: bool) -> Path:
    """Return the file that is named; or else the current report of the study that is."""
    path = Path(report)
    if path.exists() or len(path.parts) > 1 or path.suffix == ".dcm":
        return path
    from node.operate.verify import stored_report
    from node.store import open_instance_store

    with opened_store(configuration, as_json=as_json) as store:
        study = one_study(store, configuration, report, as_json=as_json)
        return stored_report(store, open_instance_store(configuration), study.study_uid)


def _show_checks(checks: "Sequence[ReportCheck]") -> None:
    colours = {"equal": "green", "different": "red", "not checked": "yellow"}
    for check in checks:
        console.print(f"{check.outcome:12}", style=colours[check.outcome], end="")
        console.print(check.subject)
        for detail in check.details:
            console.print(f"            {detail}", soft_wrap=True)


def _show_outcomes(studies: "Sequence[StudyOutcome]") -> None:
    for study in studies:
        if study.fault:
            error_console.print(f"Fault: {study.study_uid}: {study.fault}", style="bold red")
        elif study.outcome.refusals:
            _show_refusal(study)
        else:
            show_summary(study.study_uid, study.outcome.summary)
            console.print(f"Results: {study.outcome.results[0].path.parent.resolve()}")


def _show_refusal(study: "StudyOutcome") -> None:
    error_console.print(f"Refused: {study.study_uid or 'files of no study'}", style="bold red")
    for reason in (*study.outcome.refusals, *study.outcome.beside):
        error_console.print(f"  {reason}")
