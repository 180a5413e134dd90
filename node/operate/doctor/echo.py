"""An association with a DICOM peer that tests C-ECHO and which SOP classes it accepts."""

import time
from dataclasses import dataclass
from ssl import SSLContext
from typing import TYPE_CHECKING

from node.errors import TransientError

if TYPE_CHECKING:
    from pynetdicom.association import Association

__all__ = ["PATIENCE_S", "Echo", "echo"]

PATIENCE_S = 5.0
"""How long each check waits for an answer."""
_ECHOES = 5
_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Echo:
    """The answer of a peer.

    Attributes
    ----------
    reached : bool
        Whether the association was accepted and every echo was answered.
    reason : str
        Why not; empty if `reached`.
    rejected : tuple of str
        UIDs of the SOP classes that were proposed and not accepted.
    seconds : float
        Time of the fastest echo; 0 if the peer does not accept C-ECHO.
    """

    reached: bool
    reason: str = ""
    rejected: tuple[str, ...] = ()
    seconds: float = 0.0


def echo(
    host: str,
    port: int,
    called: str,
    calling: str,
    classes: tuple[str, ...],
    *,
    tls: tuple[SSLContext, str] | None = None,
) -> Echo:
    """Open an association for C-ECHO and these SOP classes, and time a few echoes."""
    # Imported here so that `osteonode --help` need not load pynetdicom.
    from pynetdicom import build_context
    from pynetdicom.sop_class import Verification

    from node.dicom.association import Peer, associated

    peer = Peer(called, host, port, calling, PATIENCE_S, tls)
    try:
        with associated(peer, [build_context(uid) for uid in (Verification, *classes)]) as association:
            accepted = {context.abstract_syntax for context in association.accepted_contexts}
            times = [_time_one(association) for _ in range(_ECHOES)] if Verification in accepted else []
    except TransientError as error:
        return Echo(reached=False, reason=str(error))
    if None in times:
        return Echo(reached=False, reason="takes C-ECHO and does not answer it")
    rejected = tuple(uid for uid in classes if uid not in accepted)
    return Echo(reached=True, rejected=rejected, seconds=min(filter(None, times), default=0.0))


def _time_one(association: "Association") -> float | None:
    """Return the time of one echo in seconds, or None if the peer does not answer."""
    # pynetdicom's reactor thread takes a message for a request unless it has noticed that a response is
    # expected. Directly after another response it may not notice in time, and would abort the association.
    time.sleep(_PAUSE_S)
    started = time.perf_counter()
    try:
        answered = "Status" in association.send_c_echo()
    except RuntimeError:  # pynetdicom: the association ended before the call
        return None
    return time.perf_counter() - started if answered else None
