"""Where a node keeps its database."""

from node.config import Configuration

__all__ = ["store_url"]


def store_url(configuration: Configuration) -> str:
    """Return the configured URL of the database, or that of a SQLite file in the storage directory."""
    if configuration.store.url:
        return configuration.store.url
    return f"sqlite:///{configuration.storage.directory / 'osteonode.db'}"
