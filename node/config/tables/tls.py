"""[node.tls], [sources.tls], [destinations.tls] and [audit.tls] of config.toml: certificates for TLS."""

from dataclasses import dataclass, replace
from pathlib import Path

from node.config.table import Table

__all__ = ["TlsSettings", "called", "called_where_named", "files"]


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Certificate files in PEM format; without `ca`, TLS is off.

    Attributes
    ----------
    certificate, key : Path or None
        What this node presents to its peer.
    ca : Path or None
        Certificates that the peer's certificate must be signed by.
    crl : Path or None
        Revocation list of that authority.
    server_name : str
        The name that a server's certificate must have; empty means the host that is called.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    crl: Path | None = None
    server_name: str = ""


def files(table: Table) -> TlsSettings:
    """Read the files that both servers and clients need."""
    settings = table.settings(TlsSettings, server_name="")
    if (settings.certificate is None) != (settings.key is None):
        table.fault("key" if settings.key is None else "certificate", "is missing beside the other")
    if settings.crl is not None and settings.ca is None:
        table.fault("crl", "needs `ca`, the authority that signed the list")
    return settings


def called(table: Table) -> TlsSettings:
    """Read the files for calling a server, and the name that its certificate must have."""
    return replace(files(table), server_name=table.take("server_name", ""))


def called_where_named(table: Table) -> TlsSettings:
    """Do the same as `called`, and note a fault if other keys are given without `ca`."""
    settings = called(table)
    if settings.ca is None and (settings.certificate is not None or settings.server_name):
        table.fault("ca", "must name the authorities that its certificate is signed by")
    return settings
