"""Checks of the addresses at which the node listens: for DICOM, its TLS, and the status page."""

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from node.config import Configuration, NodeSettings, WebSettings
from node.dicom.tls import page_context, server_context
from node.domain.identifiers import is_loopback
from node.errors import ConfigurationError
from node.operate.doctor.echo import PATIENCE_S
from node.operate.doctor.result import CheckResult, Severity, unusable_tls
from node.operate.doctor.rights import is_open_to_others
from node.store import address_of_running_node

__all__ = ["listener", "tls", "web"]


def listener(configuration: Configuration) -> Iterator[CheckResult]:
    """Check that the node can listen on its address, or already does."""
    settings = configuration.node
    subject = f"listener {settings.ae_title} on {settings.address}"

    def is_ours() -> bool:
        # Not asked by DICOM: the node accepts only its sources, and with TLS only their certificates.
        return address_of_running_node(configuration.storage.directory) == settings.address

    yield _address(
        subject, settings, is_ours, "the running node of this configuration listens there",
        "Another program may have the port; change [node] port, or host to an address of this machine.",
    )  # fmt: skip


def tls(configuration: Configuration) -> Iterator[CheckResult]:
    """Check that the listener uses TLS unless it is on loopback, and that only this user can read its key."""
    settings = configuration.node.tls
    if settings.ca is None:
        if not is_loopback(configuration.node.host):
            yield CheckResult(
                Severity.WARNING, "tls", "images are sent to this node without encryption",
                "Name certificate, key and ca in [node.tls], or keep the node on a trusted network.",
            )  # fmt: skip
        return
    try:
        server_context(settings)
    except ConfigurationError as error:
        yield unusable_tls("tls", error)
        return
    if settings.key is not None and is_open_to_others(settings.key):
        yield CheckResult(
            Severity.WARNING, "tls", "other users can read the private key",
            f"Run `chmod 600 {settings.key}`.",
        )  # fmt: skip
    else:
        yield CheckResult(Severity.GOOD, "tls", "senders must show a certificate")


def web(configuration: Configuration) -> Iterator[CheckResult]:
    """Check that the status page can be served, and only to this machine."""
    settings = configuration.web
    if not settings.port:
        return
    subject = f"status page on {settings.host}:{settings.port}"
    yield _address(
        subject, settings, partial(_is_alive, settings),
        "a node shows its page there already",
        "Another program may have the port; change [web] port, or set it to 0 for no page.",
    )  # fmt: skip
    if not is_loopback(settings.host) and not settings.has_login:
        yield CheckResult(
            Severity.WARNING, subject, "everyone who can reach the address can read it",
            "Set [web] host to 127.0.0.1, behind a reverse proxy that requires a login, or name users.",
        )  # fmt: skip
    audit = configuration.audit
    if settings.has_login and not audit.file and not audit.syslog:
        yield CheckResult(
            Severity.WARNING, subject, "no audit trail keeps who logged in and ordered what",
            "Name a file or a syslog server in [audit].",
        )  # fmt: skip
    if settings.https:
        yield from _https(configuration, subject)


def _https(configuration: Configuration, subject: str) -> Iterator[CheckResult]:
    try:
        page_context(configuration.node.tls)
    except ConfigurationError as error:
        yield unusable_tls(subject, error)


def _address(
    subject: str,
    where: NodeSettings | WebSettings,
    answers: Callable[[], bool],
    already: str,
    remedy: str,
) -> CheckResult:
    """Check that an address is free, or that the program which has it answers as this node does."""
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    try:
        with socket.create_server((where.host, where.port), family=family):
            return CheckResult(Severity.GOOD, subject, "the address is free to listen on")
    except OSError as error:
        if answers():
            return CheckResult(Severity.GOOD, subject, already)
        # Not its `strerror`, to which `create_server` adds the address.
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        return CheckResult(Severity.FAULT, subject, f"cannot be listened on: {reason}", remedy)


def _is_alive(settings: WebSettings) -> bool:
    """Tell whether the status page of a node answers at this address."""
    connection = HTTPConnection(settings.host, settings.port, timeout=PATIENCE_S)
    if settings.https:
        # Whoever answers there is asked for one word only, so its certificate need not be known.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = HTTPSConnection(settings.host, settings.port, timeout=PATIENCE_S, context=context)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().read() == b"alive\n"
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
