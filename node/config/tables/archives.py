"""[[archives]] of config.toml: archives that are asked for studies."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from node.config.checks import ae_title, between, host, one_of, short_name, web_address
from node.config.secret import check_not_in_the_clear, secret
from node.config.table import Table
from node.config.tables.fetching import Fetching, fetching
from node.config.tables.tls import TlsSettings, called_where_named

__all__ = ["ArchiveSettings", "Method", "archive"]


class Method(StrEnum):
    """How an archive is asked, and how its images come."""

    MOVE = "move"
    """C-FIND, and C-MOVE to this node: it opens associations to this node, as a source."""
    GET = "get"
    """C-FIND and C-GET, over associations that this node opens."""
    DICOMWEB = "dicomweb"
    """QIDO-RS and WADO-RS."""


@dataclass(frozen=True, slots=True)
class ArchiveSettings:
    """[[archives]]: an archive that is asked, by DIMSE at `host` and `port` or by DICOMweb at `url`.

    `authorization` is the value of that HTTP header itself; the file only says where it is kept. With
    `mb_per_second` 0, images come as fast as the archive sends them.
    """

    name: str = "archive"
    method: Method = Method.MOVE
    ae_title: str = "ARCHIVE"
    host: str = "127.0.0.1"
    port: int = 104
    url: str = ""
    authorization: str = field(default="", repr=False)
    authorization_in_the_clear: bool = False
    max_associations: Annotated[int, between(1, 100)] = 1
    mb_per_second: Annotated[float, between(0, 10_000)] = 0.0
    timeout_s: Annotated[float, between(1, 3600)] = 120.0
    fetching: Fetching = field(default_factory=Fetching)
    tls: TlsSettings = field(default_factory=TlsSettings)

    @property
    def address(self) -> str:
        """Where it is, in words."""
        return self.url or f"{self.ae_title} at {self.host}:{self.port}"


def archive(table: Table) -> ArchiveSettings:
    """Read one element of the array."""
    method = Method(table.take("method", Method.MOVE.value, check=one_of(*Method)))
    is_web = method is Method.DICOMWEB
    # Each method needs an address of its own kind.
    needed = table.take if is_web else table.require
    url = (table.require if is_web else table.take)("url", "", check=web_address)
    found = table.settings(
        ArchiveSettings,
        name=table.require("name", "archive", check=short_name),
        method=method,
        ae_title=needed("ae_title", "ANY", check=ae_title),
        host=needed("host", "127.0.0.1", check=host),
        port=needed("port", 104, check=between(1, 65535)),
        url=url.rstrip("/").removesuffix("/studies"),
        authorization=secret(table, "authorization"),
        authorization_in_the_clear=table.take("authorization_in_the_clear", False),
        fetching=fetching(table),
        tls=table.table("tls").read(called_where_named),
    )
    if found.url and not is_web:
        table.fault("url", 'is for method "dicomweb"')
    check_not_in_the_clear(
        table, "url", found.url, found.authorization, is_allowed=found.authorization_in_the_clear
    )
    if found.url.startswith("http://") and found.tls.ca is not None:
        table.fault("url", "must be an https:// address where [archives.tls] names a ca")
    return found
