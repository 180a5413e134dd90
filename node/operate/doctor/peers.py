"""Whom this node speaks with: who may send, and who gets the results."""

from collections.abc import Iterator
from pathlib import Path

from node.config import Configuration, Destination, Source
from node.dicom.tls import client_arguments, source_arguments
from node.errors import ConfigurationError
from node.operate.doctor.echo import PATIENCE_S, echo
from node.operate.doctor.finding import Finding, Level, unusable_tls

__all__ = ["destinations", "sources"]

_STALL_S = 0.03
"""A peer with Nagle's algorithm waits 40 ms for our acknowledgement before it sends the rest of an answer."""


def sources(configuration: Configuration) -> Iterator[Finding]:
    """Tell whether somebody may send, and not just anybody."""
    if not configuration.sources:
        yield Finding(
            Level.FAULT,
            "sources",
            "nobody may send",
            "Add a [[sources]] block for the scanner, router or PACS.",
        )
    for source in configuration.sources:
        if source.ae_title == "*" and not source.network.is_loopback:
            yield Finding(
                Level.WARNING, "sources", f"any AE title in {source.network} may send",
                "Name the AE titles, one [[sources]] block for each.",
            )  # fmt: skip
        if source.ask:
            yield _asked(configuration, source)


def _asked(configuration: Configuration, source: Source) -> Finding:
    """Tell whether a source that is to be asked for its counts takes questions."""
    # Late: `osteonode --help` must not pay for pynetdicom.
    from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyRootFind

    subject = f"source {source.ae_title} ({source.host}:{source.port})"
    try:
        tls = source_arguments(source)
    except ConfigurationError as error:
        return unusable_tls(subject, error)
    calling = configuration.node.ae_title
    answer = echo(source.host, source.port, source.ae_title, calling, (StudyRootFind,), tls=tls)
    if answer.reached and not answer.rejected:
        return Finding(Level.GOOD, subject, "answers, and can be asked how many images a series has")
    return Finding(
        Level.WARNING, subject, "takes no C-FIND" if answer.reached else answer.reason,
        "Mend its address, port or title here, let it answer this AE title, or set ask to false: series are "
        "then judged by their geometry and by how their associations ended.",
    )  # fmt: skip


def destinations(configuration: Configuration) -> Iterator[Finding]:
    """Tell whether every destination answers and takes what is meant for it."""
    if not configuration.destinations:
        yield Finding(
            Level.WARNING, "destinations", "there are none", "Add a [[destinations]] block for the PACS."
        )
    for destination in configuration.destinations:
        yield from _web(destination) if destination.stow_url else _destination(configuration, destination)


def _web(destination: Destination) -> Iterator[Finding]:
    # Late: `osteonode --help` must not pay for the web.
    from node.deliver.carriers.stow import StowCarrier
    from node.errors import TransientError

    subject = f"destination {destination.name} ({destination.stow_url})"
    try:
        StowCarrier(destination, Path(), PATIENCE_S).reach()
    except TransientError as error:
        yield Finding(
            Level.FAULT, subject, str(error),
            "Is it running, is stow_url the address above its /studies, and is authorization right? "
            "Results wait until it answers.",
        )  # fmt: skip
    else:
        yield Finding(Level.GOOD, subject, "answers")


def _destination(configuration: Configuration, destination: Destination) -> Iterator[Finding]:
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
        yield Finding(
            Level.FAULT, subject, answer.reason,
            "Is it running, are address, port and AE title right, and does it know this node's AE title? "
            "Results wait until it answers.",
        )  # fmt: skip
        return
    if answer.rejected:
        names = ", ".join(classes[uid] for uid in answer.rejected)
        level = Level.FAULT if len(answer.rejected) == len(classes) else Level.WARNING
        yield Finding(
            level, subject, f"takes none of these results: {names}",
            "Let the PACS accept these SOP classes, or take the kinds out of its results.",
        )  # fmt: skip
    else:
        yield Finding(Level.GOOD, subject, "answers, and takes all results that are meant for it")
    if answer.seconds > _STALL_S:
        yield Finding(
            Level.WARNING, subject, f"an echo takes {answer.seconds * 1000:.0f} ms: it delays small packets",
            "Start it with Nagle's algorithm off; for DCMTK set TCP_NODELAY=1 in its environment.",
        )  # fmt: skip


def _classes(destination: Destination) -> dict[str, str]:
    """SOP classes of the results meant for a destination, by UID, with the names of their kinds."""
    return {str(kind.storage(destination.sr_class)): kind.value for kind in destination.results}
