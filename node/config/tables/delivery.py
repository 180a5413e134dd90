"""[delivery] of config.toml: when failed deliveries are retried."""

from dataclasses import dataclass
from typing import Annotated

from node.config.checks import between
from node.config.table import Table

__all__ = ["DeliverySettings", "delivery"]


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """[delivery]: when failed deliveries are retried."""

    retry_first_s: Annotated[float, between(0.01, 3600)] = 5.0
    retry_longest_s: Annotated[float, between(0.01, 86400)] = 900.0
    attempts: Annotated[int, between(1, 1000)] = 10
    timeout_s: Annotated[float, between(0.1, 3600)] = 30.0


def delivery(table: Table) -> DeliverySettings:
    """Read the table."""
    return table.settings(DeliverySettings)
