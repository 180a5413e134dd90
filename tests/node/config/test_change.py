"""What of a changed configuration applies to a running node."""

from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from node.config import Configuration, Contact, compare, default, parse
from node.config.change import LIVE

ALL = tuple(
    f"{table.name}.{field.name}" if is_dataclass(getattr(default(), table.name)) else table.name
    for table in fields(Configuration)
    for field in (
        fields(getattr(default(), table.name)) if is_dataclass(getattr(default(), table.name)) else (table,)
    )
)


def value(configuration: Configuration, key: str) -> Any:
    table, _, name = key.partition(".")
    found = getattr(configuration, table)
    return getattr(found, name) if name else found


def with_another(key: str) -> Configuration:
    """Return the default configuration with some other value for a key, of whatever type."""
    table, _, name = key.partition(".")
    missing = () if getattr(default(), table) else (Contact(),)
    other: Any = missing if not name else replace(getattr(default(), table), **{name: "another"})
    return replace(default(), **{table: other})


@pytest.mark.parametrize("key", ALL)
def test_every_key_either_applies_or_needs_a_restart(key: str) -> None:
    running, wanted = default(), with_another(key)
    change = compare(running, wanted)
    live = key in LIVE
    assert (change.applied, change.restart) == (((key,), ()) if live else ((), (key,)))
    assert value(change.result, key) == value(wanted if live else running, key)
    assert all(value(change.result, other) == value(running, other) for other in ALL if other != key)


def test_every_live_key_exists() -> None:
    assert set(ALL) >= LIVE


def test_what_needs_a_restart_is_named_again_until_there_was_one() -> None:
    wanted = parse("[node]\nport = 104\n[storage]\nretention_days = 1")
    once = compare(default(), wanted)
    assert "storage.retention_days" in once.applied
    again = compare(once.result, wanted)
    assert (again.applied, again.restart) == ((), ("node.port",))
