"""[engine] of config.toml: the worker processes and their limits."""

import re
from dataclasses import dataclass
from typing import Annotated

from node.config.checks import between
from node.config.table import Table

__all__ = ["EngineSettings", "engine"]

_SCHEDULER = re.compile(r"(tcp|tls|ws|wss)://\S+:\d+")


def _scheduler_address(address: str) -> str | None:
    whole = not address or _SCHEDULER.fullmatch(address)
    return None if whole else "must be empty or the address of a Dask scheduler, such as tcp://10.0.0.5:8786"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """[engine]: the worker processes and their limits, and the Dask cluster of `train` and `evaluate`."""

    processes: Annotated[int, between(1, 64)] = 1
    time_limit_s: Annotated[float, between(0.1, 86400)] = 600.0
    memory_limit_mb: Annotated[int, between(512, 2**24)] = 8192
    attempts: Annotated[int, between(1, 100)] = 3
    vanished_s: Annotated[float, between(1, 3600)] = 30.0
    dask: Annotated[str, _scheduler_address] = ""


def engine(table: Table) -> EngineSettings:
    """Read the table."""
    return table.settings(EngineSettings)
