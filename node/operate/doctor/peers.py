"""Checks of the configured sources and destinations."""

from collections.abc import Iterator
from pathlib import Path

from node.config import Configuration, Destination, Source
from node.dicom.tls import client_arguments, source_arguments
from node.errors import ConfigurationError
from node.operate.doctor.echo import PATIENCE_S, echo
from node.operate.doctor.result import CheckResult, Severity, unusable_tls

__all__ = ["destinations", "sources"]

_STALL_S = 0.03
"""A slower echo means that the peer has Nagle's algorithm on and waits 40 ms for our TCP acknowledgement."""


def sources(configuration: Configuration) -> Iterator[CheckResult]:
    """Check that there are sources, each with one AE title, and that those with `ask` answer C-FIND."""
    if not configuration.sources:
        yield CheckResult(
            Severity.FAULT,
            "sources",
            "no sender is configured",
            "Add a [[sources]] block for the scanner, router or PACS.",
        )
    for source in configuration.sources:
        if source.ae_title == "*" and not source.network.is_loopback:
            yield CheckResult(
                Severity.WARNING, "sources", f"any AE title in {source.network} may send",
                "Name the AE titles, one [[sources]] block for each.",
            )  # fmt: skip
        if source.ask:
            yield _asked(configuration, source)


def _asked(configuration: Configuration, source: Source) -> CheckResult:
    """Check that a source with `ask` accepts C-FIND."""
    # Imported here so that `osteonode --help` need not load pynetdicom.
    from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyRootFind

    subject = f"source {source.ae_title} ({source.host}:{source.port})"
    try:
        tls = source_arguments(source)
    except ConfigurationError as error:
        return unusable_tls(subject, error)
    calling = configuration.node.ae_title
    answer = echo(source.host, source.port, source.ae_title, calling, (StudyRootFind,), tls=tls)
    if answer.reached and not answer.rejected:
        return CheckResult(Severity.GOOD, subject, "answers, and can be asked how many images a series has")
    return CheckResult(
        Severity.WARNING, subject, "takes no C-FIND" if answer.reached else answer.reason,
        "Correct its address, port or AE title here, let it accept this node's AE title, or set ask to "
        "false: series are then judged by their geometry and by how their associations ended.",
    )  # fmt: skip


def destinations(configuration: Configuration) -> Iterator[CheckResult]:
    """Check that each destination answers and accepts the results that it is configured for."""
    if not configuration.destinations:
        yield CheckResult(
            Severity.WARNING, "destinations", "there are none", "Add a [[destinations]] block for the PACS."
        )
    for destination in configuration.destinations:
        if destination.fhir_url:
            yield _fhir(destination)
        elif destination.stow_url:
            yield from _web(destination)
        else:
            yield from _destination(configuration, destination)


def _web(destination: Destination) -> Iterator[CheckResult]:
    # Imported here so that `osteonode --help` need not load the HTTP client.
    from node.deliver.carriers.stow import StowCarrier
    from node.errors import TransientError

    subject = f"destination {destination.name} ({destination.stow_url})"
    try:
        StowCarrier(destination, Path(), PATIENCE_S).reach()
    except TransientError as error:
        yield CheckResult(
            Severity.FAULT, subject, str(error),
            "Is it running, is stow_url the address above its /studies, and is authorization right? "
            "Results wait until it answers.",
        )  # fmt: skip
    else:
        yield CheckResult(Severity.GOOD, subject, "answers")


def _fhir(destination: Destination) -> CheckResult:
    # Imported here so that `osteonode --help` need not load the HTTP client.
    from node.deliver.carriers.fhir import FhirCarrier
    from node.errors import TransientError

    subject = f"destination {destination.name} ({destination.fhir_url})"
    try:
        version = FhirCarrier(destination, Path(), PATIENCE_S).reach()
    except ConfigurationError as error:
        return unusable_tls(subject, error)
    except TransientError as error:
        return CheckResult(
            Severity.FAULT, subject, str(error),
            "Is it running, is fhir_url the address above its /metadata, and is authorization right? "
            "Results wait until it answers.",
        )  # fmt: skip
    if not version.startswith("4."):
        return CheckResult(
            Severity.WARNING, subject, f"is a server of FHIR {version}", "Results are FHIR R4 (4.0.1)."
        )
    return CheckResult(Severity.GOOD, subject, f"answers, and is a server of FHIR {version}")


def _destination(configuration: Configuration, destination: Destination) -> Iterator[CheckResult]:
    subject = (
        f"destination {destination.name} ({destination.ae_title} at {destination.host}:{destination.port})"
    )
    classes = _classes(destination)
    try:
        tls = client_arguments(destination)
    except ConfigurationError as error:
        yield unusable_tls(subject, error)
        return
    answer = echo(
        destination.host,
        destination.port,
        destination.ae_title,
        configuration.node.ae_title,
        tuple(classes),
        tls=tls,
    )
    if not answer.reached:
        yield CheckResult(
            Severity.FAULT, subject, answer.reason,
            "Is it running, are address, port and AE title right, and does it know this node's AE title? "
            "Results wait until it answers.",
        )  # fmt: skip
        return
    if answer.rejected:
        names = ", ".join(classes[uid] for uid in answer.rejected)
        level = Severity.FAULT if len(answer.rejected) == len(classes) else Severity.WARNING
        yield CheckResult(
            level, subject, f"takes none of these results: {names}",
            "Let the PACS accept these SOP classes, or take the kinds out of its results.",
        )  # fmt: skip
    else:
        yield CheckResult(Severity.GOOD, subject, "answers, and takes all results that are meant for it")
    if answer.seconds > _STALL_S:
        yield CheckResult(
            Severity.WARNING, subject,
            f"an echo takes {answer.seconds * 1000:.0f} ms: it delays small packets",
            "Start it with Nagle's algorithm off; for DCMTK set TCP_NODELAY=1 in its environment.",
        )  # fmt: skip


def _classes(destination: Destination) -> dict[str, str]:
    """Return the kind of result by SOP Class UID, for the results that a destination is configured for."""
    return {str(kind.storage(destination.sr_class)): kind.value for kind in destination.results}
