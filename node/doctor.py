"""Is this node fit to run? Checks that say in plain words what is wrong and how to mend it."""

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from ssl import SSLContext
from tempfile import TemporaryFile

from node.clock import SystemClock
from node.config import Configuration, Destination, Source
from node.domain.health import judge_disk
from node.domain.identifiers import is_loopback
from node.domain.results import ResultKind
from node.domain.status import Condition, Disk
from node.errors import ConfigurationError
from node.tls import client_arguments, server_context, source_arguments

__all__ = ["CHECKS", "Check", "Finding", "Level", "examine_node"]

_ECHOES = 5
_STALL_S = 0.03
"""A peer with Nagle's algorithm waits 40 ms for our acknowledgement before it sends the rest of an answer."""
_WEB_TIMEOUT_S = 5.0
_SLOW_SYNC_S = 0.05
_CLOCK_TOLERANCE_S = 60.0
_MEGABYTE = 1024 * 1024
_TLS_REMEDY = (
    "Let certificate, key and ca name PEM files that this user can read; the key without a password."
)


class Level(IntEnum):
    """How bad it is; the values are the exit codes of `osteonode doctor`."""

    GOOD = 0
    WARNING = 4
    FAULT = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    level : Level
        How it is.
    subject : str
        What was looked at.
    message : str
        What was found.
    remedy : str
        How to mend it; empty when it is good.
    """

    level: Level
    subject: str
    message: str
    remedy: str = ""


_ROOM = {
    Condition.WELL: (Level.GOOD, ""),
    Condition.CONCERN: (Level.WARNING, "Free some disk, or shorten [storage] retention_days."),
    Condition.FAULT: (
        Level.FAULT,
        "Free some disk, or run `osteonode purge`; until then every image is turned away.",
    ),
}
"""How bad the room on the disk is, and how to mend it."""

Check = Callable[[Configuration], Iterator[Finding]]


def examine_node(configuration: Configuration, checks: Sequence[Check] | None = None) -> Iterator[Finding]:
    """Look at everything a node needs, one finding after the other.

    Parameters
    ----------
    configuration : Configuration
        A valid one; its faults are told by `node.config.load`.
    checks : sequence of callable, optional
        Some of `CHECKS`; all by default.
    """
    for check in CHECKS if checks is None else checks:
        yield from check(configuration)


def storage(configuration: Configuration) -> Iterator[Finding]:
    """Tell whether the storage can be written, quickly, and has room."""
    directory = configuration.storage.directory
    subject = f"storage in {directory}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        seconds = _time_a_sync(directory)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        yield Finding(
            Level.FAULT,
            subject,
            f"cannot be written: {reason}",
            "Let [storage] directory point to a folder that this user may write.",
        )
        return
    free = shutil.disk_usage(directory).free
    room = judge_disk(Disk(free, configuration.storage.watermark_mb * _MEGABYTE))
    level, remedy = _ROOM[room.condition]
    yield Finding(level, subject, room.words.rstrip("."), remedy)
    if seconds > _SLOW_SYNC_S:
        yield Finding(
            Level.WARNING, subject, f"a sync to disk takes {seconds * 1000:.0f} ms; each image needs some",
            "Use a local disk with power-loss protection; network file systems are slow at this.",
        )  # fmt: skip
    else:
        yield Finding(Level.GOOD, subject, f"a sync to disk takes {seconds * 1000:.1f} ms")


def _time_a_sync(directory: Path) -> float:
    with TemporaryFile(dir=directory) as file:
        file.write(b"\0" * 4096)
        file.flush()
        started = time.perf_counter()
        os.fsync(file.fileno())
        return time.perf_counter() - started


def listener(configuration: Configuration) -> Iterator[Finding]:
    """Tell whether the address can be listened on, or this node answers there already."""
    settings = configuration.node
    subject = f"listener {settings.ae_title} on {settings.host}:{settings.port}"
    try:
        with socket.create_server((settings.host, settings.port)):
            yield Finding(Level.GOOD, subject, "the address is free to listen on")
    except OSError as error:
        # Behind TLS it would ask for a certificate of ours that its `ca` vouches for, which we may not have.
        plain = settings.tls.ca is None
        if plain and _echo(settings.host, settings.port, settings.ae_title, settings.ae_title, ()).reached:
            yield Finding(Level.GOOD, subject, "a node with this AE title answers there already")
            return
        reason = error.strerror or type(error).__name__
        yield Finding(
            Level.FAULT, subject, f"cannot be listened on: {reason}",
            "Another program may have the port; change [node] port, or host to an address of this machine.",
        )  # fmt: skip


def web(configuration: Configuration) -> Iterator[Finding]:
    """Tell whether the status page can be shown, and to whom."""
    settings = configuration.web
    if not settings.port:
        return
    subject = f"status page on {settings.host}:{settings.port}"
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.create_server((settings.host, settings.port), family=family):
            yield Finding(Level.GOOD, subject, "the address is free to listen on")
    except OSError as error:
        if _is_alive(settings.host, settings.port):
            yield Finding(Level.GOOD, subject, "a node shows its page there already")
        else:
            yield Finding(
                Level.FAULT, subject, f"cannot be listened on: {error.strerror or type(error).__name__}",
                "Another program may have the port; change [web] port, or let it be 0 for no page.",
            )  # fmt: skip
    if not is_loopback(settings.host):
        yield Finding(
            Level.WARNING, subject, "whoever reaches the address can read it",
            "Let [web] host be 127.0.0.1, behind a reverse proxy that asks who is there.",
        )  # fmt: skip


def _is_alive(host: str, port: int) -> bool:
    """Ask the page of a running node."""
    connection = HTTPConnection(host, port, timeout=_WEB_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().read() == b"alive\n"
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


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
        return Finding(Level.FAULT, subject, str(error), _TLS_REMEDY)
    calling = configuration.node.ae_title
    echo = _echo(source.host, source.port, source.ae_title, calling, (StudyRootFind,), tls=tls)
    if echo.reached and not echo.rejected:
        return Finding(Level.GOOD, subject, "answers, and can be asked how many images a series has")
    return Finding(
        Level.WARNING, subject, "takes no C-FIND" if echo.reached else echo.reason,
        "Mend its address, port or title here, let it answer this AE title, or set ask to false: series are "
        "then judged by their geometry and by how their associations ended.",
    )  # fmt: skip


def tls(configuration: Configuration) -> Iterator[Finding]:
    """Tell whether the listener is encrypted, and whether its key is kept from others."""
    settings = configuration.node.tls
    if settings.ca is None:
        if not is_loopback(configuration.node.host):
            yield Finding(
                Level.WARNING, "tls", "images travel to this node in the open",
                "Name certificate, key and ca in [node.tls], or keep the node on a trusted network.",
            )  # fmt: skip
        return
    try:
        server_context(settings)
    except ConfigurationError as error:
        yield Finding(Level.FAULT, "tls", str(error), _TLS_REMEDY)
        return
    if settings.key is not None and settings.key.stat().st_mode & 0o077:
        yield Finding(
            Level.WARNING, "tls", "others than this user may read the private key",
            f"Run `chmod 600 {settings.key}`.",
        )  # fmt: skip
    else:
        yield Finding(Level.GOOD, "tls", "senders must show a certificate")


@dataclass(frozen=True, slots=True)
class _Echo:
    reached: bool
    reason: str = ""
    rejected: tuple[str, ...] = ()
    seconds: float = 0.0


def _echo(
    host: str,
    port: int,
    called: str,
    calling: str,
    classes: tuple[str, ...],
    *,
    tls: tuple[SSLContext, str] | None = None,
) -> _Echo:
    """Open an association for C-ECHO and the SOP classes, and time a few echoes."""
    # Late: `osteonode --help` must not pay for pynetdicom.
    from pynetdicom import AE, build_context, evt
    from pynetdicom.sop_class import Verification

    from node.dimse import send_at_once

    ae = AE(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.connection_timeout = 5
    association = ae.associate(
        host,
        port,
        [build_context(uid) for uid in (Verification, *classes)],
        called,
        evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: send_at_once(event.assoc.dul.socket.socket))],
        tls_args=tls,
    )
    if not association.is_established:
        reason = "rejects the association" if association.is_rejected else "cannot be reached"
        return _Echo(reached=False, reason=reason)
    accepted = {context.abstract_syntax for context in association.accepted_contexts}
    rejected = tuple(uid for uid in classes if uid not in accepted)
    times = []
    if Verification in accepted:
        for _ in range(_ECHOES):
            started = time.perf_counter()
            association.send_c_echo()
            times.append(time.perf_counter() - started)
    association.release()
    return _Echo(reached=True, rejected=rejected, seconds=min(times, default=0.0))


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
    from node.carriers.stow import StowCarrier
    from node.errors import TransientError

    subject = f"destination {destination.name} ({destination.stow_url})"
    try:
        StowCarrier(destination, Path(), _WEB_TIMEOUT_S).reach()
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
        yield Finding(Level.FAULT, subject, str(error), _TLS_REMEDY)
        return
    echo = _echo(
        destination.host,
        destination.port,
        destination.ae_title,
        configuration.node.ae_title,
        tuple(classes),
        tls=tls,
    )
    if not echo.reached:
        yield Finding(
            Level.FAULT, subject, echo.reason,
            "Is it running, are address, port and AE title right, and does it know this node's AE title? "
            "Results wait until it answers.",
        )  # fmt: skip
        return
    if echo.rejected:
        names = ", ".join(classes[uid] for uid in echo.rejected)
        level = Level.FAULT if len(echo.rejected) == len(classes) else Level.WARNING
        yield Finding(
            level, subject, f"takes none of these results: {names}",
            "Let the PACS accept these SOP classes, or take the kinds out of its results.",
        )  # fmt: skip
    else:
        yield Finding(Level.GOOD, subject, "answers, and takes all results that are meant for it")
    if echo.seconds > _STALL_S:
        yield Finding(
            Level.WARNING, subject, f"an echo takes {echo.seconds * 1000:.0f} ms: it delays small packets",
            "Start it with Nagle's algorithm off; for DCMTK set TCP_NODELAY=1 in its environment.",
        )  # fmt: skip


def _classes(destination: Destination) -> dict[str, str]:
    """SOP classes of the results meant for a destination, by UID, with the names of their kinds."""
    from pydicom import uid

    by_kind = {
        ResultKind.SR: destination.sr_class.storage,
        ResultKind.SEG: uid.SegmentationStorage,
        ResultKind.TEXT: uid.EnhancedSRStorage,
        ResultKind.SUMMARY: uid.SecondaryCaptureImageStorage,
        ResultKind.PDF: uid.EncapsulatedPDFStorage,
    }
    return {str(by_kind[kind]): kind.value for kind in destination.results}


def codecs(_configuration: Configuration) -> Iterator[Finding]:
    """Tell whether compressed images can be read."""
    from pydicom import uid
    from pydicom.pixels.decoders.base import get_decoder

    for syntax in (uid.RLELossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless):
        if get_decoder(syntax).is_available:
            yield Finding(Level.GOOD, "codecs", f"{syntax.name} can be read")
        else:
            yield Finding(
                Level.WARNING, "codecs", f"{syntax.name} cannot be read",
                "Install OsteoNode again with all its dependencies (`uv sync`).",
            )  # fmt: skip


def clock(configuration: Configuration) -> Iterator[Finding]:
    """Hold the clock against the newest file in the storage: time only goes on."""
    now = SystemClock().now().timestamp()
    files = (path for path in configuration.storage.directory.glob("*") if path.is_file())
    newest = max((path.stat().st_mtime for path in files), default=0.0)
    if newest > now + _CLOCK_TOLERANCE_S:
        yield Finding(
            Level.FAULT, "clock", f"it is {newest - now:.0f} s behind the newest file in the storage",
            "Set the clock, and let NTP keep it right; deadlines and retries depend on it.",
        )  # fmt: skip
    else:
        yield Finding(Level.GOOD, "clock", "it goes on from where the storage ends")


def segmenter(configuration: Configuration) -> Iterator[Finding]:
    """Tell whether what outlines the bodies can work."""
    from node.segmenters import back_end_state

    settings = configuration.analysis.segmentation
    subject = f"segmenter {settings.backend}"
    state = back_end_state(settings, configuration.segmentation)
    if state.ready:
        yield Finding(Level.GOOD, subject, state.message)
    else:
        yield Finding(
            Level.FAULT, subject, state.message,
            'Mend what is said, or let [segmentation] backend be "embedded", which is always there.',
        )  # fmt: skip


def model(configuration: Configuration) -> Iterator[Finding]:
    """Tell whether the model is whole, made for these settings, and trained on patients."""
    # Late: loading a model imports the science, which takes seconds.
    from analysis.errors import ModelRejectedError
    from analysis.model_store import load
    from node.analyse import DEMONSTRATION_MODEL

    bundle = configuration.models.bundle or DEMONSTRATION_MODEL
    subject = f"model {bundle.name}"
    try:
        identity = load(bundle, configuration.analysis.features).identity
    except (ModelRejectedError, OSError) as error:
        yield Finding(
            Level.FAULT, subject, str(error),
            "Let [models] bundle point to a bundle made with `osteonode train` for these features.",
        )  # fmt: skip
        return
    if identity.simulated:
        yield Finding(
            Level.WARNING, subject, "it learned from simulated patients and is for demonstration only",
            "Train a model on a cohort of your own with `osteonode train` and name it in [models] bundle.",
        )  # fmt: skip
    else:
        yield Finding(Level.GOOD, subject, f"{identity.name} {identity.version} is whole")


CHECKS: tuple[Check, ...] = (
    storage,
    listener,
    web,
    tls,
    sources,
    destinations,
    codecs,
    clock,
    segmenter,
    model,
)
"""All checks, quick ones first; loading the model imports the science."""
