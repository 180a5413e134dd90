"""Secrets are not written in the configuration file, which says "env:NAME" or "file:PATH" in their place."""

import os
from pathlib import Path

from node.config.table import Table

__all__ = ["kept_elsewhere", "secret"]


def secret(table: Table, key: str) -> str:
    """Read a secret, and note a fault if it is written in the configuration file itself."""
    pointer = table.take(key, "")
    found = kept_elsewhere(table, key, pointer)
    if pointer and found is None:
        table.fault(key, 'is a secret; write "env:NAME" or "file:PATH" and keep it there')
    return found or ""


def kept_elsewhere(table: Table, key: str, pointer: str) -> str | None:
    """Return what "env:NAME" or "file:PATH" refers to, or None for any other text.

    If it does not exist, a fault is noted and the result is empty.
    """
    for scheme, read in (("env:", _from_environment), ("file:", _from_file)):
        if pointer.startswith(scheme):
            found = read(pointer.removeprefix(scheme))
            if found is None:
                table.fault(key, f"points to {pointer}, which is not there")
            return found or ""
    return None


def _from_environment(name: str) -> str | None:
    return os.environ.get(name)


def _from_file(name: str) -> str | None:
    try:
        return Path(name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
