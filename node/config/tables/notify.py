"""[[notify]] of config.toml: who is told of what, by webhook or by e-mail."""

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from analysis.domain.target import Target
from node.config.checks import between, host, one_of, short_name, web_address
from node.config.secret import secret
from node.config.table import Table
from node.config.tables.tls import TlsSettings, called_where_named
from node.domain.notice import AT_THRESHOLD, Topic

__all__ = ["Contact", "Security", "contact"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_WEB_ADDRESS = re.compile(r"https?://[^/\s]+(/\S*)?")
_MAIL_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_SECRET_PREFIX = "whsec_"  # noqa: S105 - the form of the secret, not one
_SHORTEST_SECRET, _LONGEST_SECRET = 24, 64
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_AT_THRESHOLD = "threshold"
"""Written for the decision threshold of the model itself."""
_ALWAYS = tuple(topic.value for topic in Topic if topic is not Topic.RESULT)


class Security(StrEnum):
    """How a connection to an SMTP server is secured."""

    STARTTLS = "starttls"
    """It begins in the clear, and goes on only if the server accepts STARTTLS."""
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class Contact:
    """[[notify]]: a receiver of notifications, by webhook or, with `smtp`, by e-mail.

    `secret` (decoded), `authorization` and `password` are the values themselves; the file only says where
    they are kept.
    """

    name: str = "it"
    on: tuple[Topic, ...] = tuple(Topic(word) for word in _ALWAYS)
    webhook: str = ""
    secret: bytes = field(default=b"", repr=False)
    authorization: str = field(default="", repr=False)
    smtp: str = ""
    security: Security = Security.STARTTLS
    user: str = ""
    password: str = field(default="", repr=False)
    sender: str = ""
    to: tuple[str, ...] = ()
    down_minutes: Annotated[float, between(0, 10080)] = 15.0
    certificate_days: Annotated[int, between(1, 3650)] = 30
    identify: bool = False
    above: tuple[tuple[Target, float], ...] = ()
    tls: TlsSettings = field(default_factory=TlsSettings)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are connected to."""
        if self.webhook:
            url = urlsplit(self.webhook)
            return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
        name, _, port = self.smtp.rpartition(":")
        return name.strip("[]"), int(port)

    @property
    def thresholds(self) -> Mapping[Target, float]:
        """Probability of each target from which a result is told; `AT_THRESHOLD` for that of the model."""
        return dict(self.above)


def contact(table: Table) -> Contact:
    """Read one element of the array."""
    topics = tuple(topic.value for topic in Topic)
    fallback = Contact()
    found = Contact(
        name=table.require("name", "it", check=short_name),
        on=tuple(Topic(word) for word in table.words("on", _ALWAYS, topics)),
        webhook=table.take("webhook", "", check=web_address),
        secret=_signing_secret(table),
        authorization=secret(table, "authorization"),
        smtp=table.take("smtp", "", check=_smtp_address),
        security=Security(table.take("security", fallback.security.value, check=one_of(*Security))),
        user=table.take("user", ""),
        password=secret(table, "password"),
        sender=table.take("sender", "", check=_mail_address),
        to=_mail_addresses(table),
        down_minutes=table.take("down_minutes", fallback.down_minutes, check=between(0, 10080)),
        certificate_days=table.take(
            "certificate_days", fallback.certificate_days, check=between(1, 3650)
        ),
        identify=table.take("identify", fallback.identify),
        above=_thresholds(table),
        tls=table.table("tls").read(called_where_named),
    )  # fmt: skip
    _note_contradictions(table, found)
    return found


def _note_contradictions(table: Table, found: Contact) -> None:
    if bool(found.webhook) == bool(found.smtp):
        table.fault("webhook", "or smtp must be given, and not both")
    if found.webhook and not found.secret:
        table.fault("secret", "is missing or wrong: what is sent to a webhook is signed")
    if found.smtp and not (found.sender and found.to):
        table.fault("smtp", "needs sender and to")
    if bool(found.user) != bool(found.password):
        table.fault("user", "and password go together")
    in_the_clear = found.webhook.startswith("http:") and found.address[0] not in _LOOPBACK
    for key, told in (("identify", found.identify), ("authorization", found.authorization)):
        if told and in_the_clear:
            table.fault(key, "needs an https:// address in webhook")
    if (Topic.RESULT in found.on) != bool(found.above):
        table.fault("above", 'and "result" in `on` go together')


def _signing_secret(table: Table) -> bytes:
    written = secret(table, "secret")
    if not written:
        return b""
    try:
        key = b64decode(written.removeprefix(_SECRET_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not written.startswith(_SECRET_PREFIX) or not _SHORTEST_SECRET <= len(key) <= _LONGEST_SECRET:
        sizes = f"{_SHORTEST_SECRET} to {_LONGEST_SECRET} random bytes"
        table.fault("secret", f'must be "{_SECRET_PREFIX}" and, in base64, {sizes}')
        return b""
    return key


def _thresholds(table: Table) -> tuple[tuple[Target, float], ...]:
    inner = table.table("above")
    return inner.read(lambda there: tuple(_each_threshold(there)))


def _each_threshold(table: Table) -> list[tuple[Target, float]]:
    found = []
    for target in Target:
        value = table.number_or_word(target.name.lower(), _AT_THRESHOLD, check=between(0, 1))
        if value is not None:
            found.append((target, AT_THRESHOLD if value == _AT_THRESHOLD else float(value)))
    return found


def _mail_addresses(table: Table) -> tuple[str, ...]:
    found = table.texts("to", ())
    if any(not _MAIL_ADDRESS.fullmatch(one) for one in found):
        table.fault("to", "must be a list of e-mail addresses")
    return found


def _smtp_address(value: str) -> str | None:
    name, _, port = value.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536
    if not value or (is_port and host(name.strip("[]")) is None):
        return None
    return 'must be "host:port", such as "smtp.example:587"'


def _mail_address(value: str) -> str | None:
    return None if not value or _MAIL_ADDRESS.fullmatch(value) else "must be an e-mail address"
