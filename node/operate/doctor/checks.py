"""The list of all checks, and how they are run."""

from collections.abc import Iterator, Sequence

from node.config import Configuration
from node.operate.doctor.analysis import codecs, model, segmenter
from node.operate.doctor.archives import archives
from node.operate.doctor.certificates import certificates
from node.operate.doctor.clock import clock
from node.operate.doctor.contacts import contacts
from node.operate.doctor.database import database
from node.operate.doctor.disk import disk
from node.operate.doctor.endpoints import listener, tls, web
from node.operate.doctor.machine import storage
from node.operate.doctor.nodes import nodes
from node.operate.doctor.peers import destinations, sources
from node.operate.doctor.result import Check, CheckResult
from node.operate.doctor.rules import rules

__all__ = ["CHECKS", "run_checks"]

CHECKS: tuple[Check, ...] = (
    storage,
    listener,
    web,
    tls,
    certificates,
    sources,
    rules,
    destinations,
    contacts,
    archives,
    codecs,
    clock,  # before the database is opened, which may touch its files
    database,
    nodes,
    disk,
    segmenter,
    model,
)
"""All checks, with the slow one last: loading the model imports the analysis."""


def run_checks(configuration: Configuration, checks: Sequence[Check] = CHECKS) -> Iterator[CheckResult]:
    """Run checks, and yield each result as soon as it is known.

    Parameters
    ----------
    configuration : Configuration
        A valid configuration; faults of the file are reported by `node.config.load`.
    checks : sequence of callable, optional
        The checks to run; all by default.
    """
    for check in checks:
        yield from check(configuration)
