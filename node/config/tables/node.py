"""[node] of config.toml: where the node listens, and limits for its senders."""

from dataclasses import dataclass, field
from typing import Annotated

from node.config.checks import AETitle, Host, between
from node.config.table import Table
from node.config.tables.tls import TlsSettings, files

__all__ = ["NodeSettings", "node"]


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """[node]: where the node listens, and limits for its senders."""

    ae_title: AETitle = "OSTEONODE"
    host: Host = "127.0.0.1"
    port: Annotated[int, between(0, 65535)] = 11112
    max_associations: Annotated[int, between(1, 1000)] = 20
    max_pdu_bytes: Annotated[int, between(4096, 2**24)] = 131072
    idle_timeout_s: Annotated[float, between(0.1, 3600)] = 60.0
    greeting_timeout_s: Annotated[float, between(0.1, 600)] = 10.0
    slowest_kb_per_s: Annotated[float, between(0, 2**20)] = 1.0
    max_instance_mb: Annotated[int, between(1, 4096)] = 2048
    stop_s: Annotated[float, between(1, 600)] = 10.0
    tls: TlsSettings = field(default_factory=TlsSettings)

    @property
    def address(self) -> str:
        """Host and port in one word."""
        return f"{self.host}:{self.port}"


def node(table: Table) -> NodeSettings:
    """Read the table."""
    return table.settings(NodeSettings, tls=table.table("tls").read(_tls))


def _tls(table: Table) -> TlsSettings:
    settings = files(table)
    if settings.ca is None and settings.certificate is not None:
        table.fault("ca", "must name the authorities that senders' certificates are signed by")
    if settings.ca is not None and settings.certificate is None:
        table.fault("certificate", "must be named where senders are to use TLS")
    return settings
