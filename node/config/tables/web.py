"""[web] of config.toml: the status page."""

from dataclasses import dataclass
from typing import Annotated

from node.config.checks import Host, between
from node.config.table import Table
from node.domain.identifiers import is_loopback

__all__ = ["WebSettings", "web"]

_EVERY_CARD = ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on


@dataclass(frozen=True, slots=True)
class WebSettings:
    """[web]: the status page; port 0 turns it off.

    Attributes
    ----------
    host, port : str, int
        Where it listens.
    names : tuple of str
        Further names that a request may address, besides `host` and the names of loopback. Requests for any
        other name are rejected, to prevent DNS rebinding.
    open_without_login : bool
        Whether `host` may be an address other than loopback, although the page has no login.
    """

    host: Host = "127.0.0.1"
    port: Annotated[int, between(0, 65535)] = 8080
    names: tuple[str, ...] = ()
    open_without_login: bool = False


def web(table: Table) -> WebSettings:
    """Read the table."""
    settings = table.settings(WebSettings)
    if settings.port and not is_loopback(settings.host) and not settings.open_without_login:
        table.fault(
            "host",
            "is not loopback, and the page has no login: keep it on 127.0.0.1 behind the site's reverse "
            "proxy, or write open_without_login = true",
        )
    if settings.port and settings.host in _EVERY_CARD and not settings.names:
        table.fault(
            "names", f"must say by which names or addresses it is called where host is {settings.host}"
        )
    return settings
