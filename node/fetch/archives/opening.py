"""Makes the archives that the configuration names."""

from collections.abc import Callable, Collection
from threading import Event
from urllib.parse import urlsplit

from node.config import ArchiveSettings, Method
from node.dicom.association import Peer
from node.dicom.tls import archive_arguments
from node.domain.audit import Party
from node.domain.records import Instance
from node.fetch.archives.archive import AskedArchive
from node.fetch.archives.audited import AuditedWire, QuestionTrail
from node.fetch.archives.brake import Brake
from node.fetch.archives.dicomweb import WebWire
from node.fetch.archives.dimse_get import GetWire
from node.fetch.archives.dimse_move import MoveWire
from node.fetch.archives.wire import Wire
from node.ports import Intake

__all__ = ["open_archive"]


def open_archive(
    settings: ArchiveSettings,
    calling: str,
    *,
    intake: Intake,
    held: Callable[[str], Collection[Instance]],
    stopping: Event,
    trail: QuestionTrail | None = None,
) -> AskedArchive:
    """Make an archive; nothing is connected yet.

    Parameters
    ----------
    settings : ArchiveSettings
        The archive.
    calling : str
        AE title of this node.
    intake : Intake
        Takes the images that come by C-GET or WADO-RS.
    held : callable
        Returns the stored instances of a study.
    stopping : Event
        Set when the node stops; then what is being fetched is broken off.
    trail : QuestionTrail, optional
        Where each question is entered; None to enter none.

    Raises
    ------
    ConfigurationError
        If a file for TLS is missing or invalid.
    """
    brake = Brake(settings.mb_per_second, stopping)
    wire = _wire(settings, calling, intake, brake)
    if trail is not None:
        there = _party(settings)
        wire = AuditedWire(wire, Party(calling, "", is_requestor=True), there, trail)
    return AskedArchive(
        settings.name,
        wire,
        held=held,
        watch_discards=intake.watch_discards,
        brake=brake,
        max_associations=settings.max_associations,
    )


def _party(settings: ArchiveSettings) -> Party:
    if settings.method is Method.DICOMWEB:
        return Party("", urlsplit(settings.url).hostname or "", is_requestor=False)
    return Party(settings.ae_title, settings.host, is_requestor=False)


def _wire(settings: ArchiveSettings, calling: str, intake: Intake, brake: Brake) -> Wire:
    if settings.method is Method.DICOMWEB:
        return WebWire(settings, intake, brake)
    peer = Peer(
        settings.ae_title,
        settings.host,
        settings.port,
        calling,
        settings.timeout_s,
        archive_arguments(settings),
    )
    return MoveWire(peer, brake) if settings.method is Method.MOVE else GetWire(peer, intake, brake)
