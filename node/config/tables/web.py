"""[web] of config.toml: where the status page is, and by which names it is called."""

from dataclasses import dataclass
from typing import Annotated

from node.config.checks import Host, between
from node.config.table import Table
from node.domain.identifiers import is_loopback

__all__ = ["WebSettings", "web"]

_EVERY_CARD = ("0.0.0.0", "::")  # noqa: S104 - looked for, not listened on


@dataclass(frozen=True, slots=True)
class WebSettings:
    """[web]: the status page; with port 0 there is none.

    Attributes
    ----------
    host, port : str, int
        Where it listens.
    names : tuple of str
        Names it is called by, beside `host` and those of loopback. Whoever asks for any other is turned away:
        a stranger's page could let a browser believe that its own name leads here (DNS rebinding).
    open_without_login : bool
        Whether `host` may be another than loopback, which everybody there can then read.
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
