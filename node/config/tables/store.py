"""[store] of config.toml: the database."""

from dataclasses import dataclass

from node.config.checks import PASSWORD_IN_URL
from node.config.secret import kept_elsewhere
from node.config.table import Table

__all__ = ["StoreSettings", "store"]


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """[store]: the URL of the database; empty means SQLite in the storage directory."""

    url: str = ""

    @property
    def is_server(self) -> bool:
        """Whether it is a server, which several machines can work with."""
        return self.url.startswith("postgresql")


def store(table: Table) -> StoreSettings:
    """Read the table."""
    url = table.take("url", "")
    if PASSWORD_IN_URL.search(url):
        table.fault("url", 'holds a password; write "env:NAME" or "file:PATH" and keep the URL there')
    found = kept_elsewhere(table, "url", url)
    return StoreSettings(url if found is None else found)
