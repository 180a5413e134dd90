"""[audit] of config.toml: where audit messages go."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from node.config.checks import names_host
from node.config.table import Table
from node.config.tables.tls import TlsSettings, called

__all__ = ["AuditSettings", "audit"]

_SYSLOG = re.compile(r"(udp|tls)://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}|unix:/.+")
_SYSLOG_FORMS = '"udp://host:514", "tls://host:6514", "unix:/dev/log"'


def _syslog(value: str) -> str | None:
    if not value:
        return None
    is_address = _SYSLOG.fullmatch(value) and (value.startswith("unix:") or names_host(value))
    return None if is_address else f"must be one of {_SYSLOG_FORMS}"


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """[audit]: a file, a syslog server, both or neither; `tls` applies to "tls://" addresses."""

    file: Path | None = None
    syslog: Annotated[str, _syslog] = ""
    source_id: str = ""
    tls: TlsSettings = field(default_factory=TlsSettings)


def audit(table: Table) -> AuditSettings:
    """Read the table."""
    inner = table.table("tls")
    settings = table.settings(AuditSettings, tls=inner.read(called))
    if settings.syslog.startswith("tls:") and settings.tls.ca is None:
        inner.fault("ca", "must name the authorities that the repository's certificate is signed by")
    return settings
