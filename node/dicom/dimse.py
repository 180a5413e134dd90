"""What receiving and sending share of the DICOM network: contexts, socket options, quiet logs."""

import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from pydicom import config
from pydicom.uid import (
    JPEG2000,
    UID,
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import AE, AllStoragePresentationContexts, _config, build_context, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification
from pynetdicom.transport import AssociationSocket

from node.errors import TransientError
from node.log import quieten_libraries

__all__ = ["Peer", "associated", "contexts_for", "send_at_once", "storage_contexts"]

_PREFERRED = (
    # As it is; then without loss; then whatever the sender has. A lossy image is stored too: the refusal of
    # the analysis tells why, which a rejected context could not.
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    RLELossless,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000,
    JPEGLSNearLossless,
    JPEGExtended12Bit,
    JPEGBaseline8Bit,
)

# pynetdicom's own handlers format every message for a log that is switched off anyway.
_config.LOG_HANDLER_LEVEL = "none"
quieten_libraries()
# What a command claims is judged here; pydicom's warnings about it would quote it.
config.settings.reading_validation_mode = config.IGNORE


def _close(self: AssociationSocket) -> None:
    """Close a socket, connected or not.

    pynetdicom 3.0.4 shuts it down first and forgets to close it where that fails, as it does for a connection
    that was never made: each try at a PACS that is down would leave a descriptor to the garbage collector.
    """
    if self.socket is not None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


AssociationSocket._shutdown_socket = _close  # noqa: SLF001 - see `_close`


class _SharedContexts(list[PresentationContext]):
    """Contexts that no association changes, and that need no copy for each of them.

    pynetdicom deep-copies the list for every association: some 200 contexts of 40 transfer syntaxes, which
    costs a sender that opens an association for each image more than the image does.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> "_SharedContexts":
        return self


def storage_contexts() -> list[PresentationContext]:
    """Contexts for C-ECHO, reports of storage commitment, and every kind of storage object in every syntax.

    A router that sends a whole study stops at the first object that is turned away, so everything is taken,
    and what cannot be used is told by the state of its study.
    """
    others = [UID(syntax) for syntax in AllTransferSyntaxes if syntax not in _PREFERRED]
    syntaxes = [*_PREFERRED, *others]
    storage = [build_context(context.abstract_syntax, syntaxes) for context in AllStoragePresentationContexts]
    # Archives report on storage commitment over an association of their own, in which they are the SCP.
    commitment = build_context(StorageCommitmentPushModel, list(_PREFERRED[:2]))
    commitment.scu_role = commitment.scp_role = True
    return _SharedContexts([build_context(Verification, list(_PREFERRED[:2])), commitment, *storage])


def send_at_once(connection: socket.socket) -> None:
    """Switch Nagle's algorithm off.

    DIMSE is one small answer for each object, and a peer that waits for company for its packet waits 40 ms.
    """
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom we call.

    Attributes
    ----------
    ae_title, host, port : str, str, int
        Its title and address.
    calling : str
        Our own title.
    timeout_s : float
        For the connection and for each answer.
    tls : (SSLContext, str) or None
        How to trust it, and the name its certificate must hold; None for plain DICOM.
    """

    ae_title: str
    host: str
    port: int
    calling: str
    timeout_s: float
    tls: tuple[SSLContext, str] | None = None


def contexts_for(classes: Iterable[str]) -> list[PresentationContext]:
    """Contexts for these SOP classes in the syntaxes that our own objects are written in."""
    return [build_context(uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]) for uid in classes]


@contextmanager
def associated(
    peer: Peer,
    contexts: Sequence[PresentationContext],
    *,
    roles: Sequence[Any] = (),
    handlers: Sequence[Any] = (),
) -> Iterator[Association]:
    """Call a peer, and release the association in the end.

    It is not established where the peer answered but took none of the contexts: pynetdicom aborts then.

    Parameters
    ----------
    peer : Peer
        Whom.
    contexts : sequence of PresentationContext
        What for.
    roles : sequence of SCP_SCU_RoleSelectionNegotiation
        Roles other than the usual.
    handlers : sequence of (event, callable)
        For what the peer may send by itself.

    Raises
    ------
    TransientError
        If the peer cannot be reached or turns the association away.
    """
    ae = AE(peer.calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = peer.timeout_s
    association = ae.associate(
        peer.host,
        peer.port,
        list(contexts),
        peer.ae_title,
        ext_neg=list(roles) or None,
        evt_handlers=[(evt.EVT_CONN_OPEN, _open_at_once), *handlers],
        tls_args=peer.tls,
    )
    try:
        if not association.is_established and not _nothing_accepted(association):
            raise TransientError(_why_not(association))
        yield association
    finally:
        if association.is_established:
            association.release()


def _open_at_once(event: evt.Event) -> None:
    send_at_once(event.assoc.dul.socket.socket)


def _nothing_accepted(association: Association) -> bool:
    return bool(association.rejected_contexts) and not association.accepted_contexts


def _why_not(association: Association) -> str:
    if association.is_rejected:
        return "it rejected the association; does it know our AE title, and is its own right?"
    if association.is_aborted and association.acceptor.primitive is not None:
        return "it aborted the association"
    return "it cannot be reached"
