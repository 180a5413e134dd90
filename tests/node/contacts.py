"""Receivers of notifications on loopback: an HTTP server that verifies signatures, and an SMTP server."""

# ruff: noqa: D102, N802 - methods that the libraries call
import ssl
from asyncio import Server
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from standardwebhooks import Webhook

from node.config import Contact, Security, TlsSettings
from node.domain.notice import Topic
from tests.certificates import Credentials

SECRET = b"a secret of thirty-two bytes ...."
NEWS = tuple(topic for topic in Topic if topic is not Topic.RESULT)


@dataclass
class Hook:
    """A webhook on loopback, which keeps what has a right signature and is a right CloudEvent.

    Attributes
    ----------
    status : callable
        From the number of the request (0 for the first) to the HTTP status that it answers.
    """

    status: Callable[[int], int] = lambda _number: 204
    events: list[Any] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    requests: int = 0
    url: str = ""

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.events]

    def take(self, headers: dict[str, str], body: bytes) -> int:
        status = self.status(self.requests)
        self.requests += 1
        try:
            # The libraries that receivers use: of Standard Webhooks, and of CloudEvents.
            event = Webhook(SECRET).verify(body, headers)
            from_structured_event(HTTPMessage(headers, body))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it
            self.unsigned.append(repr(error))
            return 401
        if 200 <= status < 300:
            assert headers["webhook-id"] == event["id"]
            self.events.append(event)
            self.bodies.append(body)
            self.headers.append(headers)
        return status

    def contact(self, name: str = "hook", **settings: Any) -> Contact:
        return Contact(name=name, webhook=self.url, secret=SECRET, **settings)


@contextmanager
def running_hook(credentials: Credentials | None = None, *, port: int = 0, **settings: Any) -> Iterator[Hook]:
    hook = Hook(**settings)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = hook.take(headers, body)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"{hook.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    scheme = "http"
    if credentials is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(credentials.certificate, credentials.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    hook.url = f"{scheme}://127.0.0.1:{server.server_port}/hook"
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Postbox:
    """An SMTP server on loopback, with TLS, that lets one user in.

    Attributes
    ----------
    reply : callable
        From the number of the message (0 for the first) to the reply after its content.
    unknown : frozenset of str
        Addresses that it refuses.
    """

    reply: Callable[[int], str] = lambda _number: "250 OK"
    unknown: frozenset[str] = frozenset()
    messages: list[EmailMessage] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    port: int = 0
    security: Security = Security.STARTTLS
    ca: Any = None
    _count: int = 0

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, login: Any
    ) -> AuthResult:
        self.users.append(login.login.decode())
        # Not handled: the server answers by itself.
        return AuthResult(success=(login.login, login.password) == (b"osteo", b"hunter2"), handled=False)

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.unknown:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        reply = self.reply(self._count)
        self._count += 1
        if reply.startswith("250"):
            assert envelope.original_content is not None
            message = message_from_bytes(envelope.original_content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.messages.append(message)
            self.encrypted.append(session.ssl is not None or self.security is Security.TLS)
        return reply

    def contact(self, name: str = "people", **settings: Any) -> Contact:
        usual: dict[str, Any] = {
            "smtp": f"127.0.0.1:{self.port}",
            "security": self.security,
            "user": "osteo",
            "password": "hunter2",
            "sender": "osteonode@hospital.example",
            "to": ("team@hospital.example",),
            "tls": TlsSettings(ca=self.ca),
        }
        return Contact(name=name, **(usual | settings))


class _OnAnyPort(Controller):
    """A controller that knows which free port it was given, before it is tried."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def running_postbox(
    credentials: Credentials, security: Security = Security.STARTTLS, **settings: Any
) -> Iterator[Postbox]:
    box = Postbox(security=security, ca=credentials.ca, **settings)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(credentials.certificate, credentials.key)
    offers: dict[str, Any] = (
        {"tls_context": context, "require_starttls": True, "auth_required": True}
        if security is Security.STARTTLS
        else {"ssl_context": context, "auth_require_tls": False}
    )
    controller = _OnAnyPort(
        box, hostname="127.0.0.1", port=0, authenticator=box.authenticate,
        ready_timeout=60.0, **offers
    )  # fmt: skip
    controller.start()
    box.port = controller.port
    try:
        yield box
    finally:
        controller.stop()


def secret_as_written() -> str:
    """Return the secret as a configuration names it."""
    return f"whsec_{b64encode(SECRET).decode()}"


__all__ = [
    "NEWS",
    "SECRET",
    "Hook",
    "Postbox",
    "running_hook",
    "running_postbox",
    "secret_as_written",
]
