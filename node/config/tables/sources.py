"""[[sources]] of config.toml: the configured senders."""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from node.config.checks import ae_title, between, host
from node.config.table import Table
from node.config.tables.tls import TlsSettings, called_where_named

__all__ = ["Network", "Source", "source"]

Network = IPv4Network | IPv6Network
_limit = between(1, 2**40)


def _host_or_none(value: str) -> str | None:
    return host(value) if value else None


@dataclass(frozen=True, slots=True)
class Source:
    """[[sources]]: a sender with its AE title ("*" for any), the network of its address, and its limits.

    With `ask`, the node asks it by C-FIND at `host` and `port` how many images each series has, over TLS if
    `tls` has a `ca`.
    """

    ae_title: str = "*"
    network: Network = field(default_factory=lambda: ip_network("127.0.0.0/8"))
    max_associations: Annotated[int, between(1, 1000)] = 10
    max_instances_per_hour: Annotated[int, _limit] = 100_000
    max_mb_per_hour: Annotated[int, _limit] = 100_000
    ask: bool = False
    host: Annotated[str, _host_or_none] = ""
    port: Annotated[int, between(1, 65535)] = 104
    tls: TlsSettings = field(default_factory=TlsSettings)


def source(table: Table) -> Source:
    """Read one element of the array."""
    limited = table.settings(
        Source,
        ae_title=table.require("ae_title", "*", check=ae_title),
        network=ip_network(table.require("network", "127.0.0.0/8", check=_network)),
        tls=TlsSettings(),
    )
    inner = table.table("tls")
    found = replace(limited, tls=inner.read(called_where_named))
    if found.tls.ca is not None and not found.ask:
        inner.fault("ca", "is for asking it; for what it sends, see [node.tls]")
    if found.ask and (found.ae_title == "*" or not found.host):
        table.fault("ask", "needs the source's one AE title and its host")
    return found


def _network(value: str) -> str | None:
    try:
        ip_network(value)
    except ValueError:
        return 'must be a network such as "10.1.2.0/24" or one address'
    return None
