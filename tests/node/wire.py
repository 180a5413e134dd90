"""Bytes of the DICOM upper layer, made by hand so that they can be wrong."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from struct import pack, unpack

from pydicom.uid import ImplicitVRLittleEndian, MRImageStorage
from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.sop_class import Verification

from tests.node.nodes import encode, slice_of
from tests.patience import PATIENCE_S

__all__ = [
    "Wire",
    "associate",
    "command",
    "echo_request",
    "element",
    "fragment",
    "in_fragments",
    "pdu",
    "request_association",
    "store_parts",
    "store_pdu",
    "store_request",
    "wire_to",
]

LAST, COMMAND = 2, 1
ASSOCIATE_RQ, ASSOCIATE_AC, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = 1, 2, 4, 5, 6, 7


def pdu(kind: int, content: bytes, *, length: int | None = None) -> bytes:
    """Make a PDU; its length may lie."""
    return pack(">BBL", kind, 0, len(content) if length is None else length) + content


def fragment(context: int, content: bytes, *, control: int = LAST) -> bytes:
    """Make a presentation data value."""
    return pack(">LBB", len(content) + 2, context, control) + content


def element(number: int, value: bytes) -> bytes:
    """Make an element of a command."""
    value += b"\0" * (len(value) % 2)
    return pack("<HHL", 0, number, len(value)) + value


def command(elements: Iterable[bytes]) -> bytes:
    """Make a command set with its group length."""
    content = b"".join(elements)
    return element(0x0000, pack("<L", len(content))) + content


def store_request(instance: bytes, *, sop_class: str = MRImageStorage, field: int = 1) -> bytes:
    """Make the command of a C-STORE request."""
    return command(
        [
            element(0x0002, sop_class.encode()),
            element(0x0100, pack("<H", field)),
            element(0x0110, pack("<H", 1)),
            element(0x0700, pack("<H", 0)),
            element(0x0800, pack("<H", 1)),
            element(0x1000, instance),
        ]
    )


def echo_request() -> bytes:
    """Make the command of a C-ECHO request, which has no dataset."""
    return command(
        [
            element(0x0002, Verification.encode()),
            element(0x0100, pack("<H", 0x0030)),
            element(0x0110, pack("<H", 1)),
            element(0x0800, pack("<H", 0x0101)),
        ]
    )


def store_parts(study: str, number: int) -> tuple[bytes, bytes]:
    """Make the command and the dataset that store a slice of a study."""
    request = store_request(f"{study}.1.{number}".encode())
    return request, encode(slice_of(number, study=study), ImplicitVRLittleEndian)


def store_pdu(study: str, number: int) -> bytes:
    """Make one PDU that stores a slice of a study."""
    request, payload = store_parts(study, number)
    return pdu(P_DATA, fragment(1, request, control=COMMAND | LAST) + fragment(1, payload))


def in_fragments(content: bytes, length: int, control: int) -> list[bytes]:
    """Part a command or a dataset into presentation data values of context 1."""
    parts = [content[at : at + length] for at in range(0, len(content), length)]
    return [
        fragment(1, part, control=control | (LAST if at == len(parts) else 0))
        for at, part in enumerate(parts, start=1)
    ]


def associate(
    syntax: str = ImplicitVRLittleEndian,
    *,
    calling: str = "SENDER",
    called: str = "OSTEONODE",
    sop_class: str = MRImageStorage,
) -> bytes:
    """Make an association request for one class of objects in one transfer syntax, as context 1."""
    request = A_ASSOCIATE()
    request.application_context_name = "1.2.840.10008.3.1.1.1"
    request.calling_ae_title, request.called_ae_title = calling, called
    context = build_context(sop_class, syntax)
    context.context_id = 1
    request.presentation_context_definition_list = [context]
    longest, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    longest.maximum_length_received = 16384
    implementation.implementation_class_uid = "1.2.826.0.1.9"
    request.user_information = [longest, implementation]
    made = A_ASSOCIATE_RQ()
    made.from_primitive(request)
    encoded: bytes = made.encode()
    return encoded


class Wire:
    """A connection that sends what it is told, and reads PDU by PDU."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def send(self, *parts: bytes) -> None:
        """Send bytes as they are."""
        self.connection.sendall(b"".join(parts))

    def receive(self) -> tuple[int, bytes]:
        """Return kind and content of the next PDU; kind 0 once the other side has closed."""
        header = self._read(6)
        if len(header) < 6:
            return 0, b""
        kind, _, length = unpack(">BBL", header)
        return kind, self._read(length)

    def status(self) -> int | None:
        """Return the DIMSE status that is answered, or None where the association ends instead."""
        kind, content = self.receive()
        if kind != P_DATA:
            return None
        at = content.index(pack("<HHL", 0, 0x0900, 2))
        return int(unpack("<H", content[at + 8 : at + 10])[0])

    def is_closed(self) -> bool:
        """Wait for the end: closed or aborted, not just an answer."""
        try:
            return self.receive()[0] in {0, ABORT}
        except TimeoutError:
            return False

    def _read(self, length: int) -> bytes:
        content = b""
        while len(content) < length:
            try:
                got = self.connection.recv(length - len(content))
            except ConnectionError:
                got = b""
            if not got:
                break
            content += got
        return content


@contextmanager
def wire_to(port: int) -> Iterator[Wire]:
    """Connect to a node on loopback."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Wire(connection)


def request_association(wire: Wire, syntax: str = ImplicitVRLittleEndian, *, calling: str = "SENDER") -> None:
    """Open an association with context 1 for MR images."""
    wire.send(associate(syntax, calling=calling))
    kind, _ = wire.receive()
    assert kind == ASSOCIATE_AC, f"answered with a PDU of kind {kind}"
