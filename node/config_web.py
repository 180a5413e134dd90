"""[web] of config.toml: where the status page is, and by which names it is called."""

from dataclasses import dataclass

from node.config_reader import Table
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

    host: str = "127.0.0.1"
    port: int = 8080
    names: tuple[str, ...] = ()
    open_without_login: bool = False


def web(table: Table) -> WebSettings:
    """Read the section."""
    fallback = WebSettings()
    settings = WebSettings(
        host=table.take("host", fallback.host, check=_host),
        port=table.take("port", fallback.port, check=_port),
        names=table.texts("names", fallback.names),
        open_without_login=table.take("open_without_login", fallback.open_without_login),
    )
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
    table.finish()
    return settings


def _host(value: str) -> str | None:
    return None if value and not value.isspace() else "must name a host"


def _port(value: int) -> str | None:
    return None if 0 <= value <= 65535 else "must be between 0 and 65535"
