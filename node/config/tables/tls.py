"""[node.tls], [sources.tls], [destinations.tls] and [audit.tls] of config.toml: how to speak TLS."""

from dataclasses import dataclass, replace
from pathlib import Path

from node.config.table import Table

__all__ = ["TlsSettings", "called", "called_where_named", "files"]


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Files in PEM format; without `ca` there is no TLS.

    `ca` holds the certificates that vouch for the other side, `crl` those that no longer count, `certificate`
    and `key` are shown to it, and `server_name` is what the certificate of whoever is called must name, where
    that is not its `host`.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    crl: Path | None = None
    server_name: str = ""


def files(table: Table) -> TlsSettings:
    """Read the files of one side of a connection."""
    settings = table.settings(TlsSettings, server_name="")
    if (settings.certificate is None) != (settings.key is None):
        table.fault("key" if settings.key is None else "certificate", "is missing beside the other")
    if settings.crl is not None and settings.ca is None:
        table.fault("crl", "needs `ca`, the authority that signed the list")
    return settings


def called(table: Table) -> TlsSettings:
    """Read the files for somebody whom the node calls, and the name that its certificate must hold."""
    return replace(files(table), server_name=table.take("server_name", ""))


def called_where_named(table: Table) -> TlsSettings:
    """Read them for somebody with whom the node speaks TLS wherever there is a table."""
    settings = called(table)
    if settings.ca is None and (settings.certificate is not None or settings.server_name):
        table.fault("ca", "must name the authorities that its certificate is signed by")
    return settings
