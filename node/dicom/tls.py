"""TLS in both directions, as BCP 195 requires: 1.2 or 1.3, forward secrecy, both sides authenticated.

References
----------
DICOM PS3.15 B.12, Non-Downgrading BCP 195 TLS Secure Transport Connection Profile; RFC 9325 (BCP 195).
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node.config import ArchiveSettings, AuditSettings, Contact, Destination, Source, TlsSettings
from node.errors import ConfigurationError

__all__ = [
    "archive_arguments",
    "audit_arguments",
    "client_arguments",
    "contact_context",
    "page_context",
    "reason_of",
    "server_context",
    "source_arguments",
]

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL"
"""For TLS 1.2, RFC 9325 section 4.2: ephemeral keys and authenticated encryption; 1.3 has no others."""
_WRONG_NAME = 62
"""X509_V_ERR_HOSTNAME_MISMATCH; its message would quote the name."""


class _Context(ssl.SSLContext):
    """A context that reads its files again when they change: a renewed certificate needs no restart."""

    _files: tuple[Path, ...] = ()
    _seen: tuple[tuple[int, int], ...] = ()
    _latest: ssl.SSLContext | None = None

    def follow(self, files: tuple[Path, ...], make: Callable[[], ssl.SSLContext]) -> None:
        """Use what `make` returns, from the next change of the files on."""
        self._files, self._make, self._seen = files, make, tuple(map(_version_of, files))

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:  # noqa: ANN401 - passed on
        """Begin a connection, with the files as they are now."""
        latest = self._newest()
        if latest is None:
            return super().wrap_socket(*arguments, **options)
        return latest.wrap_socket(*arguments, **options)

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:  # noqa: ANN401 - passed on
        """Begin a connection of asyncio, with the files as they are now."""
        latest = self._newest()
        if latest is None:
            return super().wrap_bio(*arguments, **options)
        return latest.wrap_bio(*arguments, **options)

    def _newest(self) -> ssl.SSLContext | None:
        try:
            seen = tuple(map(_version_of, self._files))
            if seen != self._seen:
                self._latest, self._seen = self._make(), seen
        except (OSError, ConfigurationError):
            # Half written or gone: the context at hand is used until its certificates expire.
            return self._latest
        return self._latest


def _version_of(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_mtime_ns, found.st_size


def server_context(settings: TlsSettings) -> ssl.SSLContext | None:
    """Return the context of the listener, or None for plain DICOM.

    A sender must show a certificate that `ca` verifies.

    Raises
    ------
    ConfigurationError
        If a file is missing or is not what it should be.
    """
    if settings.ca is None:
        return None
    return _context(settings, ssl.PROTOCOL_TLS_SERVER, "node.tls")


def page_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return the context of the status page: the certificate of the listener, for anybody's browser.

    Raises
    ------
    ConfigurationError
        If a file is missing or is not what it should be.
    """
    alone = TlsSettings(settings.certificate, settings.key)
    return _context(alone, ssl.PROTOCOL_TLS_SERVER, "node.tls")


def audit_arguments(settings: AuditSettings, host: str) -> tuple[ssl.SSLContext, str]:
    """Return context and name for the audit repository; see `client_arguments`."""
    return _client(settings.tls, host, "audit.tls")


def client_arguments(destination: Destination) -> tuple[ssl.SSLContext, str] | None:
    """Return a context and the name to expect, for a destination; None for plain DICOM.

    Raises
    ------
    ConfigurationError
        If a file is missing or is not what it should be.
    """
    if destination.tls.ca is None:
        return None
    return _client(destination.tls, destination.host, f"destinations.tls of {destination.name}")


def contact_context(contact: Contact) -> ssl.SSLContext:
    """Return the context for a contact: without `ca`, the authorities that the system trusts are trusted.

    Raises
    ------
    ConfigurationError
        If a file is missing or is not what it should be.
    """
    if contact.tls.ca is not None:
        return _context(contact.tls, ssl.PROTOCOL_TLS_CLIENT, f"notify.tls of {contact.name}")
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def source_arguments(source: Source) -> tuple[ssl.SSLContext, str] | None:
    """Return context and name for questions to a source; see `client_arguments`."""
    if source.tls.ca is None:
        return None
    return _client(source.tls, source.host, f"sources.tls of {source.ae_title}")


def archive_arguments(archive: ArchiveSettings) -> tuple[ssl.SSLContext, str] | None:
    """Return context and name for an archive that is asked; see `client_arguments`."""
    if archive.tls.ca is None:
        return None
    return _client(archive.tls, archive.host, f"archives.tls of {archive.name}")


def reason_of(error: OSError) -> str:
    """Return why a handshake failed, in OpenSSL's words and without any name of a certificate."""
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_code != _WRONG_NAME:
        return f"certificate verify failed: {error.verify_message.lower()}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return "it took too long" if isinstance(error, TimeoutError) else "the connection ended in the handshake"


def _client(settings: TlsSettings, host: str, where: str) -> tuple[ssl.SSLContext, str]:
    return _context(settings, ssl.PROTOCOL_TLS_CLIENT, where), settings.server_name or host


def _context(settings: TlsSettings, protocol: int, where: str) -> ssl.SSLContext:
    files = (settings.certificate, settings.key, settings.ca, settings.crl)
    context = _Context(protocol)
    _configure(context, settings, where)
    context.follow(
        tuple(file for file in files if file is not None),
        lambda: _configure(ssl.SSLContext(protocol), settings, where),
    )
    return context


def _configure(context: ssl.SSLContext, settings: TlsSettings, where: str) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    if settings.ca is not None:
        authorities = settings.ca
        context.verify_mode = ssl.CERT_REQUIRED
        # So that `ca` may hold the accepted certificates themselves, and not the authority that signed them.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        _load(lambda: context.load_verify_locations(authorities), f"{where}: ca holds no certificates")
    if settings.certificate is not None:
        certificate = settings.certificate
        _load(
            # Without a password function OpenSSL would ask for one on the terminal.
            lambda: context.load_cert_chain(certificate, settings.key, password=lambda: ""),
            f"{where}: certificate and key are not a pair of PEM files without a password",
        )
    if settings.crl is not None:
        crl = settings.crl
        _load(lambda: _refuse_revoked(context, crl), f"{where}: crl is no revocation list in PEM format")
    return context


def _refuse_revoked(context: ssl.SSLContext, crl: Path) -> None:
    """Refuse the certificates of a revocation list; `OSError` if the file holds no list."""
    context.load_verify_locations(crl)
    if not context.cert_store_stats()["crl"]:
        raise ssl.SSLError("it holds no revocation list")
    # The other side's own certificate only: the authorities above it are the site's choice, in `ca`.
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def _load(load: Callable[[], None], fault: str) -> None:
    try:
        load()
    except OSError as error:  # of which SSLError is one
        raise ConfigurationError((f"{fault} ({error.strerror or error.__class__.__name__})",)) from None
