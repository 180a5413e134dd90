"""What of a changed configuration file a running node can apply, and what needs a restart."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from node.config.configuration import Configuration

__all__ = ["LIVE", "Change", "compare"]

LIVE = frozenset(
    {
        "sources",
        "rules",
        "destinations",
        "notify",
        "log.level",
        "storage.retention_days",
        "storage.not_for_us_hours",
        "storage.disk_days",
        "storage.scores_days",
    }
)
"""What a running node can apply. Everything else is built into an open port, file, database or process."""


@dataclass(frozen=True, slots=True)
class Change:
    """The difference between two configurations.

    Attributes
    ----------
    result : Configuration
        The running configuration, with everything of the new one that a running node can apply.
    applied : tuple of str
        What is different and can be applied: "sources", or table and key such as "log.level".
    restart : tuple of str
        What is different and needs a restart.
    """

    result: Configuration
    applied: tuple[str, ...]
    restart: tuple[str, ...]


def compare(running: Configuration, wanted: Configuration) -> Change:
    r"""Divide a change of the configuration into what applies now and what needs a restart.

    Examples
    --------
    >>> from node.config import default, parse
    >>> change = compare(default(), parse('[node]\nport = 104\n[log]\nlevel = "debug"'))
    >>> change.applied, change.restart
    (('sources', 'destinations', 'log.level'), ('node.port',))
    >>> change.result.node.port, change.result.log.level
    (11112, 'debug')
    """
    different = tuple(_different(running, wanted))
    return Change(
        result=replace(
            running,
            sources=wanted.sources,
            rules=wanted.rules,
            destinations=wanted.destinations,
            notify=wanted.notify,
            log=replace(running.log, level=wanted.log.level),
            storage=replace(
                running.storage,
                retention_days=wanted.storage.retention_days,
                not_for_us_hours=wanted.storage.not_for_us_hours,
                disk_days=wanted.storage.disk_days,
                scores_days=wanted.storage.scores_days,
            ),
        ),
        applied=tuple(name for name in different if name in LIVE),
        restart=tuple(name for name in different if name not in LIVE),
    )


def _different(one: Any, other: Any, table: str = "") -> Iterator[str]:  # noqa: ANN401 - any table of settings
    for field in fields(one):
        values = getattr(one, field.name), getattr(other, field.name)
        if not table and is_dataclass(values[0]):
            yield from _different(*values, f"{field.name}.")
        elif values[0] != values[1]:
            yield f"{table}{field.name}"
