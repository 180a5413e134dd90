"""How a DICOM node answers: an association for C-ECHO, and for what it is meant to take."""

import time
from dataclasses import dataclass
from ssl import SSLContext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pynetdicom.association import Association

__all__ = ["PATIENCE_S", "Echo", "echo"]

PATIENCE_S = 5.0
"""How long any check waits for an answer."""
_ECHOES = 5
_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Echo:
    """What came of it.

    Attributes
    ----------
    reached : bool
        Whether the association was accepted, and lasted.
    reason : str
        Why not; empty if it was.
    rejected : tuple of str
        UIDs of the SOP classes that were asked for and not accepted.
    seconds : float
        The quickest of a few echoes; 0 where none is taken.
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
    """Open an association for C-ECHO and the SOP classes, and time a few echoes."""
    # Late: `osteonode --help` must not pay for pynetdicom.
    from pynetdicom import build_context
    from pynetdicom.sop_class import Verification

    from node.dicom.pynetdicom_internals import CallingEntity

    ae = CallingEntity(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.connection_timeout = PATIENCE_S
    association = ae.associate(
        host,
        port,
        [build_context(uid) for uid in (Verification, *classes)],
        called,
        tls_args=tls,
    )
    if not association.is_established:
        reason = "rejects the association" if association.is_rejected else "cannot be reached"
        return Echo(reached=False, reason=reason)
    accepted = {context.abstract_syntax for context in association.accepted_contexts}
    rejected = tuple(uid for uid in classes if uid not in accepted)
    times = [_time_one(association) for _ in range(_ECHOES)] if Verification in accepted else []
    if None in times:
        return Echo(reached=False, reason="takes C-ECHO and does not answer it")
    association.release()
    return Echo(reached=True, rejected=rejected, seconds=min(filter(None, times), default=0.0))


def _time_one(association: "Association") -> float | None:
    """Return how long an echo takes, in seconds; None where no answer comes, now or any more."""
    # pynetdicom's own thread looks for requests each millisecond, unless it sees in time that an answer is
    # waited for; right after another answer it may not, and would abort the association over the next one.
    time.sleep(_PAUSE_S)
    started = time.perf_counter()
    try:
        answered = "Status" in association.send_c_echo()
    except RuntimeError:  # pynetdicom: the association ended before the call
        return None
    return time.perf_counter() - started if answered else None
