"""Secrets are not written in the configuration file, which says "env:NAME" or "file:PATH" in their place."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from node.config.table import Table
from node.domain.identifiers import is_loopback

__all__ = ["check_not_in_the_clear", "kept_elsewhere", "secret"]


def secret(table: Table, key: str) -> str:
    """Read a secret, and note a fault if it is written in the configuration file itself."""
    pointer = table.take(key, "")
    found = kept_elsewhere(table, key, pointer)
    if pointer and found is None:
        table.fault(key, 'is a secret; write "env:NAME" or "file:PATH" and keep it there')
    return found or ""


def check_not_in_the_clear(table: Table, key: str, url: str, authorization: str, *, is_allowed: bool) -> None:
    """Note a fault if credentials would go over a network unencrypted, and nobody said that they may."""
    if not authorization or is_allowed or not url.startswith("http://"):
        return
    if not is_loopback(urlsplit(url).hostname or ""):
        told = f"needs an https:// address in {key}; or say authorization_in_the_clear = true"
        table.fault("authorization", told)


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
