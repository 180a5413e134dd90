"""Associations that this node requests of its peers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from node.dicom.pynetdicom_internals import BeginStore, CallingEntity, close_connection
from node.errors import TransientError

__all__ = ["Peer", "associated"]

_PDU_OF_IMAGES = 128 * 1024
"""Images come in few PDUs then; each takes pynetdicom about as long as its bytes."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The program that is called, and the connection parameters.

    Attributes
    ----------
    ae_title, host, port : str, str, int
        Its AE title and address.
    calling : str
        AE title of this node.
    timeout_s : float
        Timeout for the connection and for each response.
    tls : (SSLContext, str) or None
        Context that verifies its certificate, and the name that this must contain; None for plain DICOM.
    """

    ae_title: str
    host: str
    port: int
    calling: str
    timeout_s: float
    tls: tuple[SSLContext, str] | None = None


@contextmanager
def associated(
    peer: Peer,
    contexts: Sequence[PresentationContext],
    *,
    roles: Sequence[Any] = (),
    handlers: Sequence[Any] = (),
    begin_store: BeginStore | None = None,
) -> Iterator[Association]:
    """Request an association, and release it at the end.

    If the peer accepts none of the contexts, pynetdicom aborts, and the association that is yielded is not
    established.

    Parameters
    ----------
    peer : Peer
        The program to call.
    contexts : sequence of PresentationContext
        The presentation contexts that are proposed.
    roles : sequence of SCP_SCU_RoleSelectionNegotiation
        Roles that differ from the default.
    handlers : sequence of (event, callable)
        Handlers of requests that the peer may send.
    begin_store : callable, optional
        See `CallingEntity`.

    Raises
    ------
    TransientError
        If its name cannot be resolved, it cannot be reached, or it rejects the association.
    """
    ae = CallingEntity(peer.calling, begin_store)
    if begin_store is not None:
        ae.maximum_pdu_size = _PDU_OF_IMAGES
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = peer.timeout_s
    try:
        association = ae.associate(
            peer.host,
            peer.port,
            list(contexts),
            peer.ae_title,
            ext_neg=list(roles) or None,
            evt_handlers=list(handlers),
            tls_args=peer.tls,
        )
    except (OSError, UnicodeError) as error:
        # pynetdicom resolves the name before it connects. A name that the resolver cannot even encode is a
        # `UnicodeError`.
        raise TransientError("its host name cannot be resolved") from error
    try:
        if not association.is_established and not _nothing_accepted(association):
            raise TransientError(_why_not(association))
        yield association
    finally:
        if association.is_established:
            association.release()
        close_connection(association)


def _nothing_accepted(association: Association) -> bool:
    return bool(association.rejected_contexts) and not association.accepted_contexts


def _why_not(association: Association) -> str:
    if association.is_rejected:
        return "it rejected the association; does it know our AE title, and is its own right?"
    if association.is_aborted and association.acceptor.primitive is not None:
        return "it aborted the association"
    return "it cannot be reached"
