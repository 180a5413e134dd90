"""Archives that answer as no archive should, by DIMSE and by HTTP."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qsl, urlsplit

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pynetdicom import AllStoragePresentationContexts, evt
from pynetdicom.sop_class import (
    MRImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from tests.patience import LOOK_S, application_entity

__all__ = ["Dimse", "Web", "as_parts", "served", "served_by_web"]

_PENDING = 0xFF00
Answers = Callable[[Dataset], Iterable[tuple[int, Dataset | None]]]


@dataclass(slots=True)
class Dimse:
    """An archive made of pynetdicom, whose answers a test chooses.

    Attributes
    ----------
    find : callable
        From the identifier of a C-FIND to its answers.
    images : sequence of Dataset
        What it sends because of a C-GET or C-MOVE.
    status : int
        What it answers to a C-GET or C-MOVE at its end, or instead of images; 0 for success.
    before_image : callable
        Called with the association and the number of each image before it is sent.
    on_get : callable
        Called with each C-GET before it is answered.
    move_to : int
        The port to which C-MOVE sends images.
    """

    find: Answers = lambda _: ()
    images: Sequence[Dataset] = ()
    status: int = 0
    before_image: Callable[[Any, int], None] = lambda _association, _number: None
    on_get: Callable[[evt.Event], None] = lambda _event: None
    move_to: int = 0
    port: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def answer_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        """Answer a C-FIND."""
        yield from self.find(event.identifier)

    def answer_get(self, event: evt.Event) -> Iterator[Any]:
        """Answer a C-GET."""
        self.on_get(event)
        yield len(self.images)
        yield from self._images(event)

    def answer_move(self, event: evt.Event) -> Iterator[Any]:
        """Answer a C-MOVE."""
        yield "127.0.0.1", self.move_to
        yield len(self.images)
        yield from self._images(event)

    def _images(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        if self.status:
            yield self.status, None
            return
        for number, image in enumerate(self.images):
            self.before_image(event, number)
            yield _PENDING, image


@contextmanager
def served(archive: Dimse) -> Iterator[Dimse]:
    """Run an archive on loopback."""
    ae = application_entity("ARCHIVE")
    for service in (
        StudyRootQueryRetrieveInformationModelFind,
        StudyRootQueryRetrieveInformationModelGet,
        StudyRootQueryRetrieveInformationModelMove,
    ):
        ae.add_supported_context(service)
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax, scu_role=True, scp_role=True)
    ae.add_requested_context(MRImageStorage)
    handlers = [
        (evt.EVT_C_FIND, archive.answer_find), (evt.EVT_C_GET, archive.answer_get),
        (evt.EVT_C_MOVE, archive.answer_move), (evt.EVT_C_STORE, lambda _: 0),
    ]  # fmt: skip
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    archive.port = server.server_address[1]
    try:
        yield archive
    finally:
        archive.stopped.set()
        server.shutdown()


@dataclass(slots=True)
class Web:
    """A DICOMweb archive whose answers a test chooses.

    Attributes
    ----------
    answer : callable
        From the path of a request to status, content type and body; the body is sent in chunks as it comes.
    before_headers : callable
        Called with the file of each response before its headers are sent.
    asked : list of str
        Paths of all requests so far.
    asked_for : dict of str to str
        Parameters of the latest request.
    """

    answer: Callable[[str], tuple[int, str, Iterable[bytes]]] = lambda _: (404, "text/html", ())
    headers: dict[str, str] = field(default_factory=dict)
    before_headers: Callable[[BinaryIO], None] = lambda _file: None
    asked: list[str] = field(default_factory=list)
    asked_for: dict[str, str] = field(default_factory=dict)
    port: int = 0


@contextmanager
def served_by_web(archive: Web, tls: SSLContext | None = None) -> Iterator[Web]:
    """Run a DICOMweb archive on loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            archive.asked_for = dict(parse_qsl(urlsplit(self.path).query))
            archive.asked.append(path)
            code, kind, body = archive.answer(path)
            self.close_connection = True
            try:
                archive.before_headers(cast("BinaryIO", self.wfile))
            except OSError:  # the node waits no longer
                return
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Connection", "close")
            for name, value in archive.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # the node has heard enough
                for part in body:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    archive.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(LOOK_S,))
    thread.start()
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def as_parts(images: Iterable[Dataset], boundary: bytes = b"parted") -> Iterator[bytes]:
    """Yield the multipart body of a response with these images."""
    for image in images:
        buffer = DicomBytesIO()
        image.save_as(buffer, enforce_file_format=True)
        yield b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n" % (boundary, buffer.getvalue())
    yield b"--%b--\r\n" % boundary
