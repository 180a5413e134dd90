"""All checks, one after the other."""

from collections.abc import Iterator, Sequence

from node.config import Configuration
from node.operate.doctor.database import database
from node.operate.doctor.doors import listener, tls, web
from node.operate.doctor.finding import Check, Finding
from node.operate.doctor.machine import clock, storage
from node.operate.doctor.peers import destinations, sources
from node.operate.doctor.science import codecs, model, segmenter

__all__ = ["CHECKS", "examine_node"]

CHECKS: tuple[Check, ...] = (
    storage,
    listener,
    web,
    tls,
    sources,
    destinations,
    codecs,
    clock,
    database,
    segmenter,
    model,
)
"""All checks, quick ones first; loading the model imports the science."""


def examine_node(configuration: Configuration, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """Look at everything a node needs, one finding after the other.

    Parameters
    ----------
    configuration : Configuration
        A valid one; its faults are told by `node.config.load`.
    checks : sequence of callable, optional
        Some of `CHECKS`; all by default.
    """
    for check in checks:
        yield from check(configuration)
