"""[web] of config.toml: the status page."""

import re
from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from node.config.checks import Host, between
from node.config.password import is_hash
from node.config.table import Table
from node.domain.identifiers import is_loopback

__all__ = ["User", "WebSettings", "is_user_name", "web"]

_EVERY_CARD = ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may log in.

    Attributes
    ----------
    name : str
        Name, as the audit trail has it.
    password_hash : str
        See `node.config.password`.
    """

    name: str
    password_hash: str


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
    https : bool
        Whether it is served over TLS, with the certificate of [node.tls].
    session_minutes : int
        Time without a request after which a user must log in again.
    user_header : str
        Header in which a reverse proxy names the user that it has logged in; empty for none.
    users : tuple of User
        Who may log in with a password.
    proxies : tuple of IPv4Network or IPv6Network
        From where `user_header` is believed.
    """

    host: Host = "127.0.0.1"
    port: Annotated[int, between(0, 65535)] = 8080
    names: tuple[str, ...] = ()
    open_without_login: bool = False
    https: bool = False
    session_minutes: Annotated[int, between(1, 720)] = 30
    user_header: str = ""
    users: tuple[User, ...] = ()
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()

    @property
    def has_login(self) -> bool:
        """Whether the page is for those only who are logged in, and takes their orders."""
        return bool(self.users or self.user_header)


def is_user_name(text: str) -> bool:
    """Tell whether a text can be the name of a user: it has nothing that a log or a line would take apart."""
    return _NAME.fullmatch(text) is not None


def web(table: Table) -> WebSettings:
    """Read the table."""
    settings = table.settings(WebSettings, users=_users(table), proxies=_proxies(table))
    if settings.port and not is_loopback(settings.host):
        _check_open(table, settings)
    if settings.port and settings.host in _EVERY_CARD and not settings.names:
        table.fault(
            "names", f"must say by which names or addresses it is called where host is {settings.host}"
        )
    if settings.user_header and not _HEADER.fullmatch(settings.user_header):
        table.fault("user_header", "must be the name of an HTTP header")
    if settings.user_header and not settings.proxies:
        table.fault("proxies", "must name the addresses of the reverse proxy that sets user_header")
    return settings


def _check_open(table: Table, settings: WebSettings) -> None:
    """Note a fault if the network could read or order what it should not."""
    if settings.has_login and not settings.https:
        table.fault(
            "https",
            "must be true where host is not loopback and users log in: passwords would be sent in the clear",
        )
    elif not settings.has_login and not settings.open_without_login:
        table.fault(
            "host",
            "is not loopback, and the page has no login: keep it on 127.0.0.1 behind the site's reverse "
            "proxy, name users, or write open_without_login = true",
        )


def _users(table: Table) -> tuple[User, ...]:
    users = []
    for line in table.texts("users", ()):
        name, _, hashed = line.partition(":")
        if not is_user_name(name) or not is_hash(hashed):
            # Without what is written there: it may be a password.
            table.fault("users", "must hold lines as `osteonode password NAME` prints them")
            return ()
        users.append(User(name, hashed))
    if any(count > 1 for count in Counter(one.name for one in users).values()):
        table.fault("users", "must name each user once")
    return tuple(users)


def _proxies(table: Table) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(text) for text in table.texts("proxies", ()))
    except ValueError:
        table.fault("proxies", 'must hold addresses or networks, such as "127.0.0.1" or "10.1.2.0/24"')
        return ()
