"""The check of the archives that are asked for studies."""

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from threading import Event
from typing import Never

from node.config import ArchiveSettings, Configuration, Method
from node.domain.audit import Party
from node.domain.identifiers import address_of
from node.domain.records import Instance
from node.errors import ConfigurationError, PermanentError, TransientError
from node.operate.doctor.echo import PATIENCE_S
from node.operate.doctor.result import CheckResult, Severity, unusable_tls

__all__ = ["archives"]


def archives(configuration: Configuration) -> Iterator[CheckResult]:
    """Check that each archive answers, and that one with C-MOVE may send to this node."""
    for archive in configuration.archives:
        subject = f"archive {archive.name} ({archive.address})"
        yield _reached(configuration, archive, subject)
        if archive.method is Method.MOVE:
            yield from _as_source(configuration, archive, subject)
        if archive.authorization and archive.url.startswith("http://"):
            yield CheckResult(
                Severity.WARNING, subject, "authorization is sent to it without encryption",
                "Use an https:// address, and name a ca in [archives.tls].",
            )  # fmt: skip


def _reached(configuration: Configuration, archive: ArchiveSettings, subject: str) -> CheckResult:
    # Imported here so that `osteonode --help` need not load pynetdicom and the HTTP client.
    from node.fetch.archives.opening import open_archive

    try:
        open_archive(
            replace(archive, timeout_s=PATIENCE_S),
            configuration.node.ae_title,
            intake=_NoIntake(),
            held=_nothing_held,
            stopping=Event(),
        ).reach()
    except ConfigurationError as error:
        return unusable_tls(subject, error)
    except (TransientError, PermanentError) as error:
        return CheckResult(
            Severity.FAULT, subject, str(error),
            "Is it running, are address, AE title or url and authorization right, and does it let this node "
            "ask? Nothing is fetched from it until it answers.",
        )  # fmt: skip
    return CheckResult(Severity.GOOD, subject, "answers, and can be asked for studies")


def _as_source(configuration: Configuration, archive: ArchiveSettings, subject: str) -> Iterator[CheckResult]:
    """Check that an archive with C-MOVE is one of the sources; its address is known only if it is no name."""
    named = [one for one in configuration.sources if one.ae_title in {"*", archive.ae_title}]
    address = None
    with suppress(ValueError):
        address = address_of(archive.host)
    if named and (address is None or any(address in one.network for one in named)):
        return
    yield CheckResult(
        Severity.FAULT, subject, "no source has its AE title and address, so what it sends is rejected",
        f'Add a [[sources]] block with ae_title = "{archive.ae_title}" and the network that it sends from, '
        "and let the archive know AE title, host and port of this node.",
    )  # fmt: skip


class _NoIntake:
    """Takes nothing: the archive is only asked whether it answers."""

    def open(self, sender: Party, study_uid: str, series_uid: str) -> AbstractContextManager[Never]:
        """See `node.ports.Intake`."""
        raise NotImplementedError

    def watch_discards(self, study_uid: str, series_uid: str) -> AbstractContextManager[Never]:
        """See `node.ports.Intake`."""
        raise NotImplementedError


def _nothing_held(_study_uid: str) -> Collection[Instance]:
    return ()
